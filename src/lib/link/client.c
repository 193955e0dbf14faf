/* The agent's side.  All offered addresses are tried at once, each with a socket of its own; the
 * first that welcomes us stays, the others are closed. */
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/link/private.h"

#define READ_BURST 256
#define ADDRESSES_MAX 32
#define BATCH_MAX 32              /* messages that wait for company */
#define BATCH_BODY_MAX (32 << 10) /* larger ones go at once, and with them those before */
#define BATCH_US LOOP_MS(3)
#define ID_TEXT 40 /* of a task; longer ones are told at once */

struct probe {
    struct link_client *client;
    char *address;
    void *socket;
    struct link_pump *pump;
};

struct held {
    zmq_msg_t head, body;
    bool has_body;
};

struct link_client {
    struct loop *loop;
    void *context;
    struct probe probes[ADDRESSES_MAX];
    size_t count;
    struct probe *chosen;
    struct loop_timer *probing, *beat, *closing;
    uint64_t heard_us;
    unsigned probe_timeout_s, period_s, threshold_s;
    char id[13];
    bool stopped;
    struct {
        bool on;
        struct held held[BATCH_MAX];
        size_t count;
        char started[BATCH_MAX][ID_TEXT]; /* tasks whose start is not told yet */
        size_t started_count;
        struct loop_timer *timer;
    } batch;
    const struct link_client_handlers *handlers;
    void *arg;
};

static void send_on(struct probe *p, const void *head, size_t n, const void *body, size_t body_n)
{
    if (zmq_send(p->socket, head, n, (body != NULL ? ZMQ_SNDMORE : 0) | ZMQ_DONTWAIT) < 0)
        log_warning("cannot send to the user endpoint: %s", zmq_strerror(zmq_errno()));
    else if (body != NULL)
        zmq_send(p->socket, body, body_n, ZMQ_DONTWAIT);
    link_pump_kick(p->pump);
}

static void started_send(struct link_client *c)
{
    for (size_t i = 0; i < c->batch.started_count && c->chosen != NULL; i++) {
        char head[1 + ID_TEXT];
        int n = snprintf(head, sizeof(head), "S%s", c->batch.started[i]);
        send_on(c->chosen, head, (size_t)n, NULL, 0);
    }
    c->batch.started_count = 0;
}

static void batch_send(struct link_client *c)
{
    void *socket = c->chosen != NULL ? c->chosen->socket : NULL;
    for (size_t i = 0; i < c->batch.count; i++) {
        struct held *h = &c->batch.held[i];
        int more = h->has_body ? ZMQ_SNDMORE : 0;
        bool sent = socket != NULL && zmq_msg_send(&h->head, socket, more | ZMQ_DONTWAIT) >= 0 &&
                    (!h->has_body || zmq_msg_send(&h->body, socket, ZMQ_DONTWAIT) >= 0);
        if (!sent && socket != NULL)
            log_warning("cannot send to the user endpoint: %s", zmq_strerror(zmq_errno()));
        zmq_msg_close(&h->head);
        if (h->has_body)
            zmq_msg_close(&h->body);
    }
    if (c->batch.count > 0 && c->chosen != NULL)
        link_pump_kick(c->chosen->pump);
    c->batch.count = 0;
}

/* Set when something waits; it is not cancelled when that is sent earlier: one alarm every few
 * milliseconds costs less than one more system call for each task. */
static void batch_timer_cb(void *arg)
{
    started_send(arg);
    batch_send(arg);
}

static void batch_alarm(struct link_client *c)
{
    if (!loop_timer_is_set(c->batch.timer))
        loop_timer_set(c->batch.timer, BATCH_US, 0);
}

static void copy_in(zmq_msg_t *m, const void *p, size_t n)
{
    if (zmq_msg_init_size(m, n) != 0)
        abort();
    if (n > 0)
        memcpy(zmq_msg_data(m), p, n);
}

static void batch_add(struct link_client *c, const struct buf *head, const void *body, size_t n)
{
    struct held *h = &c->batch.held[c->batch.count++];
    copy_in(&h->head, head->data, head->len);
    h->has_body = body != NULL;
    if (h->has_body)
        copy_in(&h->body, body, n);
    if (c->batch.count == BATCH_MAX)
        batch_send(c);
    else
        batch_alarm(c);
}

void link_client_batch(struct link_client *c, bool on)
{
    c->batch.on = on;
    if (!on)
        batch_send(c);
}

/* A result says that its task was started. */
static void started_forget(struct link_client *c, const char *id)
{
    for (size_t i = 0; i < c->batch.started_count; i++)
        if (strcmp(c->batch.started[i], id) == 0) {
            size_t last = --c->batch.started_count;
            memmove(c->batch.started[i], c->batch.started[last], ID_TEXT);
            return;
        }
}

static void send_text(struct link_client *c, char type, const char *text, const void *body,
                      size_t n)
{
    autobuf struct buf b = BUF_INIT;
    if (c->chosen == NULL)
        return;
    link_header_text(&b, type, text);
    if (c->batch.on && n <= BATCH_BODY_MAX) {
        batch_add(c, &b, body, n);
        return;
    }
    batch_send(c); /* the order stays */
    send_on(c->chosen, b.data, b.len, body, n);
}

static void send_json(struct link_client *c, char type, struct json_object *o)
{
    autobuf struct buf b = BUF_INIT;
    link_header_json(&b, type, o);
    json_object_put(o);
    started_send(c);
    batch_send(c);
    if (c->chosen != NULL)
        send_on(c->chosen, b.data, b.len, NULL, 0);
}

static void stop(struct link_client *c, const char *why)
{
    if (c->stopped)
        return;
    c->stopped = true;
    loop_timer_cancel(c->probing);
    loop_timer_cancel(c->beat);
    c->handlers->stop(c->arg, why);
}

static void probe_close(struct probe *p)
{
    link_pump_destroy(p->pump);
    if (p->socket != NULL)
        zmq_close(p->socket);
    p->pump = NULL;
    p->socket = NULL;
}

static void closing_cb(void *arg)
{
    struct link_client *c = arg;
    for (size_t i = 0; i < c->count; i++)
        if (&c->probes[i] != c->chosen)
            probe_close(&c->probes[i]);
}

static void on_welcome(struct link_client *c, struct probe *p, struct json_object *settings)
{
    if (c->chosen != NULL)
        return;
    c->chosen = p;
    loop_timer_cancel(c->probing);
    loop_timer_set(c->closing, 0, 0); /* not from within the loser's own callback */
    c->handlers->welcome(c->arg, settings, p->address);
}

static void take(struct link_client *c, struct probe *p, struct link_frames *f)
{
    struct err err = ERR_INIT;
    struct link_header h = {.json = NULL};
    if (f->count < 1)
        return;
    if (link_header_read(zmq_msg_data(&f->part[0]), zmq_msg_size(&f->part[0]), &h, &err) != 0) {
        log_warning("a message of the user endpoint was dropped: %s", err.text);
        return;
    }
    c->heard_us = loop_now_us(c->loop);
    if (h.type == 'W')
        on_welcome(c, p, h.json);
    else if (h.type == 'N')
        stop(c, json_object_get_string(h.json));
    else if (h.type == 'T' && f->count == 2)
        c->handlers->task(c->arg, h.json, zmq_msg_data(&f->part[1]), zmq_msg_size(&f->part[1]));
    else if (h.type == 'O')
        c->handlers->hold(c->arg);
    else if (h.type == 'D')
        c->handlers->drain(c->arg);
    else if (h.type == 'X')
        stop(c, "the user endpoint said so");
    link_header_clear(&h);
}

static bool readable_cb(void *arg)
{
    struct probe *p = arg;
    struct link_client *c = p->client;
    struct link_frames f;
    for (int i = 0; i < READ_BURST; i++) {
        if (c->stopped || link_receive(p->socket, &f) != 1)
            return false;
        take(c, p, &f);
        link_frames_clear(&f);
    }
    return true;
}

static void probing_cb(void *arg)
{
    struct link_client *c = arg;
    autobuf struct buf b = BUF_INIT;
    for (size_t i = 0; i < c->count; i++)
        buf_fmt(&b, "%s%s", i > 0 ? ", " : "", c->probes[i].address);
    autofree char *why = xasprintf("no address of the user endpoint answered within %u s: %s",
                                   c->probe_timeout_s, b.data != NULL ? b.data : "none given");
    stop(c, why);
}

static void beat_cb(void *arg)
{
    struct link_client *c = arg;
    if (loop_now_us(c->loop) - c->heard_us > LOOP_S(c->threshold_s)) {
        stop(c, "the user endpoint was silent for longer than the heartbeat threshold");
        return;
    }
    if (c->chosen != NULL)
        send_on(c->chosen, "B", 1, NULL, 0);
    loop_timer_set(c->beat, LOOP_S(c->period_s), LOOP_MS(200));
}

static int open_probe(struct link_client *c, struct probe *p, const struct link_client_opts *o,
                      const struct link_keys *keys, struct json_object *hello, struct err *err)
{
    char public_key[KEY_TEXT], secret_key[KEY_TEXT];
    int none = 0, v6 = strchr(p->address, ':') != NULL, unlimited = 0, retry_ms = 200;
    int retry_max_ms = 2000, linger_ms = 1000;
    p->socket = zmq_socket(c->context, ZMQ_DEALER);
    if (p->socket == NULL)
        return err_set(err, "no ZeroMQ socket: %s", zmq_strerror(zmq_errno()));
    /* Each socket its own identity: two addresses may lead to the same endpoint. */
    autofree char *identity = xasprintf("%s-%zu", c->id, (size_t)(p - c->probes));
    zmq_setsockopt(p->socket, ZMQ_ROUTING_ID, identity, strlen(identity));
    zmq_setsockopt(p->socket, ZMQ_LINGER, c->chosen == p ? &linger_ms : &none, sizeof(none));
    zmq_setsockopt(p->socket, ZMQ_SNDHWM, &unlimited, sizeof(unlimited));
    zmq_setsockopt(p->socket, ZMQ_RECONNECT_IVL, &retry_ms, sizeof(retry_ms));
    zmq_setsockopt(p->socket, ZMQ_RECONNECT_IVL_MAX, &retry_max_ms, sizeof(retry_max_ms));
    zmq_setsockopt(p->socket, ZMQ_IPV6, &v6, sizeof(v6));
    if (o->encrypted &&
        (zmq_curve_keypair(public_key, secret_key) != 0 ||
         zmq_setsockopt(p->socket, ZMQ_CURVE_SERVERKEY, keys->public_key, KEY_TEXT) != 0 ||
         zmq_setsockopt(p->socket, ZMQ_CURVE_PUBLICKEY, public_key, KEY_TEXT) != 0 ||
         zmq_setsockopt(p->socket, ZMQ_CURVE_SECRETKEY, secret_key, KEY_TEXT) != 0))
        return err_set(err, "no encryption: %s", zmq_strerror(zmq_errno()));
    autofree char *where = xasprintf(v6 ? "tcp://[%s]:%d" : "tcp://%s:%d", p->address, o->port);
    if (zmq_connect(p->socket, where) != 0)
        return err_set(err, "cannot connect to %s: %s", where, zmq_strerror(zmq_errno()));
    p->pump = link_pump_create(c->loop, p->socket, readable_cb, p);
    autobuf struct buf b = BUF_INIT;
    json_add_str(hello, "address", p->address);
    link_header_json(&b, 'H', hello);
    send_on(p, b.data, b.len, NULL, 0);
    return 0;
}

static int open_all(struct link_client *c, const struct link_client_opts *o, struct err *err)
{
    struct link_keys keys;
    struct err last = ERR_INIT;
    if (link_keys_read(&keys, o->key_file, err) != 0)
        return -1;
    json_add_int(o->hello, "version", LINK_VERSION);
    json_add_str(o->hello, "token", keys.token);
    json_add_str(o->hello, "id", c->id);
    size_t opened = 0;
    for (size_t i = 0; o->addresses[i] != NULL && c->count < ADDRESSES_MAX; i++) {
        struct probe *p = &c->probes[c->count++];
        *p = (struct probe){.client = c, .address = xstrdup(o->addresses[i])};
        if (open_probe(c, p, o, &keys, o->hello, &last) == 0)
            opened++;
        else
            probe_close(p); /* a name that can't be resolved here does not stop the others */
    }
    explicit_bzero(&keys, sizeof(keys));
    if (opened > 0)
        return 0;
    return err_set(err, "%s",
                   c->count > 0 ? last.text : "no address of the user endpoint is given");
}

struct link_client *link_client_create(struct loop *l, const struct link_client_opts *o,
                                       struct err *err)
{
    struct link_client *c = xcalloc(1, sizeof(*c));
    unsigned char bits[6];
    *c = (struct link_client){.loop = l,
                              .context = zmq_ctx_new(),
                              .heard_us = loop_now_us(l),
                              .probe_timeout_s = o->probe_timeout_s > 0 ? o->probe_timeout_s : 30,
                              .handlers = o->handlers,
                              .arg = o->arg};
    if (RAND_bytes(bits, sizeof(bits)) != 1)
        abort();
    for (size_t i = 0; i < sizeof(bits); i++)
        snprintf(c->id + 2 * i, 3, "%02x", bits[i]);
    c->probing = loop_timer_create(l, probing_cb, c);
    c->beat = loop_timer_create(l, beat_cb, c);
    c->closing = loop_timer_create(l, closing_cb, c);
    c->batch.timer = loop_timer_create(l, batch_timer_cb, c);
    int rc = open_all(c, o, err);
    json_object_put(o->hello);
    if (rc == 0) {
        loop_timer_set(c->probing, LOOP_S(c->probe_timeout_s), 0);
        return c;
    }
    link_client_destroy(c);
    return NULL;
}

void link_client_destroy(struct link_client *c)
{
    if (c == NULL)
        return;
    batch_send(c);
    loop_timer_destroy(c->batch.timer);
    for (size_t i = 0; i < c->count; i++) {
        probe_close(&c->probes[i]);
        free(c->probes[i].address);
    }
    loop_timer_destroy(c->probing);
    loop_timer_destroy(c->beat);
    loop_timer_destroy(c->closing);
    zmq_ctx_term(c->context);
    free(c);
}

const char *link_client_id(const struct link_client *c)
{
    return c->id;
}

void link_client_beat(struct link_client *c, unsigned period_s, unsigned threshold_s)
{
    c->period_s = period_s > 0 ? period_s : 30;
    c->threshold_s = threshold_s > 0 ? threshold_s : 120;
    loop_timer_set(c->beat, LOOP_S(c->period_s), LOOP_MS(200));
}

void link_client_ready(struct link_client *c, struct json_object *ready)
{
    send_json(c, 'Y', ready);
}

void link_client_started(struct link_client *c, const char *task_id)
{
    if (strlen(task_id) >= ID_TEXT) {
        send_text(c, 'S', task_id, NULL, 0);
        return;
    }
    if (c->batch.started_count == BATCH_MAX)
        started_send(c);
    strcpy(c->batch.started[c->batch.started_count++], task_id);
    batch_alarm(c);
}

void link_client_result(struct link_client *c, const char *task_id, const void *body, size_t n)
{
    started_forget(c, task_id);
    send_text(c, 'R', task_id, body, n);
}

void link_client_task_lost(struct link_client *c, const char *task_id, enum link_loss kind,
                           const char *text)
{
    struct json_object *o = json_object_new_object();
    json_add_str(o, "id", task_id);
    json_add_str(o, "kind", kind == LINK_TASK_FAILED ? "failed" : "worker");
    json_add_str(o, "text", text);
    send_json(c, 'L', o);
}

void link_client_going(struct link_client *c, const char *why)
{
    send_json(c, 'G', json_object_new_string(why));
}

void link_client_flush(struct link_client *c)
{
    /* Closing waits for what is queued, bounded by the linger time. */
    int linger_ms = 1000;
    for (size_t i = 0; i < c->count; i++)
        if (c->probes[i].socket != NULL && &c->probes[i] == c->chosen)
            zmq_setsockopt(c->probes[i].socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
}
