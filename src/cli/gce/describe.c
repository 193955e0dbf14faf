/* _describe WHAT: the table of commands for programs: `json` (tests compare documents with it),
 * `man` (the manual page, made when building), `names` (endpoints, for completion scripts). */
#include <stdio.h>
#include <string.h>

#include "cli/gce/commands.h"
#include "cli/gce/epdir.h"
#include "lib/config/config.h"

/* ---- json ---- */

static const char *kind_text(enum option_kind kind)
{
    static const char *const texts[] = {
        [OPTION_FLAG] = "flag",   [OPTION_TEXT] = "text",   [OPTION_FILE] = "file",
        [OPTION_INPUT] = "input", [OPTION_COUNT] = "count", [OPTION_MULTI_USER] = "boolean",
    };
    return texts[kind];
}

static void add_options(struct json_object *list, const struct option_def *o)
{
    for (; o && o->name; o++) {
        char letter[2] = {o->letter, '\0'};
        struct json_object *one = json_object_new_object();
        json_add_str(one, "name", o->name);
        json_add_str(one, "letter", o->letter ? letter : NULL);
        json_add_str(one, "kind", kind_text(o->kind));
        json_add_bool(one, "hidden", o->hidden);
        json_add_str(one, "help", o->help);
        json_object_array_add(list, one);
    }
}

static void print_json(void)
{
    autobuf struct buf text = BUF_INIT;
    autojson struct json_object *all = json_object_new_array();
    for (size_t i = 0; i < commands_count; i++) {
        const struct command *c = &commands[i];
        struct json_object *one = json_object_new_object();
        struct json_object *options = json_object_new_array();
        add_options(options, c->options);
        add_options(options, options_of_all(c));
        json_add_str(one, "name", c->name);
        json_add_str(one, "summary", c->summary);
        json_add_str(one, "operand", c->operand);
        json_add_bool(one, "hidden", c->hidden);
        json_add_str(one, "examples", c->examples);
        json_add(one, "options", options);
        json_object_array_add(all, one);
    }
    json_write(&text, all);
    printf("%s\n", text.data);
}

/* ---- man ---- */

/* Text for roff: no accidental requests, hyphens that can be copied. */
static void roff(const char *s)
{
    bool at_begin = true;
    for (; *s; s++) {
        if (at_begin && (*s == '.' || *s == '\''))
            printf("\\&");
        if (*s == '\\')
            printf("\\e");
        else if (*s == '-')
            printf("\\-");
        else
            putchar(*s);
        at_begin = *s == '\n';
    }
}

static void roff_options(const struct option_def *o)
{
    for (; o && o->name; o++) {
        char left[128];
        if (o->hidden)
            continue;
        help_option_left(o, left, sizeof(left));
        printf(".TP\n.B ");
        roff(left);
        putchar('\n');
        roff(o->help);
        putchar('\n');
    }
}

static void roff_command(const struct command *c)
{
    printf(".SS ");
    roff(c->name);
    printf("%s%s%s\n", c->operand ? (c->rest ? " " : " [") : "", c->operand ? c->operand : "",
           c->operand && !c->rest ? "]" : "");
    roff(c->summary);
    printf(".\n");
    if (c->text) {
        printf(".PP\n");
        roff(c->text);
        putchar('\n');
    }
    roff_options(c->options);
    if (c->examples) {
        printf(".PP\nExamples:\n.PP\n.nf\n.RS\n");
        for (const char *line = c->examples; *line;) {
            size_t n = strcspn(line, "\n");
            printf("$ %s ", command_program());
            for (size_t i = 0; i < n; i++)
                printf(line[i] == '-' ? "\\-" : "%c", line[i]);
            putchar('\n');
            line += n + (line[n] == '\n');
        }
        printf(".RE\n.fi\n");
    }
}

static const char head[] =
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

static const char tail[] =
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

static void print_man(void)
{
    printf(".TH GLOBUS\\-COMPUTE\\-ENDPOINT 1 \"\" \"Sallyport\" \"version %s\"\n%s",
           COMPUTE_VERSION, head);
    for (size_t i = 0; i < commands_count; i++)
        if (!commands[i].hidden)
            roff_command(&commands[i]);
    printf(".SS Options of every command\n");
    roff_options(options_of_all(command_find("version")));
    printf("%s", tail);
}

static void print_names(void)
{
    char **list = epdir_list();
    for (char **at = list; *at; at++)
        printf("%s\n", epdir_name(*at));
    epdir_list_free(list);
}

int cmd_describe(const struct args *a)
{
    static const struct {
        const char *what;
        void (*print)(void);
    } things[] = {{"json", print_json}, {"man", print_man}, {"names", print_names}};
    for (size_t i = 0; a->operand && i < sizeof(things) / sizeof(things[0]); i++)
        if (strcmp(things[i].what, a->operand) == 0) {
            things[i].print();
            return 0;
        }
    return usage(a->command, "One of json, man, names is wanted.");
}
