/* The table. */
#include "cli/gce/commands.h"

#include "cli/gce/policy.h"

#define FLAG(name, text)                                                                           \
    {                                                                                              \
        name, 0, OPTION_FLAG, NULL, text                                                           \
    }
#define TEXT(name, metavar, text)                                                                  \
    {                                                                                              \
        name, 0, OPTION_TEXT, metavar, text                                                        \
    }
#define PATH(name, text)                                                                           \
    {                                                                                              \
        name, 0, OPTION_FILE, "FILE", text                                                         \
    }

static const struct option_def configure_options[] = {
    {"--multi-user", 0, OPTION_TRUTH, "BOOLEAN",
     "With a truth value: with or without multi-user support.  Without one, as in `configure "
     "--multi-user NAME`: with it, and with the files and messages of the first generation.  Not "
     "given: by the privileges of this process."},
    FLAG("--high-assurance", "Configure endpoint as High Assurance(HA) capable"),
    TEXT("--display-name", "TEXT", "A human readable display name for the endpoint, if desired"),
    TEXT("--auth-policy", "TEXT",
         "Endpoint users are evaluated against this Globus authentication policy."),
    TEXT("--contact-email", "TEXT",
         "The email address to contact for the administrators of the endpoint"),
    {"--manager-config", 0, OPTION_FILE, "FILE", "Deprecated: use --core-config"},
    PATH("--core-config", "Copy this file instead of the default config.yaml"),
    {"--endpoint-config", 0, OPTION_FILE, "FILE", "Deprecated: use --core-config", .hidden = true},
    PATH("--template-config", "Copy this file instead of the default user_config_template.yaml.j2"),
    PATH("--schema-config", "Copy this file instead of the default user_config_schema.json"),
    PATH("--user-env-config", "Copy this file instead of the default user_environment.yaml"),
    PATH("--id-mapping-config", "Copy this file as identity_mapping_config.json"),
    TEXT(
        "--auth-policy-project-id", "TEXT",
        "Create an authentication policy, in this Globus Auth project (asks for one if not given)"),
    TEXT("--auth-policy-display-name", "TEXT",
         "Name of the new policy  [default: " POLICY_DISPLAY_NAME "]"),
    FLAG("--auth-policy-mfa-required", "The new policy requires Multi-Factor Authentication"),
    TEXT("--auth-policy-description", "TEXT",
         "Description of the new policy  [default: " POLICY_DESCRIPTION "]"),
    TEXT("--allowed-domains", "TEXT",
         "The new policy admits these domains, a comma separated list (globus.org,*.edu)"),
    TEXT("--excluded-domains", "TEXT",
         "The new policy refuses these domains, a comma separated list"),
    {"--auth-timeout", 0, OPTION_COUNT, "INTEGER",
     "The new policy accepts sign-ins that are at most so many seconds old  [x>=0]"},
    TEXT("--subscription-id", "TEXT", "Associate endpoint with a subscription"),
    {0},
};

static const struct option_def start_options[] = {
    FLAG("--detach", "Detach the endpoint process from the current terminal"),
    TEXT("--endpoint-uuid", "TEXT", "The UUID to register with the Globus Compute services"),
    {"--die-with-parent", 0, OPTION_FLAG, NULL, "Run a user's endpoint; from a manager only",
     .hidden = true},
    {0},
};

static const struct option_def restart_options[] = {
    FLAG("--detach", "Detach the endpoint process from the current terminal"),
    TEXT("--endpoint-uuid", "TEXT", "The UUID to register with the Globus Compute services"),
    FLAG("--keep-children", "Leave the user endpoints running; the new manager takes them over"),
    {0},
};

static const struct option_def stop_options[] = {
    FLAG("--remote",
         "Have the web service stop every instance with this endpoint's UUID, wherever it runs"),
    {0},
};

static const struct option_def delete_options[] = {
    FLAG("--force", "Ignores any errors encountered while attempting to delete an endpoint locally "
                    "and remotely."),
    FLAG("--yes", "Do not ask for confirmation to delete endpoints."),
    {0},
};

static const struct option_def login_options[] = {
    FLAG("--force", "Log in even if already logged in"),
    {0},
};

static const struct option_def logout_options[] = {
    FLAG("--force", "Revokes tokens even with currently running endpoints"),
    {0},
};

static const struct option_def whoami_options[] = {
    FLAG("--linked-identities",
         "Also show identities linked to the currently logged-in primary identity."),
    FLAG("--json", "A JSON list of {username, name, id, email} instead of the table"),
    {0},
};

static const struct option_def diagnostic_options[] = {
    {"--gzip", 'z', OPTION_FLAG, NULL,
     "Save the output in the working directory, in a file compressed with gzip"},
    {"--log-kb", 0, OPTION_COUNT, "INTEGER",
     "How many kilobytes of each log to read, from its end  [default: 5120]"},
    FLAG("--json", "A JSON list of {title, text} instead of the text"),
    {0},
};

static const struct option_def enable_options[] = {
    FLAG("--hardened",
         "Write a unit of Type=notify with the protections that users' jobs can live with"),
    {0},
};

static const struct option_def migrate_options[] = {
    FLAG("--yes", "Do not ask for confirmation to migrate the endpoint."),
    {0},
};

static const struct option_def version_options[] = {
    FLAG("--json", "A JSON object {version, sallyport} instead of the sentence"),
    {0},
};

static const struct option_def list_options[] = {
    FLAG("--json", "A JSON list of {id, name, status, path, user_endpoints} instead of the table"),
    {0},
};

static const struct option_def top_options[] = {
    FLAG("--once", "Print one table and exit; the default when the output is no terminal"),
    FLAG("--json", "A JSON object {now, endpoints} instead of the table"),
    {0},
};

static const struct option_def lint_options[] = {
    FLAG("--offline", "Do not ask the web service what time it is"),
    FLAG("--json", "A JSON list of {level, file, line, text} instead of lines"),
    {0},
};

static const struct option_def simulate_options[] = {
    {"--identities", 0, OPTION_INPUT, "FILE",
     "The identity set of the requester: a JSON list, or an object with `identities`"},
    PATH("--options", "The user_endpoint_config of the request, a JSON object"),
    PATH("--runtime", "The user_runtime of the request, a JSON object"),
    FLAG("--json", "A JSON object instead of lines"),
    {0},
};

static const struct option_def map_identity_options[] = {
    {"--endpoint", 'e', OPTION_TEXT, "NAME_OR_UUID",
     "Take the mapping file, the id and the rules for accounts from this endpoint"},
    PATH("--config", "The identity mapping document, a JSON list"),
    TEXT("--endpoint-id", "UUID", "What external mapping programs are told"),
    {"--identities", 0, OPTION_INPUT, "FILE",
     "The identity set: a JSON list, or an object with `identities`; - for standard input"},
    FLAG("--json", "A JSON object {username, matched_identity, candidates, explanation, account}"),
    FLAG("--check", "Print the mapped identities as globus-idm-validator does"),
    FLAG("--first", "With --check: only the name that the endpoint would choose"),
    {0},
};

static const struct option_def render_options[] = {
    {"--endpoint", 'e', OPTION_TEXT, "NAME_OR_UUID",
     "Endpoint name or UUID to read template and files from"},
    {"--template", 't', OPTION_INPUT, "FILE", "YAML Jinja2 template to render"},
    {"--user-options", 'o', OPTION_INPUT, "FILE", "JSON user options to render to the template"},
    {"--user-schema", 's', OPTION_INPUT, "FILE", "JSON schema to validate user options against"},
    {"--parent-config", 0, OPTION_INPUT, "FILE",
     "YAML data to render to the 'parent_config' reserved variable"},
    {"--user-runtime", 0, OPTION_INPUT, "FILE",
     "JSON data to render to the 'user_runtime' reserved variable"},
    {"--mapped-identity", 0, OPTION_INPUT, "FILE",
     "JSON data to render to the 'mapped_identity' reserved variable: {\"local\": {uname, uid, "
     "gid, "
     "gecos, shell, dir, groups}, \"globus\": {id}}"},
    FLAG("--json", "A JSON object {rendered, warnings}, or {error: {kind, type, message, where}}"),
    {0},
};

static const struct option_def common_options[] = {
    {"--help", 'h', OPTION_FLAG, NULL, "Show this message and exit."},
    FLAG("--no-color", "Do not colorize the (console) log lines"),
    FLAG("--log-to-console", "Emit log lines to console as well as log"),
    FLAG("--debug", "Emit extra information generally only helpful for developers"),
    {0},
};
static const struct option_def rest_options[] = {
    {"--help", 'h', OPTION_FLAG, NULL, "Show this message and exit."},
    {0},
};

const struct command commands[] = {
    CLI_COMMAND_COMPLETION("completion bash > ~/.local/share/bash-completion/completions/"
                           "globus-compute-endpoint"),
    {.name = "configure",
     .summary = "Configure an endpoint",
     .text = "Makes <config dir>/NAME with config.yaml, the template, schema and environment of "
             "user endpoints and, with multi-user support, an example identity mapping.",
     .examples = "configure --multi-user prod_gpu_large\n"
                 "configure --multi-user true --contact-email hpc@example.org my_endpoint\n"
                 "configure --multi-user false my_laptop",
     .operands = "[NAME]",
     .options = configure_options,
     .shared = common_options,
     .run = cmd_configure},
    {.name = "delete",
     .summary = "Deletes an endpoint and its config.",
     .text = "First at the web service, then the directory here.  A UUID without a directory here "
             "is deleted at the web service with --force.",
     .examples = "delete my_endpoint\ndelete --yes --force my_endpoint",
     .operands = "[NAME_OR_UUID]",
     .options = delete_options,
     .shared = common_options,
     .run = cmd_delete},
    CLI_COMMAND_DESCRIBE,
    {.name = "disable-on-boot",
     .summary = "Disable on-boot persistence.",
     .text = "Says what to type; changes nothing.",
     .examples = "disable-on-boot my_endpoint",
     .operands = "[NAME_OR_UUID]",
     .run = cmd_disable_on_boot},
    {.name = "enable-on-boot",
     .summary = "Enable on-boot persistence; restarts the endpoint when the machine restarts.",
     .text = "Writes a systemd unit and says how to switch it on.  Signs in first, so that the "
             "unit never has to ask.",
     .examples = "enable-on-boot my_endpoint\nenable-on-boot --hardened my_endpoint",
     .operands = "[NAME_OR_UUID]",
     .options = enable_options,
     .run = cmd_enable_on_boot},
    {.name = "lint",
     .summary = "Look for mistakes in the files of an endpoint",
     .text =
         "Checks config.yaml, mapping, schema, template, environment, who may write to them, and "
         "this host's clock beside that of the web service.  Exits 0 when there is no error; "
         "warnings don't count.",
     .examples = "lint my_endpoint\nlint my_endpoint --offline --json",
     .operands = "[NAME_OR_UUID]",
     .options = lint_options,
     .run = cmd_lint},
    {.name = "list",
     .summary = "List all available endpoints",
     .text = "The status comes from the directory, so it is right on every host that shares it.",
     .examples = "list\nlist --json",
     .options = list_options,
     .shared = common_options,
     .run = cmd_list},
    {.name = "login",
     .summary = "Manually log in with Globus",
     .text = "Prints the address of a page and reads the code that the page shows.  With "
             "GLOBUS_COMPUTE_CLIENT_ID and _SECRET it asks nobody.",
     .examples = "login\nlogin --force",
     .options = login_options,
     .run = cmd_login},
    {.name = "logout",
     .summary = "Logout from all endpoints",
     .text = "Revokes the stored tokens and forgets them.",
     .examples = "logout\nlogout --force",
     .options = logout_options,
     .run = cmd_logout},
    {.name = "map-identity",
     .summary = "Explain whom an identity set is mapped to",
     .text = "Says for each rule and identity what matched and why the others did not, and whether "
             "the account would be accepted.  Exits 0 when a name comes out, else 1.",
     .examples = "map-identity -e my_endpoint --identities set.json\n"
                 "map-identity --config mapping.json --endpoint-id UUID --identities set.json "
                 "--json",
     .options = map_identity_options,
     .run = cmd_map_identity},
    {.name = "migrate-to-template-capable",
     .summary = "Add configuration templating to an existing endpoint",
     .text = "Moves `engine` and all that belongs to it from config.yaml into "
             "user_config_template.yaml.j2; the old file stays as config.yaml.backup.",
     .examples = "migrate-to-template-capable my_endpoint\n"
                 "migrate-to-template-capable --yes my_endpoint",
     .operands = "[NAME_OR_UUID]",
     .options = migrate_options,
     .run = cmd_migrate},
    {.name = "python-exec",
     .summary = "Run a Python module as a script via the Globus Compute endpoint CLI.",
     .text = "With the interpreter that runs the workers: GC_WORKER_PYTHON, else python3 on PATH.",
     .examples = "python-exec path.to.module --ahoy matey",
     .operands = "MODULE",
     .shared = rest_options,
     .rest = true,
     .run = cmd_python_exec},
    {.name = "render-user-config",
     .summary = "Render a user config template to stdout",
     .text =
         "With --endpoint, the files of that endpoint are used, each can be replaced by its "
         "option.  A hyphen (-) as a file is standard input, for one of them.  The text goes to "
         "standard output, the rest to standard error.",
     .examples = "render-user-config -t my_template.yaml.j2 -s user_config_schema.json -o "
                 "user_options.json\n"
                 "render-user-config -e my_endpoint -o - < user_options.json",
     .options = render_options,
     .run = cmd_render_user_config},
    {.name = "restart",
     .summary = "Restarts an endpoint",
     .examples = "restart my_endpoint\nrestart my_endpoint --detach\n"
                 "restart my_endpoint --keep-children",
     .operands = "[NAME_OR_UUID]",
     .options = restart_options,
     .shared = common_options,
     .run = cmd_restart},
    {.name = "self-diagnostic",
     .summary = "Run several diagnostic commands to help identify issues",
     .text = "Prints what somebody who helps from afar will ask for: the machine, the network, the "
             "web service, the endpoints with their files and logs.  Credentials are left out.",
     .examples = "self-diagnostic\nself-diagnostic --gzip --log-kb 1024\nself-diagnostic --json",
     .options = diagnostic_options,
     .shared = common_options,
     .run = cmd_diagnostic},
    {.name = "simulate",
     .summary = "Say what a start request would come to; nothing is started",
     .text =
         "Maps the identities, checks the account, renders configuration and environment as that "
         "user, and prints the batch script that the user endpoint would submit, with all limits.  "
         "Exits 0 when the user endpoint would start.",
     .examples = "simulate my_endpoint --identities set.json --options options.json",
     .operands = "[NAME_OR_UUID]",
     .options = simulate_options,
     .run = cmd_simulate},
    {.name = "start",
     .summary = "Start an endpoint",
     .text = "Runs in the foreground, fit for a systemd unit of Type=simple.  Without stored "
             "credentials it begins a sign-in; GLOBUS_COMPUTE_CLIENT_ID and _SECRET avoid that.",
     .examples = "start my_endpoint\n"
                 "start my_endpoint --log-to-console --debug\n"
                 "start my_endpoint --detach",
     .operands = "[NAME_OR_UUID]",
     .options = start_options,
     .shared = common_options,
     .run = cmd_start},
    {.name = "_start-user-endpoint",
     .summary = "Run a user's endpoint (managers do this)",
     .examples = "_start-user-endpoint NAME < document.json",
     .operands = "[NAME_OR_UUID]",
     .hidden = true,
     .shared = common_options,
     .run = cmd_start_user_endpoint},
    {.name = "stop",
     .summary = "Stops an endpoint using the pidfile",
     .text = "Works from every host that shares the directory.  Waits until the endpoint and its "
             "user endpoints are gone.",
     .examples = "stop my_endpoint\nstop my_endpoint --remote",
     .operands = "[NAME_OR_UUID]",
     .options = stop_options,
     .shared = common_options,
     .run = cmd_stop},
    {.name = "top",
     .summary = "Watch the user endpoints of this host: blocks, nodes, workers, tasks",
     .text = "Each user endpoint is asked once a second; q quits.  Run by the account of the "
             "manager (root as a rule) it shows those of every user, else those of its own "
             "account.  Without NAME_OR_UUID: of all endpoints in the base directory.",
     .examples = "top\ntop my_endpoint\ntop my_endpoint --once\ntop --json",
     .operands = "[NAME_OR_UUID]",
     .options = top_options,
     .shared = common_options,
     .run = cmd_top},
    {.name = "version",
     .summary = "Show the version of globus-compute-endpoint",
     .examples = "version\nversion --json",
     .options = version_options,
     .shared = common_options,
     .run = cmd_version},
    {.name = "whoami",
     .summary = "Show the currently logged-in identity",
     .examples = "whoami\nwhoami --linked-identities --json",
     .options = whoami_options,
     .run = cmd_whoami},
};
const size_t commands_count = sizeof(commands) / sizeof(commands[0]);
