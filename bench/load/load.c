/* load COMMAND …: load for the service, and what its measures are compared with. */
#include <stdio.h>
#include <string.h>

#include "bench/load/load.h"

static const struct command {
    const char *name, *usage;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"submit", "HOST PORT TOKENS CONNECTIONS BATCH SECONDS [RATE]", load_submit},
    {"status", "HOST PORT TOKEN < IDS", load_status},
    {"broker", "URL SECONDS BYTES [WINDOW]", load_broker},
    {"fill", "STORE TASKS DAYS > IDS", load_fill},
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

int load_usage(void)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(stderr, "%s load %s %s\n", i ? "      " : "usage:", commands[i].name,
                commands[i].usage);
    return 2;
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < N_COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return load_usage();
}
