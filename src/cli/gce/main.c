/* globus-compute-endpoint: what an administrator types.
 *
 * Light on purpose: it links neither libcurl nor a loop.  What needs the network runs in
 * libexec/sallyport/remote (remote.h), what lives on is exec'd (monitor, user-endpoint). */
#include <stdio.h>
#include <stdlib.h>

#include "cli/gce/commands.h"
#include "cli/gce/epdir.h"
#include "lib/base/log.h"
#include "lib/config/config.h"

static const struct option_def group_options[] = {
    {"--config-dir", 'c', OPTION_TEXT, "TEXT", "override default config dir"},
    {0},
};
static const struct option_def only_help[] = {
    {"--help", 0, OPTION_FLAG, NULL, "Show this message and exit."},
    {0},
};

static const char man_head[] =
    ".SH NAME\n"
    "globus\\-compute\\-endpoint, gce \\- endpoints of Globus Compute on this machine\n"
    ".SH SYNOPSIS\n"
    ".B globus\\-compute\\-endpoint\n"
    "[\\fB\\-c\\fR DIR] COMMAND [OPTIONS] [NAME_OR_UUID]\n"
    ".SH DESCRIPTION\n"
    "Makes, runs and removes endpoints: places where functions that users send with the Globus\n"
    "Compute SDK run under the users' own accounts.  An endpoint is a directory below\n"
    "\\fI~/.globus_compute\\fR.  Where NAME_OR_UUID is not given it is \\fIdefault\\fR.\n"
    ".TP\n.B \\-c, \\-\\-config\\-dir DIR\nUse DIR instead of ~/.globus_compute.\n"
    ".SH COMMANDS\n";

static const char man_tail[] =
    ".SH ENVIRONMENT\n"
    ".TP\n.B GLOBUS_COMPUTE_USER_DIR\nTakes the place of ~/.globus_compute.\n"
    ".TP\n.B GLOBUS_COMPUTE_CLIENT_ID, GLOBUS_COMPUTE_CLIENT_SECRET\n"
    "Credentials of a program: nobody is asked to sign in.\n"
    ".TP\n.B GLOBUS_SDK_ENVIRONMENT, GLOBUS_SDK_SERVICE_URL_AUTH\n"
    "Which service: \\fIlocal\\fR and the URL that `sallyport env` prints.\n"
    ".TP\n.B GLOBUS_SDK_VERIFY_SSL, GLOBUS_SDK_HTTP_TIMEOUT\n"
    "A boolean or a file of certificates; seconds.\n"
    ".TP\n.B GC_WORKER_PYTHON\nThe interpreter of python\\-exec and of workers.\n"
    ".SH FILES\n"
    ".TP\n.I ~/.globus_compute/NAME/config.yaml\nThe endpoint itself.\n"
    ".TP\n.I ~/.globus_compute/NAME/user_config_template.yaml.j2\n"
    "What the endpoint of a user is made from, with user_config_schema.json and\n"
    "user_environment.yaml beside it.\n"
    ".TP\n.I ~/.globus_compute/NAME/endpoint.log\nThe log.\n"
    ".TP\n.I ~/.globus_compute/storage.db\nCredentials.\n"
    ".SH EXIT STATUS\n"
    "0 done; 1 an error that has been printed; 2 wrong usage; 65, 69, 70, 72, 73, 75, 77, 78 as "
    "in\n"
    "sysexits.h: the web service refuses the registration (65, 69), an answer doesn't fit (70),\n"
    "no mapping file (72), it runs already (73), no network (75), no permission (77), a mapping\n"
    "file that can't be used (78).\n"
    ".SH SEE ALSO\n"
    ".BR sallyport (1)\n";

static void print_names(void)
{
    char **list = epdir_list();
    for (char **at = list; *at; at++)
        printf("%s\n", epdir_name(*at));
    epdir_list_free(list);
}

const char *args_name(const struct args *a)
{
    const char *given = args_operand(a, 0);
    return given ? given : "default";
}

static int on_group(const char *name, const char *value)
{
    (void)name; /* there is one */
    setenv("GLOBUS_COMPUTE_USER_DIR", value, 1);
    return 0;
}

/* Every command makes the base directory. */
static int before(void)
{
    struct err err = ERR_INIT;
    return epdir_base_make(&err) < 0 ? fail("%s", err.text) : 0;
}

static void ready(const struct args *a)
{
    log_init("MainProcess", args_has(a, "--debug") ? LOG_L_DEBUG : LOG_L_INFO);
    log_console(true, false);
}

int main(int argc, char **argv)
{
    const struct program program = {
        .title = "globus-compute-endpoint",
        .alias = "gce",
        .commands = commands,
        .count = commands_count,
        .shared = only_help,
        .group = group_options,
        .synopsis = "[OPTIONS] COMMAND [ARGS]...",
        .examples = "configure --multi-user my_endpoint\n"
                    "start my_endpoint --log-to-console",
        .operand_of_names = "NAME_OR_UUID",
        .print_names = print_names,
        .man_head = man_head,
        .man_tail = man_tail,
        .version = COMPUTE_VERSION,
        .last_wins = true,
        .before = before,
        .on_group = on_group,
        .ready = ready,
    };
    return cli_main(&program, argc, argv);
}
