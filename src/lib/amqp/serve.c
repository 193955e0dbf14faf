/* The connection's thread: connects, then lives on the socket and the command queue until told to
 * stop; whatever breaks, it reports, waits a little and connects anew. */
#include "lib/amqp/internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define STABLE_US (60u * 1000000)

/* --- commands --------------------------------------------------------------------------------- */

static void called(struct amqp_conn *c, const struct command *cmd, int rc, const struct err *err)
{
    struct event *ev = event_new(EV_CALLED);
    ev->called.done = cmd->call.done;
    ev->called.arg = cmd->call.arg;
    ev->called.rc = rc;
    ev->called.err = xmemdup(err, sizeof(*err));
    event_add(c, ev);
}

/* -1 when the connection is gone. */
static int do_call(struct amqp_conn *c, const struct command *cmd, struct err *err)
{
    struct err why = ERR_INIT;
    int rc = conn_open_setup_channel(c, &why);
    bool opened = rc == 0;
    if (opened)
        rc = cmd->call.fn(cmd->call.arg, c->state, &why);
    if (rc != 0) {
        /* Whether the channel lives is the broker's last word to us. */
        amqp_rpc_reply_t reply = amqp_get_rpc_reply(c->state);
        bool alive = reply.reply_type == AMQP_RESPONSE_NORMAL;
        if (!alive) {
            struct err detail = ERR_INIT;
            c->setup_open = false;
            alive = conn_reply_error(c->state, CHANNEL_SETUP, reply, "set-up call", &detail);
            if (!why.text[0])
                why = detail;
        }
        if (!alive) {
            called(c, cmd, -1, &why);
            return err_set(err, "%s", why.text);
        }
    }
    called(c, cmd, rc, &why);
    return 0;
}

static int execute(struct amqp_conn *c, struct command *cmd, struct err *err)
{
    switch (cmd->kind) {
    case CMD_PUBLISH:
        return confirms_publish(c, cmd, err);
    case CMD_ACK:
        acks_mark(c, cmd->ack.tag);
        return 0;
    case CMD_REJECT:
        return acks_reject(c, cmd, err);
    case CMD_CANCEL_CONSUMER:
        c->consuming = false;
        free((char *)c->opts.queue);
        c->opts.queue = NULL; /* not again after a reconnect either */
        amqp_basic_cancel(c->state, CHANNEL_MAIN, amqp_cstring_bytes(CONSUMER_TAG));
        return 0;
    case CMD_CALL:
        return do_call(c, cmd, err);
    case CMD_WAKE:
        return 0;
    }
    return 0;
}

static struct command *next_command(struct amqp_conn *c)
{
    pthread_mutex_lock(&c->lock);
    struct command *cmd = STAILQ_FIRST(&c->commands);
    if (cmd)
        STAILQ_REMOVE_HEAD(&c->commands, link);
    pthread_mutex_unlock(&c->lock);
    return cmd;
}

static void all_commands(struct amqp_conn *c, struct command_list *out)
{
    STAILQ_INIT(out);
    pthread_mutex_lock(&c->lock);
    STAILQ_CONCAT(out, &c->commands);
    pthread_mutex_unlock(&c->lock);
}

static void put_back(struct amqp_conn *c, struct command_list *rest)
{
    pthread_mutex_lock(&c->lock);
    STAILQ_CONCAT(rest, &c->commands);
    STAILQ_CONCAT(&c->commands, rest);
    pthread_mutex_unlock(&c->lock);
}

/* Several messages leave in as few packets as hold them: it is the broker that saves most. */
static void cork(struct amqp_conn *c, int on)
{
    (void)setsockopt(amqp_get_sockfd(c->state), IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

/* Its question must leave at once: corked, the kernel keeps it for 200 ms. */
static bool waits_for_answer(const struct command *cmd)
{
    return cmd->kind == CMD_CALL || cmd->kind == CMD_CANCEL_CONSUMER;
}

static int run_commands(struct amqp_conn *c, struct err *err)
{
    struct command_list mine;
    struct command *cmd;
    uint64_t n;
    int rc = 0;
    ssize_t ignored = read(c->wake_fd, &n, sizeof(n));
    (void)ignored;
    all_commands(c, &mine);
    bool several = !STAILQ_EMPTY(&mine) && STAILQ_NEXT(STAILQ_FIRST(&mine), link) != NULL;
    if (several)
        cork(c, 1);
    while (rc == 0 && (cmd = STAILQ_FIRST(&mine)) != NULL) {
        STAILQ_REMOVE_HEAD(&mine, link);
        bool asks = several && waits_for_answer(cmd);
        if (asks)
            cork(c, 0);
        rc = execute(c, cmd, err);
        if (asks)
            cork(c, 1);
        command_free(cmd);
        c->traffic.count++;
    }
    if (rc == 0)
        rc = acks_flush(c, err);
    else
        put_back(c, &mine);
    if (several)
        cork(c, 0);
    events_flush(c);
    return rc;
}

/* --- frames ----------------------------------------------------------------------------------- */

static int next_frame(struct amqp_conn *c, amqp_frame_t *frame, unsigned wait_s, struct err *err)
{
    struct timeval tv = {.tv_sec = wait_s};
    int st = amqp_simple_wait_frame_noblock(c->state, frame, &tv);
    if (st == AMQP_STATUS_TIMEOUT && wait_s == 0)
        return 1;
    return st == AMQP_STATUS_OK ? 0 : err_set(err, "%s", amqp_error_string2(st));
}

/* The content behind a method: first its properties. */
static int read_content_header(struct amqp_conn *c, amqp_frame_t *head, struct err *err)
{
    if (next_frame(c, head, RPC_TIMEOUT_S, err) != 0)
        return -1;
    if (head->frame_type != AMQP_FRAME_HEADER)
        return err_set(err, "the broker sent no content header");
    if (head->payload.properties.body_size > MESSAGE_MAX)
        return err_set(err, "a message of %llu bytes is larger than %u",
                       (unsigned long long)head->payload.properties.body_size, MESSAGE_MAX);
    return 0;
}

/* Then its body, with a NUL behind it; NULL on failure.  rabbitmq-c keeps for the connection's life
 * as many buffers as frames were ever held at once: each is given back before the next is read.  So
 * what came before in this channel, method and properties too, must have been copied. */
static char *read_body(struct amqp_conn *c, size_t size, struct err *err)
{
    size_t got = 0;
    char *p = xmalloc(size + 1);
    while (got < size) {
        amqp_frame_t part;
        if (next_frame(c, &part, RPC_TIMEOUT_S, err) != 0)
            goto fail;
        if (part.frame_type != AMQP_FRAME_BODY || part.payload.body_fragment.len > size - got) {
            err_set(err, "the broker sent a body that does not fit its header");
            goto fail;
        }
        memcpy(p + got, part.payload.body_fragment.bytes, part.payload.body_fragment.len);
        got += part.payload.body_fragment.len;
        amqp_maybe_release_buffers_on_channel(c->state, part.channel);
    }
    p[size] = '\0';
    return p;
fail:
    free(p);
    return NULL;
}

static int on_deliver(struct amqp_conn *c, const amqp_basic_deliver_t *d, struct err *err)
{
    amqp_frame_t head;
    if (read_content_header(c, &head, err) != 0)
        return -1;
    uint64_t tag = d->delivery_tag;
    size_t n = (size_t)head.payload.properties.body_size;
    struct amqp_message *m = message_new(d, head.payload.properties.decoded, acks_tag(c, tag));
    char *body = read_body(c, n, err);
    if (body == NULL) {
        amqp_message_free(m);
        return -1;
    }
    message_take_body(m, body, n);
    acks_note(c, tag);
    struct event *ev = event_new(EV_MESSAGE);
    ev->message = m;
    event_add(c, ev);
    return 0;
}

static int on_return(struct amqp_conn *c, const amqp_basic_return_t *r, struct err *err)
{
    amqp_frame_t head;
    if (read_content_header(c, &head, err) != 0)
        return -1;
    size_t key_n = r->routing_key.len, n = (size_t)head.payload.properties.body_size;
    autofree char *key = xstrndup(r->routing_key.bytes, key_n);
    char *body = read_body(c, n, err);
    if (body == NULL)
        return -1;
    confirms_returned(c, (amqp_bytes_t){.len = key_n, .bytes = key}, body, n);
    free(body);
    return 0;
}

static int closed_by_broker(struct amqp_conn *c, const amqp_frame_t *f, enum amqp_down *why,
                            struct err *err)
{
    amqp_rpc_reply_t reply = {.reply_type = AMQP_RESPONSE_SERVER_EXCEPTION,
                              .reply = f->payload.method};
    bool channel = conn_reply_error(c->state, f->channel, reply, "closed by the broker", err);
    *why = channel ? AMQP_DOWN_CHANNEL : AMQP_DOWN_NETWORK;
    if (channel && f->channel == CHANNEL_SETUP) {
        c->setup_open = false;
        return 0;
    }
    return -1;
}

static int on_frame(struct amqp_conn *c, const amqp_frame_t *f, enum amqp_down *why,
                    struct err *err)
{
    if (f->frame_type != AMQP_FRAME_METHOD)
        return 0;
    void *m = f->payload.method.decoded;
    switch (f->payload.method.id) {
    case AMQP_BASIC_DELIVER_METHOD:
        return on_deliver(c, m, err);
    case AMQP_BASIC_ACK_METHOD:
        confirms_take(c, ((amqp_basic_ack_t *)m)->delivery_tag, ((amqp_basic_ack_t *)m)->multiple,
                      AMQP_ACKED);
        return 0;
    case AMQP_BASIC_NACK_METHOD:
        confirms_take(c, ((amqp_basic_nack_t *)m)->delivery_tag, ((amqp_basic_nack_t *)m)->multiple,
                      AMQP_NACKED);
        return 0;
    case AMQP_BASIC_RETURN_METHOD:
        return on_return(c, m, err);
    case AMQP_BASIC_CANCEL_METHOD:
        *why = AMQP_DOWN_CHANNEL;
        return err_set(err, "the broker cancelled the consumer (was the queue deleted?)");
    case AMQP_CHANNEL_CLOSE_METHOD:
    case AMQP_CONNECTION_CLOSE_METHOD:
        return closed_by_broker(c, f, why, err);
    default:
        return 0; /* connection.blocked and the like */
    }
}

static int read_frames_into_events(struct amqp_conn *c, enum amqp_down *why, struct err *err)
{
    for (unsigned n = 0;; n++) {
        amqp_frame_t frame;
        int rc = next_frame(c, &frame, 0, err);
        if (rc != 0)
            return rc < 0 ? -1 : 0;
        if (on_frame(c, &frame, why, err) != 0)
            return -1;
        c->traffic.count++;
        amqp_maybe_release_buffers(c->state);
        /* A flood of deliveries must not starve publishes and acks. */
        if (n % 64 == 63 && run_commands(c, err) != 0)
            return -1;
    }
}

/* The loop is woken once for all of a pass. */
static int read_frames(struct amqp_conn *c, enum amqp_down *why, struct err *err)
{
    int rc = read_frames_into_events(c, why, err);
    events_flush(c);
    return rc;
}

/* Below this rate nothing is held up.  Above it a nap lets frames and commands gather: fewer and
 * larger packets, fewer wake-ups, here, at the broker and behind the loop. */
#define TRAFFIC_BUSY 10u /* frames and commands in a window */
#define TRAFFIC_WINDOW_US 1000u
#define TRAFFIC_NAP_US 500

static void nap_when_busy(struct amqp_conn *c)
{
    uint64_t now = clock_mono_us(), span = now - c->traffic.since_us;
    if (span >= TRAFFIC_WINDOW_US) {
        c->traffic.busy = c->traffic.count * TRAFFIC_WINDOW_US >= TRAFFIC_BUSY * span;
        c->traffic.since_us = now;
        c->traffic.count = 0;
    }
    if (c->traffic.busy && !atomic_load(&c->stopping))
        usleep(TRAFFIC_NAP_US);
}

/* --- life ------------------------------------------------------------------------------------- */

static bool may_stop(struct amqp_conn *c)
{
    if (!atomic_load(&c->stopping))
        return false;
    pthread_mutex_lock(&c->lock);
    bool idle = STAILQ_EMPTY(&c->commands) && c->out.count == 0;
    pthread_mutex_unlock(&c->lock);
    return idle || clock_mono_us() >= atomic_load(&c->stop_by_us);
}

static int wait_ms(struct amqp_conn *c)
{
    int heartbeat = amqp_get_heartbeat(c->state);
    int ms = heartbeat ? heartbeat * 500 : -1;
    return atomic_load(&c->stopping) ? 50 : ms;
}

/* 0 = stopped in order, -1 = broke. */
static int serve(struct amqp_conn *c, enum amqp_down *why, struct err *err)
{
    struct pollfd fds[2] = {{.fd = amqp_get_sockfd(c->state), .events = POLLIN},
                            {.fd = c->wake_fd, .events = POLLIN}};
    *why = AMQP_DOWN_NETWORK;
    for (;;) {
        if (run_commands(c, err) != 0 || read_frames(c, why, err) != 0)
            return -1;
        if (may_stop(c))
            return 0;
        nap_when_busy(c);
        if (poll(fds, 2, wait_ms(c)) < 0 && errno != EINTR)
            return err_errno(err, "poll");
    }
}

static void went_down(struct amqp_conn *c, enum amqp_down why, const char *text, bool final)
{
    struct event *ev = event_new(EV_DOWN);
    ev->down.why = why;
    ev->down.text = xstrdup(text);
    ev->down.final = final;
    event_add(c, ev);
    events_flush(c);
}

/* Commands that make no sense without a connection go; publishes stay. */
static void drop_stale_commands(struct amqp_conn *c)
{
    struct command_list keep = STAILQ_HEAD_INITIALIZER(keep);
    struct err err = ERR_INIT;
    err_set(&err, "the connection to the broker is down");
    for (struct command *cmd; (cmd = next_command(c));) {
        if (cmd->kind == CMD_PUBLISH) {
            STAILQ_INSERT_TAIL(&keep, cmd, link);
            continue;
        }
        if (cmd->kind == CMD_CALL)
            called(c, cmd, -1, &err);
        if (cmd->kind == CMD_WAKE)
            c->reconnect_asked = true;
        if (cmd->kind == CMD_CANCEL_CONSUMER) {
            free((char *)c->opts.queue);
            c->opts.queue = NULL;
        }
        command_free(cmd);
    }
    put_back(c, &keep);
    events_flush(c);
}

/* Sleeps for the pause (for ever when it is final), or until told to stop or to reconnect. */
static void pause_until(struct amqp_conn *c, bool final, unsigned tries)
{
    uint64_t until = clock_mono_us() + backoff_us(tries, 500000, 30000000);
    struct pollfd p = {.fd = c->wake_fd, .events = POLLIN};
    c->reconnect_asked = false;
    while (!atomic_load(&c->stopping) && !c->reconnect_asked) {
        drop_stale_commands(c);
        uint64_t now = clock_mono_us();
        if (!final && now >= until)
            return;
        if (c->reconnect_asked)
            return;
        poll(&p, 1, final ? -1 : (int)((until - now) / 1000 + 1));
        uint64_t n;
        ssize_t ignored = read(c->wake_fd, &n, sizeof(n));
        (void)ignored;
    }
}

static void fresh_start(struct amqp_conn *c)
{
    c->generation++;
    c->in.base = c->in.count = 0;
    c->out.first = 1;
}

static void report_unsent(struct amqp_conn *c)
{
    drop_stale_commands(c);
    for (struct command *cmd; (cmd = next_command(c));) {
        confirms_report(c, cmd->publish.cookie, AMQP_LOST);
        command_free(cmd);
    }
    events_flush(c);
}

void *conn_thread(void *arg)
{
    struct amqp_conn *c = arg;
    unsigned tries = 0;
    while (!atomic_load(&c->stopping)) {
        struct err err = ERR_INIT;
        enum amqp_down why;
        fresh_start(c);
        uint64_t began = clock_mono_us();
        int rc = conn_open(c, &why, &err);
        if (rc == 0) {
            event_add(c, event_new(EV_UP));
            events_flush(c);
            rc = serve(c, &why, &err);
        }
        conn_close(c, rc == 0);
        confirms_lose(c);
        events_flush(c);
        if (rc == 0)
            break;
        if (clock_mono_us() - began > STABLE_US)
            tries = 0;
        bool final = why == AMQP_DOWN_AUTH && !c->opts.retry_auth;
        went_down(c, why, err.text, final);
        pause_until(c, final, tries++);
    }
    report_unsent(c);
    return NULL;
}
