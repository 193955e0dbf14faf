/* How many messages wait in an endpoint's queue: the broker is asked. */
#include "lib/base/alloc.h"
#include "service/broker/broker.h"
#include "service/web/web.h"

struct depth {
    web_depth_f *then;
    void *arg;
};

static void looked(void *arg, const struct broker_queue_state *state, const struct err *err)
{
    struct depth *d = arg;
    bool known = state != NULL && state->exists;
    d->then(d->arg, known ? (int64_t)state->messages : -1, known ? (int64_t)state->consumers : -1);
    free(d);
}

void web_broker_depth(void *broker, const char *endpoint_id, web_depth_f *then, void *arg)
{
    struct broker *b = *(struct broker **)broker;
    if (b == NULL || !broker_is_up(b)) {
        then(arg, -1, -1);
        return;
    }
    struct depth *d = xcalloc(1, sizeof *d);
    *d = (struct depth){.then = then, .arg = arg};
    broker_queue_look(b, BROKER_TASKS, endpoint_id, looked, d);
}
