/* What the files of the running endpoint share: endpoint.c (tasks and results), ending.c (the
 * orderly end), pulse.c (heartbeats and idle time). */
#ifndef SALLYPORT_ENDPOINT_PRIVATE_H
#define SALLYPORT_ENDPOINT_PRIVATE_H

#include "endpoint/broker.h"
#include "endpoint/dispatch.h"
#include "endpoint/endpoint.h"
#include "endpoint/idle.h"
#include "endpoint/ids.h"
#include "endpoint/journal.h"
#include "endpoint/nodes.h"
#include "endpoint/outbox.h"
#include "endpoint/status.h"

#define HEARTBEAT_COOKIE (1ull << 63) /* tells heartbeats from results */

enum phase { PHASE_RUNNING, PHASE_FINISHING, PHASE_ENDING, PHASE_FLUSHING, PHASE_PARTING };

struct endpoint {
    struct loop *loop;
    struct endpoint_opts o;
    struct broker *broker;
    struct outbox *outbox;
    struct dispatch *dispatch;
    struct nodes *nodes;
    struct journal *journal;
    struct ids *answered;
    uint64_t received, confirmed, total;
    size_t bodies; /* bytes of tasks' bodies in memory */
    enum phase phase;
    struct loop_timer *ending; /* deadline of the phase */
    char *bad_state;           /* what every task gets told; NULL = fine */
    struct {
        struct json_object *identity;
        struct idle idle;
        struct loop_timer *tick;
        uint64_t last_cookie; /* of the newest heartbeat */
        enum idle_state said; /* what the log was told last */
    } pulse;
    struct loop_timer *journal_timer;
    struct status *status; /* NULL where sockets can't be made */
};

size_t endpoint_outstanding(const struct endpoint *e); /* accepted, result not confirmed */

/* pulse.c */
void pulse_start(struct endpoint *e);
void pulse_beat(struct endpoint *e, bool active); /* one heartbeat, if the broker is there */
void pulse_stop(struct endpoint *e);
struct json_object *pulse_status_cb(void *arg); /* for status.sock */

/* ending.c: the outbox became emptier, a heartbeat was confirmed, a running task ended. */
void ending_progress(struct endpoint *e);
void ending_beat_confirmed(struct endpoint *e);

#endif
