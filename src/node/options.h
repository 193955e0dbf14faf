/* The command line of a node agent: how to find its user endpoint.  Everything else comes over the
 * link with the welcome (lib/link/link.h). */
#ifndef SALLYPORT_NODE_OPTIONS_H
#define SALLYPORT_NODE_OPTIONS_H

#include <stdbool.h>

#include "lib/base/err.h"

struct options {
    char **addresses; /* NULL-terminated */
    int port;
    const char *key_file, *block;
    int probe_timeout_s;
    int while_pid; /* leave when this process ends; 0 = none */
    bool plain, debug, help;
};

int options_read(struct options *o, int argc, char **argv, struct err *err);
void options_clear(struct options *o);
extern const char options_usage[];

#endif
