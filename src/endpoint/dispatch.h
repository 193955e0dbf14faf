/* Which task goes to which agent (spec: engines.md 3.4 and 3.5).
 *
 *   WAITING (queue: by priority, then arrival) ──▶ HELD by an agent ──▶ STARTED ──▶ answered
 *        ▲                                             │
 *        └── its worker or agent was lost and a retry is left
 *
 * Agents are pretended in tests: all that is known of one is its capacity and a way to send. */
#ifndef SALLYPORT_ENDPOINT_DISPATCH_H
#define SALLYPORT_ENDPOINT_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "endpoint/task.h"
#include "lib/base/loop.h"

struct dispatch;

struct dispatch_handlers {
    /* -1: the agent takes nothing now.  agent: as given to dispatch_seat(). */
    int (*send)(void *arg, void *agent, const struct task *t);
    /* The task is over; it is freed after the call.  body: the packed result, valid during the
     * call; its failure list is filled and body is NULL when there is none. */
    void (*answered)(void *arg, struct task *t, const void *body, size_t n);
    void (*started)(void *arg, struct task *t); /* a worker runs it */
};

struct dispatch *dispatch_create(struct loop *l, int64_t retries,
                                 const struct dispatch_handlers *handlers, void *arg);
void dispatch_destroy(struct dispatch *d);

/* Takes the task. */
void dispatch_add(struct dispatch *d, struct task *t);
struct task *dispatch_find(const struct dispatch *d, const char *id);
size_t dispatch_count(const struct dispatch *d); /* waiting and held */
size_t dispatch_waiting(const struct dispatch *d);
/* All, oldest first; for (t = dispatch_oldest(d); t != NULL; t = TAILQ_NEXT(t, age)) */
struct task *dispatch_oldest(const struct dispatch *d);
/* Forgets a task without an answer: it goes back to the queue of the broker. */
void dispatch_give_back(struct dispatch *d, struct task *t);

/* A place for an agent with so many slots. */
struct seat *dispatch_seat(struct dispatch *d, void *agent, const char *block, size_t capacity);
/* Its tasks are lost; text is what the users read, its last line the class. */
void dispatch_unseat(struct dispatch *d, struct seat *s, const char *text);
void dispatch_hold(struct dispatch *d, struct seat *s); /* it gets nothing more */
size_t seat_tasks(const struct seat *s);
const char *seat_block(const struct seat *s);
uint64_t seat_idle_since_us(const struct seat *s); /* 0 = busy */

/* What agents report; unknown tasks are ignored. */
void dispatch_started(struct dispatch *d, const char *id);
void dispatch_result(struct dispatch *d, const char *id, const void *body, size_t n);
void dispatch_lost(struct dispatch *d, struct seat *s, const char *id, bool may_retry,
                   const char *text);
/* Every task fails with this text. */
void dispatch_fail_all(struct dispatch *d, const char *text);
/* Nothing is handed out any more. */
void dispatch_stop(struct dispatch *d);

#endif
