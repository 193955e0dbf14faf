/* The Compute interface (spec: web-service.md): its routes and what happens between them.
 *
 *   submit ──▶ ledger ──▶ outbox ──▶ broker ──▶ user endpoint
 *     └─ ueps: is it up?  start it ──▶ manager      │
 *   SDK ◀── stream queue ◀── results ◀──────────────┘
 *   presence: heartbeats say who is there; failures end the waits */
#ifndef SALLYPORT_SERVICE_API_H
#define SALLYPORT_SERVICE_API_H

#include "service/auth/auth.h"
#include "service/broker/broker.h"
#include "service/http/server.h"
#include "service/store/store.h"

struct api;

struct api_settings {
    /* Tasks for an endpoint that is not online: wait in the ledger (true), or refuse the submit. */
    bool offline_wait;
    uint64_t task_days; /* how long a task may wait for its endpoint, and a result for its user */
    size_t payload_file_min;            /* bytes; larger payloads and results go to files */
    unsigned rate_per_s, rate_burst;    /* requests of one person */
    unsigned tasks_per_s, tasks_burst;  /* tasks of one person */
    unsigned start_timeout_s;           /* for a user endpoint's check-in; below 55 */
    const char *min_sdk, *min_endpoint; /* oldest releases that are served, like "4.10.0" */
    const char *data_dir;
    /* Several processes share the ledger: where this one runs, which no two do at a time. NULL: it
     * is the only one. */
    const char *place;
};
extern const struct api_settings api_settings_default;

struct api *api_create(struct loop *l, struct store *s, struct creds *c, struct auth *a,
                       const struct api_settings *settings, struct err *err);
/* The broker calls back into the api: made after it, given to it here. */
const struct broker_handlers *api_broker_handlers(void); /* arg: the api */
void api_broker(struct api *a, struct broker *b);
void api_routes(struct api *a, struct server *s);
/* Each time the broker has come up. */
void api_on_ready(struct api *a, loop_f *ready, void *arg);
/* How a revoked principal's connections are ended; without it they end when they reconnect. */
void api_on_kick(struct api *a, void (*kick)(void *arg, const char *principal), void *arg);
/* In this order: api_stop(), broker_destroy(), store_close(), api_destroy().  What was not finished
 * is finished after the next start; nothing is lost. */
void api_stop(struct api *a);
void api_destroy(struct api *a);
/* A result that is kept in a file, for the console; from any thread. 0, or -1. */
int api_read_file(void *api, const char *name, struct buf *out);
/* Everything that was accepted has left for the broker and the ledger. */
bool api_is_idle(const struct api *a);

#endif
