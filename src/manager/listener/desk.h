/* Start requests, from the message to its acknowledgement.
 *
 *   command ─▶ checked ─▶ waits for its user's turn ─▶ mapped ─▶ START ─▶ STARTED ──────▶ ack
 *                 │                                      │         ├────▶ RUNNING ▶ REFRESH ▶
 *                 │                                      │         │      REFRESHED ─────▶ ack
 *                 └──────────── fault ◀──────────────────┴─────────┴────▶ FAILED
 *                                 └─▶ notice published ────────────────────────────────▶ ack
 *
 * A command is acknowledged when its effect is there or its requester has been told; what a broken
 * connection or a crash leaves unacknowledged comes again and does no harm: a user endpoint that
 * runs is not started twice.  Two requests for one user endpoint are never under way together.
 * A user endpoint that ended in order shortly after a request for it is started anew. */
#ifndef SALLYPORT_LISTENER_DESK_H
#define SALLYPORT_LISTENER_DESK_H

#include "lib/amqp/amqp.h"
#include "lib/base/loop.h"
#include "manager/listener/mapping.h"
#include "manager/listener/notice.h"
#include "manager/listener/outside.h"
#include "manager/listener/site.h"
#include "manager/table.h"

struct desk;

struct desk_wires {
    struct loop *loop;
    const struct site *site;
    struct mapping *mapping; /* NULL: only our own identities count */
    struct outside *outside;
    struct notices *notices;
    /* Takes the descriptors. */
    void (*send)(void *arg, const struct table_message *m, int fd1, int fd2);
    void (*ack)(void *arg, uint64_t tag);
    void *arg;
};

struct desk *desk_create(const struct desk_wires *wires);
void desk_destroy(struct desk *d);
void desk_command(struct desk *d, struct amqp_message *m /* taken */);
/* STARTED, RUNNING, FAILED, REFRESHED, EXITED. */
void desk_answer(struct desk *d, const struct table_message *m);
/* Nothing new is begun; what the monitor refuses now stays unacknowledged. */
void desk_stop(struct desk *d);

#endif
