/* The orderly end (spec: user-endpoint.md section 11): no new tasks; those that run get a short
 * grace on a pool and none on batch blocks; nodes go; results are confirmed or stay on disk; the
 * last heartbeat says that we are gone.  Every step has a deadline. */
#include "endpoint/endpoint_private.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"

#define POOL_GRACE_US LOOP_S(10)
#define FLUSH_US LOOP_S(5)
#define PART_US LOOP_S(5)

static void part(struct endpoint *e)
{
    e->phase = PHASE_PARTING;
    if (!broker_can_publish(e->broker)) {
        loop_stop(e->loop, 0);
        return;
    }
    pulse_beat(e, false);
    loop_timer_set(e->ending, PART_US, 0);
}

static void flush(struct endpoint *e)
{
    e->phase = PHASE_FLUSHING;
    loop_timer_set(e->ending, FLUSH_US, 0);
    ending_progress(e);
}

static void nodes_down_cb(void *arg)
{
    struct endpoint *e = arg;
    if (e->phase == PHASE_ENDING)
        flush(e);
}

static void end_nodes(struct endpoint *e)
{
    e->phase = PHASE_ENDING;
    loop_timer_cancel(e->ending);
    nodes_shutdown(e->nodes, nodes_down_cb, e); /* has a deadline of its own */
}

static bool any_started(const struct endpoint *e)
{
    for (struct task *t = dispatch_oldest(e->dispatch); t != NULL; t = TAILQ_NEXT(t, age))
        if (t->started)
            return true;
    return false;
}

/* What no worker has begun goes back to the queue; what is in the journal waits there. */
static void give_back(struct endpoint *e)
{
    struct task *next;
    size_t n = 0;
    for (struct task *t = dispatch_oldest(e->dispatch); t != NULL; t = next) {
        next = TAILQ_NEXT(t, age);
        if (t->started)
            continue;
        if (t->spilled && !t->journaled) /* the broker has it */
            journal_drop(e->journal, t->id);
        dispatch_give_back(e->dispatch, t);
        n++;
    }
    if (n > 0)
        log_info("%zu tasks that have not begun stay in the queue", n);
}

static void deadline_cb(void *arg)
{
    struct endpoint *e = arg;
    switch (e->phase) {
    case PHASE_FINISHING:
        end_nodes(e);
        break;
    case PHASE_FLUSHING:
        log_warning("%zu results were not confirmed in time; they are sent at the next start",
                    outbox_count(e->outbox));
        part(e);
        break;
    case PHASE_PARTING:
        loop_stop(e->loop, 0);
        break;
    case PHASE_RUNNING:
    case PHASE_ENDING:
        break;
    }
}

void ending_progress(struct endpoint *e)
{
    if (e->phase == PHASE_FINISHING && !any_started(e))
        end_nodes(e);
    else if (e->phase == PHASE_FLUSHING &&
             (outbox_count(e->outbox) == 0 || !broker_can_publish(e->broker)))
        part(e);
}

void ending_beat_confirmed(struct endpoint *e)
{
    if (e->phase == PHASE_PARTING)
        loop_stop(e->loop, 0);
}

void endpoint_stop(struct endpoint *e, const char *why)
{
    if (e->phase != PHASE_RUNNING)
        return;
    log_info("%s", why);
    e->phase = PHASE_FINISHING;
    loop_timer_cancel(e->pulse.tick);
    loop_timer_cancel(e->journal_timer);
    e->ending = loop_timer_create(e->loop, deadline_cb, e);
    broker_stop_consuming(e->broker);
    dispatch_stop(e->dispatch);
    if (e->bad_state != NULL)
        dispatch_fail_all(e->dispatch, e->bad_state);
    give_back(e);
    if (e->phase == PHASE_FINISHING && engine_is_pool(e->o.engine) && any_started(e))
        loop_timer_set(e->ending, POOL_GRACE_US, 0);
    else if (e->phase == PHASE_FINISHING)
        end_nodes(e);
}
