/* Results on their way out: on disk first, then published, forgotten when the broker has confirmed
 * them and did not send them back.
 *
 *   WAITING ──published──▶ SENT ──acked──▶ forgotten
 *      ▲                    │
 *      └──lost, nacked, returned (after a growing pause)
 *
 * When the broker is away for more than about a second, and at the end, every result gets a file of
 * its own (spool.h).  Duplicates may be sent; they are harmless. */
#ifndef SALLYPORT_ENDPOINT_OUTBOX_H
#define SALLYPORT_ENDPOINT_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/amqp/amqp.h"
#include "lib/base/err.h"
#include "lib/base/loop.h"

struct outbox;

struct outbox_handlers {
    /* body: malloc'd, taken. */
    void (*publish)(void *arg, char *body, size_t n, uint64_t cookie);
    /* The broker has the result: the delivery behind tag (0 = none) can be acknowledged.  durable:
     * as given, and true for what earlier lives left. */
    void (*settled)(void *arg, const char *id, uint64_t tag, bool durable);
};

/* dir: of the endpoint.  Finds what earlier lives left. */
struct outbox *outbox_open(struct loop *l, const char *dir, const struct outbox_handlers *handlers,
                           void *arg, struct err *err);
/* durable: the delivery is acknowledged already, so the result must survive the host's crash.
 * body: malloc'd, taken. */
void outbox_add(struct outbox *o, const char *id, uint64_t tag, bool durable, char *body, size_t n);
/* true when the id's result is here; the tag of its new delivery is remembered. */
bool outbox_redelivered(struct outbox *o, const char *id, uint64_t tag);
void outbox_forget_tags(struct outbox *o);
void outbox_up(struct outbox *o);
void outbox_down(struct outbox *o);
void outbox_confirm(struct outbox *o, uint64_t cookie, enum amqp_outcome outcome);
size_t outbox_count(const struct outbox *o);
/* The rest into files of their own; call when nothing is published any more. */
void outbox_close(struct outbox *o);

#endif
