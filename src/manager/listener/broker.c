/* See broker.h. */
#include "manager/listener/broker.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/wire/wire.h"

/* Commands on their way to us; what a flood brings beyond stays at the broker. */
#define PREFETCH 4096
#define REFUSALS_MAX 3
#define FRESH_US LOOP_S(60) /* credentials are, that long after the registration */
#define CLOSES_MAX 3
#define CLOSES_WITHIN_US LOOP_S(10)
#define FINAL_HEARTBEAT_US LOOP_S(10)

struct line {
    const char *name;
    struct amqp_conn *conn;
    bool accepted;     /* the broker has taken its credentials once */
    unsigned downs;    /* since it was up */
    unsigned refusals; /* in a row */
    unsigned closes;   /* of the channel, since first_close_us */
    uint64_t first_close_us;
};

struct broker {
    struct loop *loop;
    const struct site *site;
    struct broker_handlers handlers;
    void *arg;
    struct line commands, heartbeats;
    struct loop_timer *beat;
    uint64_t since_us;
    bool unconfirmed; /* a heartbeat is on its way */
    bool ended, closing;
};

static char *commands_url(void *arg, struct err *err)
{
    return xstrdup(((const struct site *)arg)->commands.connection_url);
}

static char *heartbeats_url(void *arg, struct err *err)
{
    return xstrdup(((const struct site *)arg)->heartbeats.connection_url);
}

static void end(struct broker *b, const char *why)
{
    if (b->ended || b->closing)
        return;
    b->ended = true;
    b->handlers.on_end(b->arg, why);
}

/* ---- what both have in common ---- */

static void refused(struct broker *b, struct line *l, const char *text)
{
    l->refusals++;
    log_warning("The broker refuses the login (%s, attempt %u of %d):  %s", l->name, l->refusals,
                REFUSALS_MAX, text);
    if (l->refusals < REFUSALS_MAX || b->ended)
        return;
    if (l->accepted || loop_now_us(b->loop) - b->since_us > FRESH_US) {
        b->ended = true;
        b->handlers.on_stale(b->arg);
        return;
    }
    autofree char *line =
        xasprintf("Unable to sustain connection (%s): %s  [invalid credentials; unrecoverable]",
                  l->name, text);
    end(b, line);
}

static void lost(const struct line *l, const char *text)
{
    enum log_level level = l->downs == 1 ? LOG_L_WARNING : l->downs == 2 ? LOG_L_INFO : LOG_L_DEBUG;
    log_write(level, __FILE__, __LINE__, __func__,
              "Unable to sustain connection (%s); retrying ...  %s", l->name, text);
}

static void channel_closed(struct broker *b, struct line *l, const char *text)
{
    uint64_t now = loop_now_us(b->loop);
    if (l->closes == 0 || now - l->first_close_us > CLOSES_WITHIN_US) {
        l->closes = 0;
        l->first_close_us = now;
    }
    if (++l->closes < CLOSES_MAX)
        return;
    autofree char *line = xasprintf("Unable to sustain channel (%s) after %d attempts: %s", l->name,
                                    CLOSES_MAX, text);
    end(b, line);
}

static void went_down(struct broker *b, struct line *l, enum amqp_down why, const char *text)
{
    if (b->closing)
        return;
    l->downs++;
    if (why == AMQP_DOWN_AUTH) {
        refused(b, l, text);
        return;
    }
    l->refusals = 0;
    lost(l, text);
    if (why == AMQP_DOWN_CHANNEL)
        channel_closed(b, l, text);
}

/* Where one gets in, the other need not wait for the end of its pause. */
static void came_up(struct line *l, const struct line *other)
{
    if (other->downs)
        amqp_conn_wake(other->conn);
    l->accepted = true;
    if (l->downs > 1)
        log_info("The connection is back (%s)", l->name);
    l->downs = l->refusals = 0;
}

/* ---- commands ---- */

static void commands_up_cb(void *arg)
{
    struct broker *b = arg;
    came_up(&b->commands, &b->heartbeats);
    log_info("Awaiting messages from queue: %s", b->site->commands.queue);
}

static void commands_down_cb(void *arg, enum amqp_down why, const char *text, bool final)
{
    struct broker *b = arg;
    went_down(b, &b->commands, why, text);
}

static void command_cb(void *arg, struct amqp_message *m)
{
    struct broker *b = arg;
    b->handlers.on_command(b->arg, m);
}

void broker_ack(struct broker *b, uint64_t tag)
{
    amqp_ack(b->commands.conn, tag);
}

/* ---- heartbeats ---- */

static struct json_object *period(const struct broker *b, bool last)
{
    double p = last ? 0 : b->site->config->heartbeat_period;
    if (p == (double)(int64_t)p)
        return json_object_new_int64((int64_t)p);
    return json_object_new_double(p);
}

static void publish(struct broker *b, bool last)
{
    const struct wire_queue_info *q = &b->site->heartbeats;
    autobuf struct buf body = BUF_INIT;
    autojson struct json_object *state = json_object_new_object();
    json_add(state, "heartbeat_period", period(b, last));
    wire_pack_status(&body, b->site->endpoint_id, state, NULL);
    struct amqp_publish p = {.exchange = q->publish.exchange,
                             .routing_key = q->publish.routing_key,
                             .mandatory = q->publish.mandatory,
                             .body = body.data,
                             .body_len = body.len,
                             .props = q->publish.props};
    amqp_publish(b->heartbeats.conn, &p);
    b->unconfirmed = true;
}

/* Heartbeats that wait in memory would describe the past: while the broker is away there are none,
 * and the first thing said when it is back is one. */
static void beat_cb(void *arg)
{
    struct broker *b = arg;
    uint64_t period_us = (uint64_t)(b->site->config->heartbeat_period * 1e6);
    loop_timer_set(b->beat, period_us, period_us / 20);
    if (!amqp_conn_is_up(b->heartbeats.conn) || b->unconfirmed)
        log_warning("Failed to send heartbeat to web-services: the broker is away or slow");
    else
        publish(b, false);
}

static void heartbeats_up_cb(void *arg)
{
    struct broker *b = arg;
    uint64_t period_us = (uint64_t)(b->site->config->heartbeat_period * 1e6);
    came_up(&b->heartbeats, &b->commands);
    publish(b, false);
    loop_timer_set(b->beat, period_us, period_us / 20);
}

static void heartbeats_down_cb(void *arg, enum amqp_down why, const char *text, bool final)
{
    struct broker *b = arg;
    b->unconfirmed = false;
    went_down(b, &b->heartbeats, why, text);
}

static void confirm_cb(void *arg, uint64_t cookie, enum amqp_outcome outcome)
{
    struct broker *b = arg;
    static struct log_rate rate = LOG_RATE(2, 600);
    b->unconfirmed = false;
    if (outcome == AMQP_ACKED)
        return;
    if (b->closing)
        log_warning("Unable to send final heartbeat");
    else if (outcome != AMQP_LOST && log_rate_ok(&rate))
        log_warning("Failed to send heartbeat to web-services: the broker %s it",
                    outcome == AMQP_RETURNED ? "has no queue for" : "refused");
}

/* ---- life ---- */

struct broker *broker_open(struct loop *l, const struct site *s,
                           const struct broker_handlers *handlers, void *arg)
{
    struct broker *b = xcalloc(1, sizeof(*b));
    *b = (struct broker){.loop = l,
                         .site = s,
                         .handlers = *handlers,
                         .arg = arg,
                         .since_us = loop_now_us(l),
                         .commands.name = "commands",
                         .heartbeats.name = "heartbeats"};
    b->beat = loop_timer_create(l, beat_cb, b);
    log_info("Opening connection to AMQP service.");
    static const struct amqp_handlers on_commands = {
        .on_up = commands_up_cb, .on_down = commands_down_cb, .on_message = command_cb};
    b->commands.conn = amqp_conn_create(l,
                                        &(struct amqp_opts){.url = commands_url,
                                                            .url_arg = (void *)s,
                                                            .queue = s->commands.queue,
                                                            .prefetch = PREFETCH,
                                                            .retry_auth = true,
                                                            .name = "manager commands"},
                                        &on_commands, b);
    static const struct amqp_handlers on_heartbeats = {
        .on_up = heartbeats_up_cb, .on_down = heartbeats_down_cb, .on_confirm = confirm_cb};
    b->heartbeats.conn =
        amqp_conn_create(l,
                         &(struct amqp_opts){.url = heartbeats_url,
                                             .url_arg = (void *)s,
                                             .confirms = true,
                                             .check_exchange = s->heartbeats.exchange,
                                             .check_queue = s->heartbeats.queue,
                                             .retry_auth = true,
                                             .name = "manager heartbeats"},
                         &on_heartbeats, b);
    return b;
}

void broker_close(struct broker *b)
{
    if (!b)
        return;
    b->closing = true;
    loop_timer_destroy(b->beat);
    /* Acknowledgements that are still queued go out; commands that aren't done stay there. */
    amqp_conn_destroy(b->commands.conn, LOOP_S(2));
    if (amqp_conn_is_up(b->heartbeats.conn))
        publish(b, true);
    else
        log_warning("Unable to send final heartbeat");
    amqp_conn_destroy(b->heartbeats.conn, FINAL_HEARTBEAT_US);
    free(b);
}
