#include "node/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"

const char options_usage[] =
    "Usage: node-agent --addresses A[,B...] --port N --key-file FILE --block-id ID [options]\n"
    "\n"
    "Runs on each node of a block: starts Python workers and feeds them with the tasks of its\n"
    "user endpoint, which puts this command into the batch script.\n"
    "\n"
    "  --addresses A,B      addresses of the user endpoint, all tried at once\n"
    "  --port N             its port\n"
    "  --key-file FILE      its key file, on a file system that the nodes share\n"
    "  --block-id ID        the block that this node belongs to\n"
    "  --probe-timeout S    seconds until one address must have answered (default 30)\n"
    "  --while-pid PID      leave when this process of the same host ends\n"
    "  --plain              the link is not encrypted\n"
    "  --debug              more in the log\n"
    "\n"
    "Environment: GC_WORKER_PYTHON names the interpreter of the workers; else the one of a\n"
    "globus-compute-endpoint script on PATH, else python3.\n";

static char **split(const char *list)
{
    size_t n = 1;
    for (const char *p = list; *p != '\0'; p++)
        n += *p == ',';
    char **out = xcalloc(n + 1, sizeof(*out));
    size_t count = 0;
    while (*list != '\0') {
        size_t len = strcspn(list, ",");
        if (len > 0)
            out[count++] = xstrndup(list, len);
        list += len + (list[len] == ',');
    }
    return out;
}

static int number(const char *text, int low, int high, const char *what, int *out, struct err *err)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || n < low || n > high)
        return err_set(err, "%s must be a number from %d to %d, not %s", what, low, high, text);
    *out = (int)n;
    return 0;
}

int options_read(struct options *o, int argc, char **argv, struct err *err)
{
    static const struct option table[] = {
        {"addresses", required_argument, NULL, 'a'},
        {"port", required_argument, NULL, 'p'},
        {"key-file", required_argument, NULL, 'k'},
        {"block-id", required_argument, NULL, 'b'},
        {"probe-timeout", required_argument, NULL, 't'},
        {"while-pid", required_argument, NULL, 'w'},
        {"plain", no_argument, NULL, 'n'},
        {"debug", no_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c, rc = 0;
    *o = (struct options){.probe_timeout_s = 30};
    while (rc == 0 && (c = getopt_long(argc, argv, "", table, NULL)) != -1)
        switch (c) {
        case 'a':
            o->addresses = split(optarg);
            break;
        case 'p':
            rc = number(optarg, 1, 65535, "--port", &o->port, err);
            break;
        case 'k':
            o->key_file = optarg;
            break;
        case 'b':
            o->block = optarg;
            break;
        case 't':
            rc = number(optarg, 1, 3600, "--probe-timeout", &o->probe_timeout_s, err);
            break;
        case 'w':
            rc = number(optarg, 2, 1 << 30, "--while-pid", &o->while_pid, err);
            break;
        case 'n':
            o->plain = true;
            break;
        case 'd':
            o->debug = true;
            break;
        case 'h':
            o->help = true;
            return 0;
        default:
            return err_set(err, "unknown option; see node-agent --help");
        }
    if (rc == 0 && (o->addresses == NULL || o->addresses[0] == NULL || o->port == 0 ||
                    o->key_file == NULL || o->block == NULL))
        return err_set(err, "--addresses, --port, --key-file and --block-id are needed");
    return rc;
}

void options_clear(struct options *o)
{
    for (char **a = o->addresses; a != NULL && *a != NULL; a++)
        free(*a);
    free(o->addresses);
}
