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
/* What status.sock tells: who, tasks, totals since the start, blocks, nodes.  Totals and `now` of
 * two answers give rates.  A new object. */
struct report_moment {
    const char *endpoint_id, *phase;
    size_t waiting, unconfirmed;
    uint64_t received, confirmed;
    bool taking, publishing; /* the broker's two ways are open */
};
struct json_object *report_status(const struct report *r, const struct report_moment *m);
/* global_state: a new object. */
struct json_object *report_state(const struct report *r);

#endif
