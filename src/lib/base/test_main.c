/* Runs one group of this folder's unit tests, the one that is named: a TAP stream has one plan. */
#include <string.h>

#include "lib/base/test_tables.h"

static const struct {
    const char *name;
    int (*run)(void);
} groups[] = {
    {"buf", buf_tests},     {"json", json_tests}, {"loop", loop_tests},
    {"spawn", spawn_tests}, {"text", text_tests},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof(groups) / sizeof(groups[0]); i++)
        if (strcmp(groups[i].name, argv[1]) == 0)
            return groups[i].run() != 0;
    return 2;
}
