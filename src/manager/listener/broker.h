/* The two standing connections of a manager: the consumer of its commands, and the publisher of its
 * heartbeats (spec: endpoint-manager.md 4 and 13).
 *
 * Both reconnect by themselves, with growing pauses.  A queue that can't be consumed ends the
 * manager in order, and so do credentials that are refused although the service has just issued
 * them.  Credentials that were good before, or are older, may be refused because the service that
 * the broker asks is being restarted, or because they have expired: new ones are wanted then. */
#ifndef SALLYPORT_LISTENER_BROKER_H
#define SALLYPORT_LISTENER_BROKER_H

#include "lib/amqp/amqp.h"
#include "lib/base/loop.h"
#include "manager/listener/site.h"

struct broker;

struct broker_handlers {
    void (*on_command)(void *arg, struct amqp_message *m /* yours */);
    void (*on_end)(void *arg, const char *why); /* it can't go on; once, or */
    void (*on_stale)(void *arg);                /* it wants new credentials; once */
};

struct broker *broker_open(struct loop *l, const struct site *s,
                           const struct broker_handlers *handlers, void *arg);
void broker_ack(struct broker *b, uint64_t tag);
/* No more commands; the final heartbeat, waited for at most ten seconds; then all is closed. */
void broker_close(struct broker *b);

#endif
