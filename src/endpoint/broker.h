/* The endpoint's way to the broker: tasks in, results and heartbeats out.
 *
 * One connection carries all three while their URLs are the same.  When the broker closes its
 * channel (somebody else holds the queue, the queue is missing), the consumer moves to a connection
 * of its own, so that results and heartbeats are not held up by it; it goes on trying for as long
 * as the process lives.  Tags are those of the consumer's present channel: after on_consumer_down
 * every older one is void. */
#ifndef SALLYPORT_ENDPOINT_BROKER_H
#define SALLYPORT_ENDPOINT_BROKER_H

#include <stdbool.h>

#include "endpoint/credentials.h"
#include "lib/amqp/amqp.h"
#include "lib/base/loop.h"

struct broker;

struct broker_handlers {
    void (*message)(void *arg, struct amqp_message *m /* yours */);
    void (*consumer_down)(void *arg);
    void (*publisher_up)(void *arg);
    void (*publisher_down)(void *arg);
    void (*confirm)(void *arg, uint64_t cookie, enum amqp_outcome outcome);
    void (*refused)(void *arg); /* credentials were refused for good */
};

/* c and q must outlive it.  Connects at once. */
struct broker *broker_create(struct loop *l, const struct credentials *c, const struct queues *q,
                             uint16_t prefetch, const struct broker_handlers *handlers, void *arg);
bool broker_can_publish(const struct broker *b);
bool broker_is_consuming(const struct broker *b);
/* body: malloc'd, taken.  which: QUEUE_RESULTS or QUEUE_HEARTBEATS. */
void broker_publish(struct broker *b, enum queue which, char *body, size_t n, uint64_t cookie);
void broker_ack(struct broker *b, uint64_t tag);
void broker_reject(struct broker *b, uint64_t tag);
/* No more tasks; what is not acknowledged goes back to the queue at the end. */
void broker_stop_consuming(struct broker *b);
/* Waits at most timeout_us for confirms. */
void broker_destroy(struct broker *b, uint64_t timeout_us);

#endif
