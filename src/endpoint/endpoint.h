/* A running user endpoint: tasks in, results out, heartbeats, and the orderly end.
 *
 *   broker ──delivery──▶ intake ──▶ dispatch ──▶ nodes (blocks, agents)
 *      ▲                                │
 *      └── confirm ◀── outbox ◀── result ┘
 *
 * A delivery is acknowledged when the broker has confirmed its result, or when the task is in the
 * journal.  States: RUNNING ──▶ FINISHING (grace for running tasks) ──▶ ENDING (nodes go) ──▶
 * FLUSHING (results are confirmed) ──▶ PARTING (last heartbeat) ──▶ gone. */
#ifndef SALLYPORT_ENDPOINT_ENDPOINT_H
#define SALLYPORT_ENDPOINT_ENDPOINT_H

#include "endpoint/credentials.h"
#include "endpoint/document.h"
#include "endpoint/engine.h"
#include "endpoint/settings.h"
#include "lib/base/loop.h"
#include "lib/base/pidfile.h"

struct endpoint;

struct endpoint_opts {
    const char *dir;
    const struct document *document;
    const struct settings *settings;
    const struct engine *engine;
    const struct credentials *credentials;
    const struct queues *queues;
    struct pidfile *pidfile; /* touched with each heartbeat */
    const char *title;       /* of the process, when nothing special is to be said */
    bool debug;
};

/* Connects and goes to work once the loop runs.  o and what it points to must outlive it. */
struct endpoint *endpoint_create(struct loop *l, const struct endpoint_opts *o, struct err *err);
/* Orderly; the loop stops with 0 at its end. */
void endpoint_stop(struct endpoint *e, const char *why);
void endpoint_destroy(struct endpoint *e);

#endif
