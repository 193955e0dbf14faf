#include "endpoint/broker.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"

#define REFUSALS_MAX 5
#define REFUSED_FOR_US LOOP_S(45)

/* A connection and what it carries. */
struct line {
    struct broker *owner;
    struct amqp_conn *conn;
    enum queue url; /* whose URL it uses */
};

struct broker {
    struct loop *loop;
    const struct credentials *credentials;
    const struct queues *queues;
    uint16_t prefetch;
    struct line consumer, results, heartbeats;
    struct amqp_conn *by[3]; /* which connection serves which queue */
    bool publisher_up, consuming, stopped;
    unsigned refusals;
    uint64_t refused_since_us;
    const struct broker_handlers *handlers;
    void *arg;
};

static char *url_cb(void *arg, struct err *err)
{
    const struct line *line = arg;
    return credentials_url(line->owner->credentials, line->url, err);
}

static bool carries(const struct line *line, enum queue q)
{
    return line->conn != NULL && line->owner->by[q] == line->conn;
}

static void open_consumer(struct broker *b);

/* ---- what a line tells ----------------------------------------------------------------------- */

static void up_cb(void *arg)
{
    struct line *line = arg;
    struct broker *b = line->owner;
    b->refusals = 0;
    if (carries(line, QUEUE_TASKS) && !b->consuming) {
        b->consuming = true;
        log_info("taking tasks from %s", b->queues->info[QUEUE_TASKS].queue);
    }
    if (carries(line, QUEUE_RESULTS)) {
        b->publisher_up = true;
        b->handlers->publisher_up(b->arg);
    }
}

static void note_refusal(struct broker *b)
{
    uint64_t now = loop_now_us(b->loop);
    if (b->refusals++ == 0)
        b->refused_since_us = now;
    if (b->refusals < REFUSALS_MAX || now - b->refused_since_us < REFUSED_FOR_US)
        return;
    log_error("Failed %d consecutive times.  Shutting down.", REFUSALS_MAX);
    b->handlers->refused(b->arg);
}

static void down_cb(void *arg, enum amqp_down why, const char *text, bool final)
{
    static struct log_rate rate = LOG_RATE(5, 60);
    struct line *line = arg;
    struct broker *b = line->owner;
    bool tasks = carries(line, QUEUE_TASKS), results = carries(line, QUEUE_RESULTS);
    if (log_rate_ok(&rate))
        log_warning("the connection to the broker for %s is down: %s",
                    results ? (tasks ? "tasks and results" : "results")
                    : tasks ? "tasks"
                            : "heartbeats",
                    text);
    if (tasks) {
        b->consuming = false;
        b->handlers->consumer_down(b->arg);
    }
    if (results && b->publisher_up) {
        b->publisher_up = false;
        b->handlers->publisher_down(b->arg);
    }
    if (why == AMQP_DOWN_AUTH)
        note_refusal(b);
    else if (why == AMQP_DOWN_CHANNEL && tasks && results && !b->stopped) {
        amqp_cancel_consumer(line->conn); /* this one goes on as the publisher */
        open_consumer(b);
    }
}

static void message_cb(void *arg, struct amqp_message *m)
{
    struct line *line = arg;
    if (carries(line, QUEUE_TASKS) && !line->owner->stopped)
        line->owner->handlers->message(line->owner->arg, m);
    else
        amqp_message_free(m); /* not acknowledged: it goes back to the queue */
}

static void confirm_cb(void *arg, uint64_t cookie, enum amqp_outcome outcome)
{
    struct line *line = arg;
    line->owner->handlers->confirm(line->owner->arg, cookie, outcome);
}

static const struct amqp_handlers line_handlers = {up_cb, down_cb, message_cb, confirm_cb};

/* ---- opening --------------------------------------------------------------------------------- */

static void line_open(struct line *line, enum queue url, bool consumes, enum queue publishes)
{
    struct broker *b = line->owner;
    const struct wire_queue_info *out = &b->queues->info[publishes];
    struct amqp_opts o = {
        .url = url_cb, .url_arg = line, .retry_auth = true, .name = b->queues->endpoint_id};
    line->url = url;
    if (consumes) {
        o.queue = b->queues->info[QUEUE_TASKS].queue;
        o.exclusive = true;
        o.prefetch = b->prefetch;
    }
    if (publishes != QUEUE_TASKS) {
        o.confirms = true;
        o.check_exchange = out->exchange;
        o.check_queue = out->queue;
    }
    line->conn = amqp_conn_create(b->loop, &o, &line_handlers, line);
}

static void open_consumer(struct broker *b)
{
    line_open(&b->consumer, QUEUE_TASKS, true, QUEUE_TASKS);
    b->by[QUEUE_TASKS] = b->consumer.conn;
}

static bool same_url(const struct broker *b, enum queue x, enum queue y)
{
    return strcmp(b->queues->info[x].connection_url, b->queues->info[y].connection_url) == 0;
}

struct broker *broker_create(struct loop *l, const struct credentials *c, const struct queues *q,
                             uint16_t prefetch, const struct broker_handlers *handlers, void *arg)
{
    struct broker *b = xcalloc(1, sizeof(*b));
    *b = (struct broker){.loop = l,
                         .credentials = c,
                         .queues = q,
                         .prefetch = prefetch,
                         .handlers = handlers,
                         .arg = arg};
    b->consumer.owner = b->results.owner = b->heartbeats.owner = b;
    bool joint = same_url(b, QUEUE_TASKS, QUEUE_RESULTS);
    line_open(&b->results, QUEUE_RESULTS, joint, QUEUE_RESULTS);
    b->by[QUEUE_RESULTS] = b->results.conn;
    if (joint)
        b->by[QUEUE_TASKS] = b->results.conn;
    else
        open_consumer(b);
    if (same_url(b, QUEUE_RESULTS, QUEUE_HEARTBEATS)) {
        b->by[QUEUE_HEARTBEATS] = b->results.conn;
    } else {
        line_open(&b->heartbeats, QUEUE_HEARTBEATS, false, QUEUE_HEARTBEATS);
        b->by[QUEUE_HEARTBEATS] = b->heartbeats.conn;
    }
    return b;
}

void broker_destroy(struct broker *b, uint64_t timeout_us)
{
    if (b == NULL)
        return;
    b->stopped = true;
    amqp_conn_destroy(b->consumer.conn, 0);
    amqp_conn_destroy(b->results.conn, timeout_us);
    amqp_conn_destroy(b->heartbeats.conn, timeout_us);
    free(b);
}

/* ---- doing ----------------------------------------------------------------------------------- */

bool broker_can_publish(const struct broker *b)
{
    return b->publisher_up;
}

bool broker_is_consuming(const struct broker *b)
{
    return b->consuming && !b->stopped;
}

void broker_publish(struct broker *b, enum queue which, char *body, size_t n, uint64_t cookie)
{
    const struct wire_queue_info *q = &b->queues->info[which];
    struct amqp_publish p = {.exchange = q->publish.exchange,
                             .routing_key = q->publish.routing_key,
                             .mandatory = q->publish.mandatory,
                             .body_len = n,
                             .props = q->publish.props,
                             .cookie = cookie};
    amqp_publish_take(b->by[which], &p, body);
}

void broker_ack(struct broker *b, uint64_t tag)
{
    if (tag != 0)
        amqp_ack(b->by[QUEUE_TASKS], tag);
}

void broker_reject(struct broker *b, uint64_t tag)
{
    if (tag != 0)
        amqp_reject(b->by[QUEUE_TASKS], tag, false);
}

void broker_stop_consuming(struct broker *b)
{
    b->stopped = true;
    amqp_cancel_consumer(b->by[QUEUE_TASKS]);
}
