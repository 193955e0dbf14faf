/* sallyport: the commands that are ours; what users of the original know is
 * globus-compute-endpoint. */
#include <stdlib.h>
#include <string.h>

#include "cli/sallyport/commands.h"
#include "lib/base/log.h"

static const struct option_def shared_options[] = {
    {"--debug", 0, OPTION_FLAG, NULL, "Log more"},
    {"--help", 'h', OPTION_FLAG, NULL, "Show this message and exit."},
    {0},
};

static const char man_head[] =
    ".SH NAME\n"
    "sallyport \\- web service for the Globus Compute SDK and endpoints, and its administration\n"
    ".SH SYNOPSIS\n"
    ".B sallyport\n"
    "COMMAND [OPTIONS] [ARGS]...\n"
    ".SH DESCRIPTION\n"
    "Runs the service that Globus Compute SDKs and endpoints of a site talk to, and keeps its "
    "users,\n"
    "clients and sign-ins.  The service's folder is \\fI/var/lib/sallyport\\fR unless \\-\\-data "
    "or\n"
    "SALLYPORT_DATA names another.  Run by root, commands take on the account that owns the "
    "folder.\n"
    ".SH COMMANDS\n";

static const char man_tail[] =
    ".SH ENVIRONMENT\n"
    ".TP\n.B SALLYPORT_DATA\nThe service's folder.\n"
    ".TP\n.B NO_COLOR\nWhen it is set, nothing is coloured.\n"
    ".SH FILES\n"
    ".TP\n.I DIR/service.yaml\nSettings; options win.\n"
    ".TP\n.I DIR/ledger.db\nUsers, tokens, endpoints, tasks, unless a PostgreSQL is named.\n"
    ".SH EXIT STATUS\n"
    "0 done; 1 an error that has been printed; 2 wrong usage.\n"
    ".SH SEE ALSO\n"
    ".BR globus\\-compute\\-endpoint (1)\n";

const char *args_data(const struct args *a)
{
    const char *given = args_get(a, "--data");
    const char *env = getenv("SALLYPORT_DATA");
    return given ? given : env && *env ? env : "/var/lib/sallyport";
}

static void ready(const struct args *a)
{
    log_init("MainProcess", args_has(a, "--debug") ? LOG_L_DEBUG : LOG_L_WARNING);
    log_console(true, false);
}

int main(int argc, char **argv)
{
    const struct program program = {
        .title = "sallyport",
        .commands = commands,
        .count = commands_count,
        .shared = shared_options,
        .synopsis = "COMMAND [OPTIONS] [ARGS]...",
        .examples = "serve --data ./data\nuser add alice@example.org\nenv",
        .man_head = man_head,
        .man_tail = man_tail,
        .version = SALLYPORT_VERSION,
        .ready = ready,
    };
    if (argc > 1 && strcmp(argv[1], "--version") == 0)
        argv[1] += 2;
    return cli_main(&program, argc, argv);
}
