/* globus-compute-endpoint: what an administrator types.
 *
 * Light on purpose: it links neither libcurl nor a loop.  What needs the network runs in
 * libexec/sallyport/remote (remote.h), what lives on is exec'd (monitor, user-endpoint). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/gce/command.h"
#include "cli/gce/epdir.h"
#include "lib/base/log.h"

static const char *program = "globus-compute-endpoint";

const char *command_program(void)
{
    return program;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < commands_count; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static void name_program(const char *argv0)
{
    const char *slash = strrchr(argv0, '/');
    const char *base = slash ? slash + 1 : argv0;
    if (*base)
        program = base;
}

/* Options of the group, before the command.  The index of the command; or minus exit code + 1. */
static int group_options(int argc, char **argv)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        const char *value = NULL;
        if (strcmp(argv[i], "--help") == 0) {
            help_all(false);
            return -1;
        }
        if (strncmp(argv[i], "--config-dir=", 13) == 0)
            value = argv[i] + 13;
        else if (strcmp(argv[i], "--config-dir") == 0 || strcmp(argv[i], "-c") == 0)
            value = i + 1 < argc ? argv[++i] : NULL;
        else if (strncmp(argv[i], "-c", 2) == 0)
            value = argv[i] + 2;
        else
            return -1 - usage(NULL, "No such option: %.*s", (int)strcspn(argv[i], "="), argv[i]);
        if (!value)
            return -1 - (fail("Option '%s' requires an argument.", argv[i]), 2);
        setenv("GLOBUS_COMPUTE_USER_DIR", value, 1);
    }
    if (i < argc)
        return i;
    help_all(true);
    return -3;
}

int main(int argc, char **argv)
{
    struct args args;
    struct err err = ERR_INIT;
    name_program(argv[0]);
    int at = group_options(argc, argv);
    if (at < 0)
        return -at - 1;
    const struct command *c = command_find(argv[at]);
    if (!c)
        return usage(NULL, "No such command '%s'.", argv[at]);
    if (epdir_base_make(&err) < 0)
        return fail("%s", err.text);
    int rc = args_parse(&args, c, argc - at, argv + at);
    if (rc)
        return rc - 1;
    log_init("MainProcess", args.debug ? LOG_L_DEBUG : LOG_L_INFO);
    log_console(true, false);
    return c->run(&args);
}
