/* The table. */
#include "cli/sallyport/commands.h"

static const struct option_def serve_options[] = {
    OPTION_DATA,
    {"--port", 'p', "N", "The port on 127.0.0.1 and ::1; 0 = one that is free  [default: 5000]"},
    {"--listen", 'l', "ADDR", "HOST:PORT instead of the two local addresses; may be repeated",
     .repeats = true},
    {"--store", 0, "URL", "sqlite:FILE or postgresql://...  [default: sqlite:DIR/ledger.db]"},
    {"--broker", 0, "URL",
     "A RabbitMQ that is there already, as amqp://USER:PASSWORD@HOST/VHOST; "
     "without it a private one is run"},
    {"--user", 'u', "NAME",
     "When started by root: the account that runs broker and service  "
     "[default: sallyport when it exists, else nobody for the broker]"},
    {"--cert", 0, "FILE", "TLS: the certificate with its chain (PEM)"},
    {"--key", 0, "FILE", "TLS: its key (PEM)"},
    {"--public-url", 0, "URL", "How clients reach this service, if not as they called it"},
    {"--log", 0, "FILE", "Log to this file instead of standard error"},
    {0},
};

const struct command commands[] = {
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
    {.name = "version",
     .summary = "Show the version of sallyport",
     .examples = "version",
     .run = cmd_version},
};
const size_t commands_count = sizeof(commands) / sizeof(commands[0]);
