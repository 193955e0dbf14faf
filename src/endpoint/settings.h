/* The configuration of a user endpoint: the rendered YAML, read, checked and typed
 * (spec: user-endpoint.md section 3).  The engine's own keys are in engine.h.
 *
 * A wrong value is refused with the key, what was found and what is accepted.  Keys that old
 * templates carry and that mean nothing any more are reported in `warnings` and ignored. */
#ifndef SALLYPORT_ENDPOINT_SETTINGS_H
#define SALLYPORT_ENDPOINT_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"

struct settings {
    struct json_object *tree;   /* the document; owns what follows */
    struct json_object *engine; /* the mapping, not checked here */
    double heartbeat_period;    /* at least 5 */
    int64_t heartbeat_threshold;
    int64_t idle_soft, idle_hard;
    char *setup, *teardown, *environment; /* NULL = none */
    struct json_object *allowed;          /* list of canonical UUIDs; NULL = everything */
    int64_t amqp_port;                    /* 0 = as in the URLs */
    bool debug, high_assurance;
    int64_t task_prefetch;     /* ours: tasks taken from the queue at once; 0 = by the workers */
    double task_journal_after; /* ours: seconds until an unfinished task is journaled */
    struct buf warnings;       /* a line each */
};

/* name: the endpoint's, for the message about a missing engine. */
int settings_read(const char *yaml, const char *name, struct settings *out, struct err *err);
/* The stdin document's allowed_functions (list or NULL) replaces the configuration's. */
int settings_allow(struct settings *s, struct json_object *list, struct err *err);
bool settings_permits(const struct settings *s, const char *function_id);
void settings_clear(struct settings *s);

#endif
