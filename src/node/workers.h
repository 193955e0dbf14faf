/* The workers of a node: a fork server in Python, and one process per slot, started when there is
 * work for it and kept warm.
 *
 *   slot:  EMPTY ──▶ STARTING ──▶ IDLE ◀──▶ BUSY ──▶ (dies) EMPTY */
#ifndef SALLYPORT_NODE_WORKERS_H
#define SALLYPORT_NODE_WORKERS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "node/place.h"

struct workers;

struct workers_handlers {
    void (*ready)(void *arg, struct json_object *details); /* the interpreter has started */
    void (*free_slot)(void *arg);                          /* a slot can take a task */
    void (*result)(void *arg, const char *task_id, const void *body, size_t n);
    void (*failed)(void *arg, const char *task_id, const char *text);
    void (*died)(void *arg, const char *task_id, int slot, const char *how);
    void (*broken)(void *arg, const char *why); /* no worker can be started */
};

struct workers_opts {
    struct place *place;
    struct json_object *settings;
    const char *agent_id, *block;
    const char *python;
    int tasks_per_child; /* 0 = no limit */
    const struct workers_handlers *handlers;
    void *arg;
};

struct workers *workers_create(struct loop *l, const struct workers_opts *opts, struct err *err);
/* Has a slot for one more task? */
bool workers_has_room(const struct workers *w);
/* false when no slot is free.  env: NULL or an object of extra variables. */
bool workers_run(struct workers *w, const char *task_id, struct json_object *header,
                 const void *body, size_t n);
size_t workers_busy(const struct workers *w);
/* SIGTERM, one second, SIGKILL; done when none is left. */
void workers_stop(struct workers *w, loop_f *done, void *arg);
void workers_destroy(struct workers *w);

#endif
