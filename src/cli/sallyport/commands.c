/* The table. */
#include "cli/sallyport/commands.h"
#include "cli/sallyport/ledger.h"
#include "cli/sallyport/show.h"
#include "lib/cli/show.h"

static const struct option_def serve_options[] = {
    OPTION_DATA,
    {"--port", 'p', OPTION_TEXT, "N",
     "The port on 127.0.0.1 and ::1; 0 = one that is free  [default: 5000]"},
    {"--listen", 'l', OPTION_TEXT, "ADDR",
     "HOST:PORT instead of the two local addresses; may be repeated", .repeats = true},
    {"--store", 0, OPTION_TEXT, "URL",
     "sqlite:FILE or postgresql://...  [default: sqlite:DIR/ledger.db]"},
    {"--broker", 0, OPTION_TEXT, "URL",
     "A RabbitMQ that is there already, as amqp://USER:PASSWORD@HOST/VHOST; "
     "without it a private one is run"},
    {"--user", 'u', OPTION_TEXT, "NAME",
     "When started by root: the account that runs broker and service  "
     "[default: sallyport when it exists, else nobody for the broker]"},
    {"--cert", 0, OPTION_TEXT, "FILE", "TLS: the certificate with its chain (PEM)"},
    {"--key", 0, OPTION_TEXT, "FILE", "TLS: its key (PEM)"},
    {"--connect", 0, OPTION_TEXT, "ADDR",
     "TLS: HOST:PORT that answers CONNECT for the production names (https_proxy of the SDK)"},
    {"--public-url", 0, OPTION_TEXT, "URL",
     "How clients reach this service, if not as they called it"},
    {"--log", 0, OPTION_TEXT, "FILE", "Log to this file instead of standard error"},
    {"--instance", 0, OPTION_TEXT, "NAME",
     "One of several processes that share DIR, a ledger in PostgreSQL and a broker"},
    {0},
};

/* ---- sign-in: users, clients, tokens ----------------------------------------------------------
 */

static const struct option_def plain_options[] = {OPTION_DATA, OPTION_STORE, OPTION_JSON, {0}};

static const struct option_def user_add_options[] = {
    OPTION_DATA,
    OPTION_STORE,
    {"--name", 'n', OPTION_TEXT, "TEXT", "The person's name"},
    {"--email", 'e', OPTION_TEXT, "ADDRESS", "E-mail address  [default: the user name]"},
    {"--organization", 0, OPTION_TEXT, "TEXT", "Where the person works"},
    {"--link", 0, OPTION_TEXT, "USER", "Another identity of this user"},
    {"--admin", 0, OPTION_FLAG, NULL, "An administrator of this service"},
    {"--password-stdin", 0, OPTION_FLAG, NULL, "Read the password from standard input"},
    {"--no-password", 0, OPTION_FLAG, NULL, "No sign-in by password"},
    OPTION_JSON,
    {0},
};

static const struct option_def user_passwd_options[] = {
    OPTION_DATA,
    OPTION_STORE,
    {"--password-stdin", 0, OPTION_FLAG, NULL, "Read the password from standard input"},
    OPTION_JSON,
    {0},
};

static const struct option_def user_link_options[] = {
    OPTION_DATA,
    OPTION_STORE,
    {"--alone", 0, OPTION_FLAG, NULL, "Take USER out of its identity set"},
    OPTION_JSON,
    {0},
};

static const struct option_def switch_options[] = {
    OPTION_DATA, OPTION_STORE, {"--off", 0, OPTION_FLAG, NULL, "The other way round"},
    OPTION_JSON, {0},
};

static const struct option_def client_add_options[] = {
    OPTION_DATA,
    OPTION_STORE,
    {"--as", 0, OPTION_TEXT, "USER",
     "What the client runs is this user's: both form an identity set"},
    {"--secret-stdin", 0, OPTION_FLAG, NULL,
     "Read the secret from standard input instead of making one"},
    {"--native", 0, OPTION_FLAG, NULL,
     "A program without a secret, in which people sign in (PKCE)"},
    {"--redirect-uri", 0, OPTION_TEXT, "URL", "Where a browser may return to; may be repeated",
     .repeats = true},
    OPTION_JSON,
    {0},
};

static const struct option_def env_options[] = {
    OPTION_DATA,
    {"--url", 0, OPTION_TEXT, "URL", "Where users reach the service  [default: where it listens]"},
    {"--way", 0, OPTION_TEXT, "WAY", "local, http or tls  [default: what the URL needs]"},
    {"--proxy", 0, OPTION_TEXT, "URL", "tls: the port that answers CONNECT, as http://HOST:PORT"},
    {"--ca", 0, OPTION_TEXT, "FILE",
     "tls: the site's CA certificate, as the user's machine has it"},
    OPTION_JSON,
    {0},
};

static const struct option_def grant_key_options[] = {OPTION_DATA, OPTION_JSON, {0}};

static const struct option_def grant_key_rotate_options[] = {
    OPTION_DATA,
    {"--days", 0, OPTION_TEXT, "N",
     "How long the old key stays good; 0 = void at once  [default: 30]"},
    OPTION_JSON,
    {0},
};

static const struct option_def drain_options[] = {
    OPTION_DATA,
    {"--instance", 0, OPTION_TEXT, "NAME", "One of several processes of this folder"},
    {0},
};

static const struct option_def task_options[] = {
    OPTION_DATA,
    OPTION_STORE,
    {"--state", 0, OPTION_TEXT, "STATE",
     "open, waiting, sent, succeeded or failed  [default: open]"},
    OPTION_JSON,
    {0},
};

static const struct option_def broker_conf_options[] = {OPTION_DATA, {0}};

static const struct option_def broker_options[] = {
    OPTION_DATA,
    {"--store", 0, OPTION_TEXT, "URL", "The ledger of the services  [default: as in service.yaml]"},
    {"--user", 'u', OPTION_TEXT, "NAME", "When started by root: the account that runs it"},
    {0},
};

static const struct option_def backup_options[] = {OPTION_DATA, {0}};

static const struct option_def restore_options[] = {
    OPTION_DATA,
    {"--user", 'u', OPTION_TEXT, "NAME",
     "By root: the account that the files belong to  [default: sallyport when it exists, else the "
     "owner of DIR]"},
    {0},
};

static const struct option_def version_options[] = {OPTION_JSON, {0}};

static const struct option_def audit_verify_options[] = {
    {"--after", 0, OPTION_TEXT, "HASH", "The last hash of the file before the first one given"},
    {"--last", 0, OPTION_TEXT, "HASH",
     "What the last hash must be, as the manager's log has it at the end of a session"},
    OPTION_JSON,
    {0},
};

const struct command commands[] = {
    {.name = "audit verify",
     .summary = "Follow the hash chain of audit logs, oldest file first",
     .text = "Exits 0 when no line was changed, taken out or put in, else 1 with the first wrong "
             "line.  Lines cut off at the end show with --last only.",
     .examples = "audit verify /var/log/globus-audit.log\n"
                 "audit verify /var/log/globus-audit.log.1 /var/log/globus-audit.log --json",
     .operands = "FILE...",
     .options = audit_verify_options,
     .run = cmd_audit_verify},
    {.name = "backup",
     .summary = "Copy all that counts into a new folder, while the service runs",
     .text = "FOLDER gets the ledger (one moment of it), payloads, keys and settings, and at the "
             "end backup.json, without which it is no backup.  The broker's messages are not "
             "in it: the service sends again what is lost of them.",
     .examples = "backup --data /srv/sallyport /backup/sallyport-2026-11-24",
     .operands = "FOLDER",
     .options = backup_options,
     .run = cmd_backup},
    {.name = "client add",
     .summary = "Make a client: an id and a secret for scripts and endpoints",
     .text = "Prints the two variables that the SDK and globus-compute-endpoint read.  The secret "
             "is shown this once; the service keeps only its hash.",
     .examples = "client add nightly-run\n"
                 "client add nightly-run --as alice@example.org\n"
                 "client add nightly-run --json",
     .operands = "NAME",
     .options = client_add_options,
     .run = cmd_client_add},
    {.name = "client list",
     .summary = "List the clients",
     .examples = "client list",
     .options = plain_options,
     .run = cmd_client_list},
    {.name = "client remove",
     .summary = "Remove a client; its tokens are void at once",
     .text = "CLIENT is an id, or a name that only one client has.",
     .examples = "client remove nightly-run",
     .operands = "CLIENT",
     .options = plain_options,
     .run = cmd_client_remove},
    {.name = "drain",
     .summary = "Have the running service finish what it accepted, and end",
     .text = "Takes no new connection, answers what was asked, brings what was accepted to ledger "
             "and broker.  Returns when the service has ended.  Run it on the service's host.",
     .examples = "drain --data /srv/sallyport\n"
                 "drain --data /srv/sallyport --instance a",
     .options = drain_options,
     .run = cmd_drain},
    {.name = "endpoint list",
     .summary = "List the endpoints that are registered",
     .examples = "endpoint list",
     .options = plain_options,
     .run = cmd_endpoint_list},
    {.name = "endpoint access",
     .summary = "List who may do what with an endpoint, beside its owner and `admins`",
     .examples = "endpoint access 7f0c3d2e-1111-4222-8333-444455556666",
     .operands = "ENDPOINT",
     .options = plain_options,
     .run = cmd_endpoint_access},
    {.name = "endpoint allow",
     .summary = "Give somebody a role at an endpoint",
     .text =
         "WHO is a user, or group:NAME.  ROLE is use (the default), view, operate or configure; "
         "each includes those before it.  An endpoint that lists somebody for use serves "
         "listed people only.",
     .examples = "endpoint allow 7f0c3d2e-1111-4222-8333-444455556666 group:chemistry\n"
                 "endpoint allow 7f0c3d2e-1111-4222-8333-444455556666 bob@example.org operate",
     .operands = "ENDPOINT WHO [ROLE]",
     .options = plain_options,
     .run = cmd_endpoint_allow},
    {.name = "endpoint deny",
     .summary = "Take somebody's role at an endpoint away",
     .examples = "endpoint deny 7f0c3d2e-1111-4222-8333-444455556666 bob@example.org",
     .operands = "ENDPOINT WHO",
     .options = plain_options,
     .run = cmd_endpoint_deny},
    {.name = "env",
     .summary = "Print what a user puts into the shell to reach this service",
     .text = "Works in every POSIX shell; for the lines of another host, give the URL by which "
             "users reach it.",
     .examples = "env\n"
                 "env --url http://login1.example.org:5000\n"
                 "env --url https://compute.example.org --ca /etc/ssl/site-ca.pem "
                 "--proxy http://compute.example.org:5080",
     .options = env_options,
     .run = cmd_env},
    {.name = "grant-key",
     .summary = "Show the public key of this service's start grants, for config.yaml of endpoints",
     .text =
         "The service signs every start command.  An endpoint whose config.yaml has these lines "
         "starts nothing that is not signed by this service, so a stolen broker password "
         "starts nothing.",
     .examples = "grant-key",
     .options = grant_key_options,
     .run = cmd_grant_key},
    {.name = "grant-key rotate",
     .summary = "Make a new key; the old one stays good for some time",
     .text = "Commands are signed with both keys until the old one's end; by then every endpoint "
             "needs the new lines.  A running service takes the new key at once.",
     .examples = "grant-key rotate\n"
                 "grant-key rotate --days 0",
     .options = grant_key_rotate_options,
     .run = cmd_grant_key_rotate},
    {.name = "group add",
     .summary = "Make a group, or add users to one",
     .text = "Groups stand for their members in `sallyport endpoint allow`, and functions that are "
             "registered with a group's id may be run by its members.",
     .examples = "group add chemistry alice@example.org bob@example.org",
     .operands = "NAME [USER] ...",
     .options = plain_options,
     .run = cmd_group_add},
    {.name = "group list",
     .summary = "List the groups",
     .examples = "group list",
     .options = plain_options,
     .run = cmd_group_list},
    {.name = "group remove",
     .summary = "Take users out of a group, or remove it",
     .examples = "group remove chemistry bob@example.org\n"
                 "group remove chemistry",
     .operands = "NAME [USER] ...",
     .options = plain_options,
     .run = cmd_group_remove},
    {.name = "restore",
     .summary = "Make the service's folder from a backup",
     .text = "Checks all of FOLDER first: every file against its hash, the ledger by SQLite.  DIR "
             "has to be empty or absent: nothing is ever replaced.",
     .examples = "restore --data /srv/sallyport /backup/sallyport-2026-11-24",
     .operands = "FOLDER",
     .options = restore_options,
     .run = cmd_restore},
    {.name = "serve",
     .summary = "Run the web service",
     .text = "Serves the Compute and Auth interfaces and the pages, and runs a private RabbitMQ "
             "unless --broker names one.  Settings may stand in DIR/service.yaml; options win.  "
             "Prints one line that begins with \"ready\" when it accepts requests, and stops in "
             "order on SIGTERM.",
     .examples = "serve --data /srv/sallyport\n"
                 "serve --data ./data --port 0\n"
                 "serve --data ./data --listen 0.0.0.0:443 --cert site.pem --key site.key",
     .options = serve_options,
     .run = cmd_serve},
    {.name = "task list",
     .summary = "List tasks, the newest first (1000 at most)",
     .examples = "task list\n"
                 "task list --state failed --json",
     .options = task_options,
     .run = cmd_task_list},
    {.name = "token list",
     .summary = "List who is signed in, and with which program",
     .examples = "token list\n"
                 "token list alice@example.org",
     .operands = "[USER]",
     .options = plain_options,
     .run = cmd_token_list},
    {.name = "token revoke",
     .summary = "End sign-ins: of a user, of a client, or one of `token list`",
     .examples = "token revoke alice@example.org",
     .operands = "WHAT",
     .options = plain_options,
     .run = cmd_token_revoke},
    {.name = "user add",
     .summary = "Add a user who signs in with a password",
     .text = "Asks for the password on the terminal, twice, unless --password-stdin is given.  "
             "Identity mapping sees the name as the username of the user's identity.",
     .examples = "user add alice@example.org --name 'Alice Liddell'\n"
                 "user add bob@example.org --password-stdin --admin < bobs-password",
     .operands = "NAME",
     .options = user_add_options,
     .run = cmd_user_add},
    {.name = "user admin",
     .summary = "Make a user an administrator of this service",
     .examples = "user admin alice@example.org\n"
                 "user admin alice@example.org --off",
     .operands = "USER",
     .options = switch_options,
     .run = cmd_user_admin},
    {.name = "user disable",
     .summary = "Close an account: no sign-in, tokens void; --off opens it again",
     .examples = "user disable alice@example.org",
     .operands = "USER",
     .options = switch_options,
     .run = cmd_user_disable},
    {.name = "user link",
     .summary = "Make two identities one person",
     .text = "Puts USER (and what it is linked with) into the identity set of TO.  Identity "
             "mapping may use any identity of the set, and what one owns, all may use.",
     .examples = "user link alice@example.org alice@campus.example.edu\n"
                 "user link alice@example.org --alone",
     .operands = "USER [TO]",
     .options = user_link_options,
     .run = cmd_user_link},
    {.name = "user list",
     .summary = "List the users",
     .examples = "user list",
     .options = plain_options,
     .run = cmd_user_list},
    {.name = "user passwd",
     .summary = "Give a user another password",
     .examples = "user passwd alice@example.org",
     .operands = "USER",
     .options = user_passwd_options,
     .run = cmd_user_passwd},
    {.name = "user remove",
     .summary = "Remove a user and end all of the user's sign-ins",
     .examples = "user remove alice@example.org",
     .operands = "USER",
     .options = plain_options,
     .run = cmd_user_remove},
    {.name = "broker",
     .summary = "Run the private message broker by itself",
     .text = "Sets up RabbitMQ in DIR/broker, with its own ports and accounts, and runs it in the "
             "foreground.  A `sallyport serve` of the same DIR uses it instead of starting one, so "
             "it stays up while the service restarts.",
     .examples = "broker --data /srv/sallyport",
     .options = broker_options,
     .run = cmd_broker},
    {.name = "broker-conf",
     .summary = "Print what a RabbitMQ of the site needs in its rabbitmq.conf",
     .text = "The lines make it ask this service about the logins of endpoints and users.  They "
             "hold a secret address.  broker.url and broker.auth_listen have to stand in "
             "DIR/service.yaml.",
     .examples = "broker-conf --data /srv/sallyport",
     .options = broker_conf_options,
     .run = cmd_broker_conf},
    {.name = "version",
     .summary = "Show the version of sallyport",
     .examples = "version\nversion --json",
     .options = version_options,
     .run = cmd_version},
    CLI_COMMAND_COMPLETION(
        "completion bash > ~/.local/share/bash-completion/completions/sallyport"),
    CLI_COMMAND_DESCRIBE,
};
const size_t commands_count = sizeof(commands) / sizeof(commands[0]);
