/* sallyport: the commands that are ours; what users of the original know is
 * globus-compute-endpoint. */
#include <string.h>

#include "cli/sallyport/command.h"
#include "lib/base/log.h"

/* The entry whose words argv begins with, the longest name first; *words: how many they are. */
static const struct command *find(int argc, char **argv, int *words)
{
    const struct command *found = NULL;
    for (size_t i = 0; i < commands_count; i++) {
        const char *name = commands[i].name;
        const char *space = strchr(name, ' ');
        size_t first = space ? (size_t)(space - name) : strlen(name);
        if (strlen(argv[0]) != first || strncmp(argv[0], name, first) != 0)
            continue;
        if (space && (argc < 2 || strcmp(argv[1], space + 1) != 0))
            continue;
        if (!found || space) {
            found = &commands[i];
            *words = space ? 2 : 1;
        }
    }
    return found;
}

static bool is_group(const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i < commands_count; i++)
        if (strncmp(commands[i].name, word, n) == 0 && commands[i].name[n] == ' ')
            return true;
    return false;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int main(int argc, char **argv)
{
    struct args args;
    int words;
    if (argc < 2 || is_help(argv[1])) {
        help_all(argc < 2, NULL);
        return argc < 2 ? 2 : 0;
    }
    if (strcmp(argv[1], "--version") == 0)
        argv[1] += 2;
    const struct command *c = find(argc - 1, argv + 1, &words);
    if (!c && is_group(argv[1])) {
        bool asked = argc > 2 && is_help(argv[2]);
        help_all(!asked, argv[1]);
        return asked ? 0 : argc > 2 ? usage(NULL, "No such command '%s %s'.", argv[1], argv[2]) : 2;
    }
    if (!c)
        return usage(NULL, "No such command '%s'.", argv[1]);
    int rc = args_parse(&args, c, argc - words, argv + words);
    if (rc)
        return rc - 1;
    log_init("MainProcess", args.debug ? LOG_L_DEBUG : LOG_L_WARNING);
    log_console(true, false);
    return c->run(&args);
}
