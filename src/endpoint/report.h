/* The content of a heartbeat (spec: user-endpoint.md 8.5). */
#ifndef SALLYPORT_ENDPOINT_REPORT_H
#define SALLYPORT_ENDPOINT_REPORT_H

#include "endpoint/engine.h"
#include "endpoint/nodes.h"

struct report {
    const struct engine *engine;
    const struct nodes *nodes;
    struct json_object *identity; /* from report_identity() */
    double heartbeat_period;
    size_t outstanding, total; /* accepted and unfinished; ever submitted */
    bool active;
};

/* Who we are, once: the manager's ep_info, our ids, the configuration as received.  New object. */
struct json_object *report_identity(struct json_object *ep_info, const char *config);
/* global_state: a new object. */
struct json_object *report_state(const struct report *r);

#endif
