#include "endpoint/endpoint_private.h"

#include <stdlib.h>
#include <string.h>

#include "endpoint/audit.h"
#include "endpoint/intake.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"

#define PREFETCH_LEAST 1000
#define PREFETCH_MOST 20000
#define BODIES_MAX (32u << 20)    /* of waiting and running tasks in memory */
#define SPILLED_LEAST (16u << 10) /* smaller ones aren't worth a file */

size_t endpoint_outstanding(const struct endpoint *e)
{
    return dispatch_count(e->dispatch) + outbox_count(e->outbox);
}

/* ---- audit ----------------------------------------------------------------------------------- */

static void audit(struct endpoint *e, const struct task *t, const char *state, const char *message)
{
    int fd = e->o.document->audit_fd;
    if (fd < 0)
        return;
    autofree char *job = t->block[0] != '\0' ? nodes_job(e->nodes, t->block) : NULL;
    if (audit_write(fd, t->function_id, t->id, t->block, job, state, message) != 0)
        endpoint_stop(e, "Unable to write audit log; endpoint may not continue");
}

/* ---- tasks come ------------------------------------------------------------------------------ */

static void answer_with(struct endpoint *e, const char *id, uint64_t tag, bool durable,
                        struct buf *body)
{
    size_t n = body->len;
    outbox_add(e->outbox, id, tag, durable, buf_take(body), n);
}

static void plan_journal(struct endpoint *e)
{
    if (!loop_timer_is_set(e->journal_timer))
        loop_timer_set(e->journal_timer, LOOP_S((uint64_t)e->o.settings->task_journal_after),
                       LOOP_S(1));
}

/* A delivery of a task that we know: in flight, answered and not confirmed, or done. */
static bool is_known(struct endpoint *e, const char *id, uint64_t tag)
{
    struct task *t = dispatch_find(e->dispatch, id);
    if (t != NULL && !t->journaled) {
        t->tag = tag;
        return true;
    }
    if (t != NULL || ids_has(e->answered, id)) {
        broker_ack(e->broker, tag);
        return true;
    }
    return outbox_redelivered(e->outbox, id, tag);
}

static void refuse(struct endpoint *e, const char *id, uint64_t tag, const char *why)
{
    struct buf body = BUF_INIT;
    log_warning("task=%s event=refused reason=%s", id, why);
    failure_pack_refused(&body, id, why);
    answer_with(e, id, tag, false, &body);
}

/* Memory for bodies is bounded: what is beyond waits in a file. */
static void count_body(struct endpoint *e, struct task *t)
{
    static struct log_rate rate = LOG_RATE(3, 600);
    struct err err = ERR_INIT;
    if (e->bodies + t->body_len > BODIES_MAX && t->body_len >= SPILLED_LEAST) {
        if (journal_spill(e->journal, t, &err) == 0)
            return;
        if (log_rate_ok(&rate))
            log_warning("%s; the task is kept in memory", err.text);
    }
    t->counted = t->body_len;
    e->bodies += t->counted;
}

static void uncount_body(struct endpoint *e, struct task *t)
{
    e->bodies -= t->counted;
    t->counted = 0;
}

static void take(struct endpoint *e, struct task *t)
{
    struct buf body = BUF_INIT;
    struct err err = ERR_INIT;
    audit(e, t, "RECEIVED", NULL);
    if (!settings_permits(e->o.settings, t->function_id)) {
        audit(e, t, "FAILED", "Function not permitted on endpoint");
        log_warning("task=%s function=%s event=forbidden", t->id, t->function_id);
        failure_pack_forbidden(&body, t->id, t->function_id, e->o.queues->endpoint_id);
    } else if (engine_check_spec(e->o.engine, t->spec, &err) != 0) {
        failure_add(&t->failure, err.text);
        failure_pack(&body, t->id, &t->failure, t->received_ns);
    } else {
        e->total++;
        count_body(e, t);
        dispatch_add(e->dispatch, t);
        audit(e, t, "EXEC_START", NULL);
        plan_journal(e);
        return;
    }
    answer_with(e, t->id, t->tag, false, &body);
    task_free(t);
}

static void message_cb(void *arg, struct amqp_message *m)
{
    static struct log_rate rate = LOG_RATE(10, 60);
    struct endpoint *e = arg;
    struct err err = ERR_INIT;
    struct task *t;
    char id[UUID_TEXT];
    uint64_t tag = m->tag;
    if (e->phase != PHASE_RUNNING) { /* not acknowledged: it stays in the queue */
        amqp_message_free(m);
        return;
    }
    e->received++;
    enum intake_verdict verdict = intake_read(m, &t, id, &err);
    if (verdict == INTAKE_REJECT) {
        if (log_rate_ok(&rate))
            log_warning("%s", err.text);
        broker_reject(e->broker, tag);
    } else if (is_known(e, id, tag)) {
        task_free(t);
    } else if (verdict == INTAKE_FAIL) {
        refuse(e, id, tag, err.text);
    } else {
        take(e, t);
        nodes_demand(e->nodes, dispatch_count(e->dispatch));
    }
    if (verdict != INTAKE_TASK)
        amqp_message_free(m);
}

static void replayed_cb(void *arg, struct task *t)
{
    struct endpoint *e = arg;
    if (outbox_redelivered(e->outbox, t->id, 0)) {
        task_free(t); /* its result was ready before the end */
        return;
    }
    e->total++;
    dispatch_add(e->dispatch, t);
}

/* What has been here for long gets on disk, and its delivery is acknowledged. */
static void journal_cb(void *arg)
{
    struct endpoint *e = arg;
    uint64_t now = loop_now_us(e->loop);
    uint64_t age = LOOP_S((uint64_t)e->o.settings->task_journal_after);
    for (struct task *t = dispatch_oldest(e->dispatch); t != NULL; t = TAILQ_NEXT(t, age)) {
        struct err err = ERR_INIT;
        if (t->journaled)
            continue;
        if (now - t->received_us < age) {
            loop_timer_set(e->journal_timer, age - (now - t->received_us), LOOP_S(1));
            return;
        }
        if (journal_add(e->journal, t, &err) != 0) {
            log_error("task %s stays with the broker: %s", t->id, err.text);
            loop_timer_set(e->journal_timer, age, LOOP_S(1));
            return;
        }
        uncount_body(e, t);
        broker_ack(e->broker, t->tag);
        t->tag = 0;
    }
}

/* ---- results leave --------------------------------------------------------------------------- */

static int send_cb(void *arg, void *agent, const struct task *task)
{
    struct endpoint *e = arg;
    struct task *t = (struct task *)task;
    struct err err = ERR_INIT;
    if (t->body == NULL && journal_load(e->journal, t, &err) != 0) {
        log_error("%s", err.text);
        return -1;
    }
    int rc = nodes_send(agent, t);
    if (t->journaled || t->spilled)
        journal_unload(t);
    return rc;
}

static void answered_cb(void *arg, struct task *t, const void *result, size_t n)
{
    struct endpoint *e = arg;
    struct buf body = BUF_INIT;
    if (result != NULL)
        buf_add(&body, result, n);
    else
        failure_pack(&body, t->id, &t->failure, t->received_ns);
    audit(e, t, "EXEC_END", NULL);
    uncount_body(e, t);
    if (t->spilled && !t->journaled)
        journal_drop(e->journal, t->id);
    answer_with(e, t->id, t->tag, t->journaled, &body);
    if (e->phase == PHASE_RUNNING)
        nodes_demand(e->nodes, dispatch_count(e->dispatch));
    else
        ending_progress(e);
}

static void started_cb(void *arg, struct task *t)
{
    audit(arg, t, "RUNNING", NULL);
}

static const struct dispatch_handlers dispatch_handlers = {send_cb, answered_cb, started_cb};

static void publish_cb(void *arg, char *body, size_t n, uint64_t cookie)
{
    struct endpoint *e = arg;
    broker_publish(e->broker, QUEUE_RESULTS, body, n, cookie);
}

static void settled_cb(void *arg, const char *id, uint64_t tag, bool durable)
{
    struct endpoint *e = arg;
    char canonical[UUID_TEXT];
    e->confirmed++;
    if (uuid_parse(id, canonical))
        ids_add(e->answered, canonical);
    broker_ack(e->broker, tag);
    if (durable)
        journal_drop(e->journal, id);
    ending_progress(e);
}

static const struct outbox_handlers outbox_handlers = {publish_cb, settled_cb};

/* ---- the broker ------------------------------------------------------------------------------ */

static void consumer_down_cb(void *arg)
{
    struct endpoint *e = arg;
    for (struct task *t = dispatch_oldest(e->dispatch); t != NULL; t = TAILQ_NEXT(t, age))
        t->tag = 0; /* of a channel that is gone; the task comes again */
    outbox_forget_tags(e->outbox);
}

static void publisher_up_cb(void *arg)
{
    struct endpoint *e = arg;
    if (e->phase == PHASE_RUNNING)
        pulse_beat(e, true);
    outbox_up(e->outbox);
}

static void publisher_down_cb(void *arg)
{
    struct endpoint *e = arg;
    outbox_down(e->outbox);
    ending_progress(e);
}

static void confirm_cb(void *arg, uint64_t cookie, enum amqp_outcome outcome)
{
    struct endpoint *e = arg;
    if (!(cookie & HEARTBEAT_COOKIE))
        outbox_confirm(e->outbox, cookie, outcome);
    else if (cookie == (HEARTBEAT_COOKIE | e->pulse.last_cookie))
        ending_beat_confirmed(e);
}

static void refused_cb(void *arg)
{
    endpoint_stop(arg, "the broker refuses our credentials; leaving");
}

static const struct broker_handlers broker_handlers = {
    message_cb, consumer_down_cb, publisher_up_cb, publisher_down_cb, confirm_cb, refused_cb,
};

/* ---- life ------------------------------------------------------------------------------------ */

static void leave_cb(void *arg)
{
    endpoint_stop(arg, "no block can be started; leaving");
}

static void bad_state_cb(void *arg, const char *text)
{
    struct endpoint *e = arg;
    if (e->bad_state != NULL)
        return;
    e->bad_state = xasprintf("parsl.executors.errors.BadStateException: %s", text);
    loop_defer(e->loop, leave_cb, e); /* not from within the blocks' own pass */
}

/* Enough that the scaling formula sees demand, and that workers never wait for the broker. */
static uint16_t prefetch_of(const struct endpoint *e)
{
    const struct engine *g = e->o.engine;
    if (e->o.settings->task_prefetch > 0)
        return (uint16_t)e->o.settings->task_prefetch;
    double slots = 4.0 * (double)g->slots_per_node * (double)g->nodes_per_block *
                   (double)(g->max_blocks > 0 ? g->max_blocks : 1);
    if (slots < PREFETCH_LEAST)
        return PREFETCH_LEAST;
    return slots > PREFETCH_MOST ? PREFETCH_MOST : (uint16_t)slots;
}

struct endpoint *endpoint_create(struct loop *l, const struct endpoint_opts *o, struct err *err)
{
    struct endpoint *e = xcalloc(1, sizeof(*e));
    *e = (struct endpoint){.loop = l, .o = *o};
    e->answered = ids_create();
    e->journal = journal_open(o->dir);
    e->journal_timer = loop_timer_create(l, journal_cb, e);
    e->outbox = outbox_open(l, o->dir, &outbox_handlers, e, err);
    e->dispatch = dispatch_create(l, o->engine->retries, &dispatch_handlers, e);
    e->nodes = nodes_create(l, &(struct nodes_opts){.engine = o->engine,
                                                    .dir = o->dir,
                                                    .endpoint_id = o->queues->endpoint_id,
                                                    .debug = o->debug,
                                                    .bad_state = bad_state_cb,
                                                    .arg = e});
    if (e->outbox == NULL || nodes_start(e->nodes, e->dispatch, err) != 0) {
        endpoint_destroy(e);
        return NULL;
    }
    pulse_start(e);
    journal_replay(e->journal, replayed_cb, e);
    e->broker = broker_create(l, o->credentials, o->queues, prefetch_of(e), &broker_handlers, e);
    if (dispatch_count(e->dispatch) > 0)
        nodes_demand(e->nodes, dispatch_count(e->dispatch));
    struct err why = ERR_INIT;
    e->status = status_open(l, o->dir, pulse_status_cb, e, &why);
    if (e->status == NULL)
        log_warning("%s", why.text); /* some file systems have no sockets */
    return e;
}

void endpoint_destroy(struct endpoint *e)
{
    if (e == NULL)
        return;
    status_close(e->status);
    nodes_destroy(e->nodes);
    if (e->broker != NULL)
        broker_destroy(e->broker, LOOP_S(1));
    outbox_close(e->outbox);
    dispatch_destroy(e->dispatch);
    pulse_stop(e);
    loop_timer_destroy(e->journal_timer);
    loop_timer_destroy(e->ending);
    journal_close(e->journal);
    ids_destroy(e->answered);
    free(e->bad_state);
    free(e);
}
