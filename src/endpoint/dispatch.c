#include "endpoint/dispatch.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/map.h"

#define AHEAD_US 8000.0
#define AHEAD_MAX 128
#define AHEAD_BODY_MAX (64u << 10)

struct seat {
    struct dispatch *owner;
    void *agent;
    char block[32];
    size_t capacity, held;
    size_t ahead;       /* tasks that may wait at the agent beyond its capacity */
    uint64_t result_us; /* when the last result came, or work began after a pause */
    double each_us;     /* how long a task takes a worker, smoothed; 0 = not known */
    size_t ready_at;    /* its place among the ready ones + 1; 0 = not ready */
    bool on_hold;
    uint64_t idle_since_us;
    struct task_list tasks;
};

struct dispatch {
    struct loop *loop;
    int64_t retries;
    struct map *by_id;
    struct task_list queue, all;
    size_t waiting;
    uint64_t next_seq;
    struct seat **ready; /* agents with a free slot, in no order */
    size_t ready_n, ready_cap;
    bool planned, stopped;
    const struct dispatch_handlers *handlers;
    void *arg;
};

static void hand_out(struct dispatch *d);

/* ---- agents ---------------------------------------------------------------------------------- */

static bool has_room(const struct seat *s)
{
    return s->held < s->capacity + s->ahead;
}

/* Tasks of a millisecond would spend most of their time on the way: while they are that short, some
 * wait where the workers are.  Never more than are done in AHEAD_US, so that no task is stuck
 * behind another for longer than anybody notices; tasks that take longer are handed out one by one.
 */
static void measure(struct seat *s)
{
    uint64_t now = loop_now_us(s->owner->loop);
    double took = (double)(now - s->result_us) * (double)s->capacity;
    s->result_us = now;
    s->each_us = s->each_us > 0 ? s->each_us + (took - s->each_us) / 16 : took;
    double ahead = AHEAD_US / (s->each_us > 1 ? s->each_us : 1) * (double)s->capacity;
    s->ahead = s->each_us > AHEAD_US ? 0 : ahead < AHEAD_MAX ? (size_t)ahead : AHEAD_MAX;
}

static void seat_ready(struct seat *s)
{
    struct dispatch *d = s->owner;
    bool wanted = !s->on_hold && has_room(s);
    if (wanted && s->ready_at == 0) {
        if (d->ready_n == d->ready_cap) {
            d->ready_cap = d->ready_cap > 0 ? 2 * d->ready_cap : 16;
            d->ready = xrealloc(d->ready, d->ready_cap * sizeof(*d->ready));
        }
        d->ready[d->ready_n++] = s;
        s->ready_at = d->ready_n;
    } else if (!wanted && s->ready_at != 0) {
        struct seat *last = d->ready[--d->ready_n];
        d->ready[s->ready_at - 1] = last;
        last->ready_at = s->ready_at;
        s->ready_at = 0;
    }
}

/* When the present callback has returned: several tasks that came together leave together. */
static void planned_cb(void *arg)
{
    struct dispatch *d = arg;
    d->planned = false;
    hand_out(d);
}

static void plan(struct dispatch *d)
{
    if (d->planned || d->stopped || d->ready_n == 0 || d->waiting == 0)
        return;
    d->planned = true;
    loop_defer(d->loop, planned_cb, d);
}

struct seat *dispatch_seat(struct dispatch *d, void *agent, const char *block, size_t capacity)
{
    struct seat *s = xcalloc(1, sizeof(*s));
    *s = (struct seat){.owner = d, .agent = agent, .capacity = capacity};
    strncpy(s->block, block, sizeof(s->block) - 1);
    s->idle_since_us = loop_now_us(d->loop);
    TAILQ_INIT(&s->tasks);
    seat_ready(s);
    plan(d);
    return s;
}

void dispatch_hold(struct dispatch *d, struct seat *s)
{
    s->on_hold = true;
    seat_ready(s);
}

size_t seat_tasks(const struct seat *s)
{
    return s->held;
}

const char *seat_block(const struct seat *s)
{
    return s->block;
}

uint64_t seat_idle_since_us(const struct seat *s)
{
    return s->held > 0 ? 0 : s->idle_since_us;
}

/* ---- the queue ------------------------------------------------------------------------------- */

static bool goes_before(const struct task *a, const struct task *b)
{
    return a->priority != b->priority ? a->priority < b->priority : a->seq < b->seq;
}

/* From the end: without priorities this is one step. */
static void enqueue(struct dispatch *d, struct task *t)
{
    struct task *p = TAILQ_LAST(&d->queue, task_list);
    while (p != NULL && goes_before(t, p))
        p = TAILQ_PREV(p, task_list, line);
    if (p != NULL)
        TAILQ_INSERT_AFTER(&d->queue, p, t, line);
    else
        TAILQ_INSERT_HEAD(&d->queue, t, line);
    d->waiting++;
}

static void take_back(struct task *t)
{
    struct seat *s = t->seat;
    if (s == NULL)
        return;
    TAILQ_REMOVE(&s->tasks, t, line);
    if (--s->held == 0)
        s->idle_since_us = loop_now_us(s->owner->loop);
    t->seat = NULL;
    t->started = false;
    seat_ready(s);
}

static void leave_queue(struct dispatch *d, struct task *t)
{
    if (t->seat != NULL)
        return;
    TAILQ_REMOVE(&d->queue, t, line);
    d->waiting--;
}

static bool give(struct dispatch *d, struct seat *s, struct task *t)
{
    if (d->handlers->send(d->arg, s->agent, t) != 0)
        return false;
    leave_queue(d, t);
    TAILQ_INSERT_TAIL(&s->tasks, t, line);
    if (s->held == 0)
        s->result_us = loop_now_us(d->loop);
    t->seat = s;
    memcpy(t->block, s->block, sizeof(t->block));
    s->held++;
    return true;
}

/* Large tasks don't wait in the agent's memory. */
static bool may_have(const struct seat *s, const struct task *t)
{
    return s->held < s->capacity || t->body_len <= AHEAD_BODY_MAX;
}

/* An agent, taken at random, gets what it has room for; then the next. */
static void hand_out(struct dispatch *d)
{
    size_t refused = 0;
    while (!d->stopped && d->waiting > 0 && d->ready_n > refused) {
        /* Those that took nothing wait at the end of the array until the next time. */
        size_t n = d->ready_n - refused;
        struct seat *s = d->ready[n > 1 ? random_between(0, n - 1) : 0];
        while (has_room(s) && d->waiting > 0 && may_have(s, TAILQ_FIRST(&d->queue)) &&
               give(d, s, TAILQ_FIRST(&d->queue)))
            continue;
        if (has_room(s) && d->waiting > 0) {
            struct seat *other = d->ready[n - 1];
            d->ready[s->ready_at - 1] = other;
            other->ready_at = s->ready_at;
            d->ready[n - 1] = s;
            s->ready_at = n;
            refused++;
        }
        seat_ready(s);
    }
}

void dispatch_add(struct dispatch *d, struct task *t)
{
    t->seq = d->next_seq++;
    t->received_us = loop_now_us(d->loop);
    map_put(d->by_id, t->id, t);
    TAILQ_INSERT_TAIL(&d->all, t, age);
    enqueue(d, t);
    plan(d);
}

struct task *dispatch_find(const struct dispatch *d, const char *id)
{
    return map_get(d->by_id, id);
}

size_t dispatch_count(const struct dispatch *d)
{
    return map_count(d->by_id);
}

size_t dispatch_waiting(const struct dispatch *d)
{
    return d->waiting;
}

struct task *dispatch_oldest(const struct dispatch *d)
{
    return TAILQ_FIRST(&d->all);
}

static void forget(struct dispatch *d, struct task *t)
{
    leave_queue(d, t);
    take_back(t);
    TAILQ_REMOVE(&d->all, t, age);
    map_del(d->by_id, t->id);
}

void dispatch_give_back(struct dispatch *d, struct task *t)
{
    forget(d, t);
    task_free(t);
}

/* ---- what happens to a task ------------------------------------------------------------------ */

static void answer(struct dispatch *d, struct task *t, const void *body, size_t n)
{
    forget(d, t);
    d->handlers->answered(d->arg, t, body, n);
    task_free(t);
    plan(d);
}

static void start(struct dispatch *d, struct task *t)
{
    if (t->seat == NULL || t->started)
        return;
    t->started = true;
    d->handlers->started(d->arg, t);
}

void dispatch_started(struct dispatch *d, const char *id)
{
    struct task *t = dispatch_find(d, id);
    if (t != NULL)
        start(d, t);
}

void dispatch_result(struct dispatch *d, const char *id, const void *body, size_t n)
{
    struct task *t = dispatch_find(d, id);
    if (t == NULL)
        return;
    start(d, t); /* the shortest ones are not told of before */
    if (t->seat != NULL)
        measure(t->seat);
    answer(d, t, body, n);
}

static void lose(struct dispatch *d, struct task *t, bool may_retry, const char *text)
{
    failure_add(&t->failure, text);
    if (!may_retry || d->stopped || (int64_t)t->failure.count > d->retries) {
        answer(d, t, NULL, 0);
        return;
    }
    take_back(t);
    enqueue(d, t);
    plan(d);
}

void dispatch_lost(struct dispatch *d, struct seat *s, const char *id, bool may_retry,
                   const char *text)
{
    struct task *t = dispatch_find(d, id);
    if (t != NULL && t->seat == s)
        lose(d, t, may_retry, text);
}

void dispatch_unseat(struct dispatch *d, struct seat *s, const char *text)
{
    struct task *t;
    s->on_hold = true;
    seat_ready(s);
    while ((t = TAILQ_FIRST(&s->tasks)) != NULL)
        lose(d, t, true, text);
    free(s);
}

void dispatch_fail_all(struct dispatch *d, const char *text)
{
    struct task *t;
    while ((t = TAILQ_FIRST(&d->all)) != NULL)
        lose(d, t, false, text);
}

void dispatch_stop(struct dispatch *d)
{
    d->stopped = true;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct dispatch *dispatch_create(struct loop *l, int64_t retries,
                                 const struct dispatch_handlers *handlers, void *arg)
{
    struct dispatch *d = xcalloc(1, sizeof(*d));
    *d = (struct dispatch){
        .loop = l, .retries = retries, .by_id = map_create(), .handlers = handlers, .arg = arg};
    TAILQ_INIT(&d->queue);
    TAILQ_INIT(&d->all);
    return d;
}

void dispatch_destroy(struct dispatch *d)
{
    struct task *t;
    if (d == NULL)
        return;
    while ((t = TAILQ_FIRST(&d->all)) != NULL)
        dispatch_give_back(d, t);
    map_destroy(d->by_id, NULL);
    free(d->ready);
    loop_defer_cancel(d->loop, planned_cb, d);
    free(d);
}
