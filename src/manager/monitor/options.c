/* See options.h. */
#include "manager/monitor/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { DIR_ = 1, TOKENS, UUID, DETACH, DEBUG, CONSOLE, NO_COLOR };

static const struct option table[] = {
    {"dir", required_argument, NULL, DIR_},
    {"tokens-fd", required_argument, NULL, TOKENS},
    {"endpoint-uuid", required_argument, NULL, UUID},
    {"detach", no_argument, NULL, DETACH},
    {"debug", no_argument, NULL, DEBUG},
    {"log-to-console", no_argument, NULL, CONSOLE},
    {"no-color", no_argument, NULL, NO_COLOR},
    {0},
};

static int take(struct options *o, int option)
{
    char *end;
    switch (option) {
    case DIR_:
        o->dir = optarg;
        return 0;
    case TOKENS: {
        long fd = strtol(optarg, &end, 10);
        if (*end || fd < 3 || fd > 1000000)
            return -1;
        o->tokens_fd = (int)fd;
        return 0;
    }
    case UUID:
        o->endpoint_uuid = optarg;
        return 0;
    case DETACH:
        o->detach = true;
        return 0;
    case DEBUG:
        o->debug = true;
        return 0;
    case CONSOLE:
        o->console = true;
        return 0;
    case NO_COLOR:
        o->no_color = true;
        return 0;
    default:
        return -1;
    }
}

int options_parse(struct options *o, int argc, char **argv)
{
    *o = (struct options){.tokens_fd = -1};
    int c, rc = 0;
    while (rc == 0 && (c = getopt_long(argc, argv, "", table, NULL)) != -1)
        rc = take(o, c);
    if (rc == 0 && o->dir && optind == argc)
        return 0;
    fprintf(stderr, "This program is run by `globus-compute-endpoint start NAME`.\n"
                    "Usage: monitor --dir DIR [--tokens-fd N] [--endpoint-uuid UUID] [--detach] "
                    "[--debug] [--log-to-console] [--no-color]\n");
    return -1;
}
