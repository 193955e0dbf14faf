/* The user endpoint's side: one ROUTER socket, a table of agents by their ZeroMQ identity.
 *
 *   connects ──hello──▶ KNOWN ──ready──▶ REGISTERED ──▶ gone (going, silent, told to stop)
 *
 * An agent that reconnects has the same identity and goes on where it was. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/map.h"
#include "lib/link/private.h"

#define READ_BURST 256  /* messages taken before others get their turn */
#define IDENTITY_MAX 64 /* bytes of a ZeroMQ identity */
#define KNOWN_MAX 20000 /* agents at once */
#define QUEUE_MAX 4096  /* messages that may wait for one agent */
#define AFTER_DISCONNECT_US LOOP_S(5)

struct link_agent {
    struct link_server *server;
    char key[2 * IDENTITY_MAX + 1]; /* identity in hexadecimal */
    unsigned char identity[IDENTITY_MAX];
    size_t identity_len;
    bool registered;
    uint64_t seen_us;
    uint64_t suspected_us; /* a connection broke then and this one was not heard since; 0 = fine */
    struct link_agent_info info;
    struct json_object *hello, *ready;
    void *data;
};

struct link_server {
    struct loop *loop;
    void *context, *socket, *monitor;
    struct link_pump *pump, *monitor_pump;
    struct loop_timer *tick;
    struct map *agents;
    size_t registered;
    int port;
    unsigned period_s, threshold_s;
    struct link_keys keys;
    char *key_file;
    struct buf welcome;
    const struct link_server_handlers *handlers;
    void *arg;
};

/* ---- sending --------------------------------------------------------------------------------- */

static int send_frames(struct link_agent *a, const void *head, size_t head_n, const void *body,
                       size_t body_n)
{
    void *socket = a->server->socket;
    /* With ROUTER_MANDATORY the first part fails when the agent is gone or its queue is full;
     * nothing was sent then. */
    if (zmq_send(socket, a->identity, a->identity_len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return -1;
    if (zmq_send(socket, head, head_n, (body != NULL ? ZMQ_SNDMORE : 0) | ZMQ_DONTWAIT) < 0)
        return -1;
    if (body != NULL && zmq_send(socket, body, body_n, ZMQ_DONTWAIT) < 0)
        return -1;
    link_pump_kick(a->server->pump);
    return 0;
}

static void send_type(struct link_agent *a, char type)
{
    (void)send_frames(a, &type, 1, NULL, 0);
}

static void refuse(struct link_agent *a, const char *why)
{
    autobuf struct buf b = BUF_INIT;
    buf_char(&b, 'N');
    buf_json_str(&b, why, strlen(why));
    (void)send_frames(a, b.data, b.len, NULL, 0);
}

int link_send_task(struct link_agent *a, struct json_object *header, const void *body, size_t n)
{
    autobuf struct buf b = BUF_INIT;
    link_header_json(&b, 'T', header);
    return send_frames(a, b.data, b.len, body, n);
}

void link_send_hold(struct link_agent *a)
{
    send_type(a, 'O');
}

void link_send_drain(struct link_agent *a)
{
    send_type(a, 'D');
}

void link_send_stop(struct link_agent *a)
{
    send_type(a, 'X');
}

/* ---- agents ---------------------------------------------------------------------------------- */

static void agent_free(void *p)
{
    struct link_agent *a = p;
    json_object_put(a->hello);
    json_object_put(a->ready);
    free(a);
}

static struct link_agent *agent_of(struct link_server *s, const zmq_msg_t *identity, bool make)
{
    char key[2 * IDENTITY_MAX + 1];
    size_t n = zmq_msg_size(identity);
    const unsigned char *p = zmq_msg_data((zmq_msg_t *)identity);
    if (n == 0 || n > IDENTITY_MAX)
        return NULL;
    for (size_t i = 0; i < n; i++)
        snprintf(key + 2 * i, 3, "%02x", p[i]);
    struct link_agent *a = map_get(s->agents, key);
    if (a != NULL || !make || map_count(s->agents) >= KNOWN_MAX)
        return a;
    a = xcalloc(1, sizeof(*a));
    a->server = s;
    memcpy(a->key, key, 2 * n + 1);
    memcpy(a->identity, p, n);
    a->identity_len = n;
    map_put(s->agents, key, a);
    return a;
}

static void agent_gone(struct link_agent *a, const char *why)
{
    struct link_server *s = a->server;
    map_del(s->agents, a->key);
    if (a->registered) {
        s->registered--;
        log_info("agent=%s block=%s host=%s event=gone reason=%s", a->info.id, a->info.block,
                 a->info.host, why);
        s->handlers->lost(s->arg, a, why);
    }
    agent_free(a);
}

const struct link_agent_info *link_agent_info(const struct link_agent *a)
{
    return &a->info;
}

void *link_agent_data(const struct link_agent *a)
{
    return a->data;
}

void link_agent_set_data(struct link_agent *a, void *data)
{
    a->data = data;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static void on_hello(struct link_server *s, struct link_agent *a, struct json_object *hello)
{
    const char *token = json_str_or(hello, "token", "");
    int64_t version = 0;
    (void)json_get_int(hello, "version", &version, NULL);
    if (!link_tokens_equal(token, s->keys.token)) {
        log_warning("an agent without the right token was refused");
        refuse(a, "the token is not this endpoint's");
        agent_gone(a, "refused");
        return;
    }
    if (version != LINK_VERSION) {
        refuse(a, "node agent and user endpoint are of different releases");
        agent_gone(a, "refused");
        return;
    }
    json_object_put(a->hello);
    a->hello = json_object_get(hello);
    a->info.id = json_str_or(hello, "id", a->key);
    a->info.block = json_str_or(hello, "block", "");
    a->info.host = json_str_or(hello, "host", "");
    a->info.address = json_str_or(hello, "address", "");
    a->info.python = "";
    a->info.details = a->hello;
    (void)send_frames(a, s->welcome.data, s->welcome.len, NULL, 0);
}

static void on_ready(struct link_server *s, struct link_agent *a, struct json_object *ready)
{
    int64_t workers = 0, capacity = 0;
    if (json_get_int(ready, "workers", &workers, NULL) != 0 ||
        json_get_int(ready, "capacity", &capacity, NULL) != 0 || workers < 1 || workers > 65536 ||
        capacity < workers || capacity > 1 << 20) {
        refuse(a, "workers and capacity make no sense");
        agent_gone(a, "nonsense");
        return;
    }
    json_object_put(a->ready);
    a->ready = json_object_get(ready);
    a->info.python = json_str_or(ready, "python", "");
    a->info.address = json_str_or(ready, "address", a->info.address);
    a->info.workers = (int)workers;
    a->info.capacity = (int)capacity;
    if (a->registered)
        return;
    a->registered = true;
    s->registered++;
    log_info("agent=%s block=%s host=%s event=registered workers=%d capacity=%d address=%s",
             a->info.id, a->info.block, a->info.host, a->info.workers, a->info.capacity,
             a->info.address);
    s->handlers->registered(s->arg, a);
}

static void on_task_lost(struct link_server *s, struct link_agent *a, struct json_object *o)
{
    const char *id = json_str_or(o, "id", NULL);
    bool failed = strcmp(json_str_or(o, "kind", ""), "failed") == 0;
    if (id != NULL)
        s->handlers->task_lost(s->arg, a, id, failed ? LINK_TASK_FAILED : LINK_WORKER_LOST,
                               json_str_or(o, "text", ""));
}

static void on_message(struct link_server *s, struct link_agent *a, const struct link_header *h,
                       struct link_frames *f)
{
    bool with_body = f->count == 3;
    if (h->type == 'H' && !a->registered)
        on_hello(s, a, h->json);
    else if (a->hello == NULL)
        refuse(a, "say hello first");
    else if (h->type == 'Y')
        on_ready(s, a, h->json);
    else if (h->type == 'B')
        send_type(a, 'B');
    else if (h->type == 'G')
        agent_gone(a, json_object_get_string(h->json));
    else if (!a->registered)
        return;
    else if (h->type == 'S')
        s->handlers->started(s->arg, a, h->text);
    else if (h->type == 'R' && with_body)
        s->handlers->result(s->arg, a, h->text, zmq_msg_data(&f->part[2]),
                            zmq_msg_size(&f->part[2]));
    else if (h->type == 'L')
        on_task_lost(s, a, h->json);
}

static void take(struct link_server *s, struct link_frames *f)
{
    struct err err = ERR_INIT;
    struct link_header h = {.json = NULL};
    if (f->count < 2)
        return;
    if (link_header_read(zmq_msg_data(&f->part[1]), zmq_msg_size(&f->part[1]), &h, &err) != 0) {
        log_warning("a message on the agents' port was dropped: %s", err.text);
        return;
    }
    struct link_agent *a = agent_of(s, &f->part[0], h.type == 'H');
    if (a != NULL) {
        a->seen_us = loop_now_us(s->loop);
        a->suspected_us = 0;
        on_message(s, a, &h, f);
    }
    link_header_clear(&h);
}

static bool readable_cb(void *arg)
{
    struct link_server *s = arg;
    struct link_frames f;
    for (int i = 0; i < READ_BURST; i++) {
        if (link_receive(s->socket, &f) != 1)
            return false;
        take(s, &f);
        link_frames_clear(&f);
    }
    return true;
}

/* ---- life and death -------------------------------------------------------------------------- */

static void tick_cb(void *arg)
{
    struct link_server *s = arg;
    uint64_t now = loop_now_us(s->loop);
    const char *key;
    void *value;
    for (size_t it = 0; map_next(s->agents, &it, &key, &value);) {
        struct link_agent *a = value;
        uint64_t silent = now - a->seen_us;
        if (a->suspected_us != 0 && now - a->suspected_us > AFTER_DISCONNECT_US)
            agent_gone(a, "its connection broke");
        else if (silent > LOOP_S(s->threshold_s))
            agent_gone(a, "no sign of life within the heartbeat threshold");
    }
    if (map_count(s->agents) > 0)
        loop_timer_set(s->tick, LOOP_S(1), LOOP_MS(500));
}

/* Some connection broke; ZeroMQ does not say whose.  Everybody is asked, who does not answer within
 * the grace is gone. */
static void suspect_all(struct link_server *s)
{
    const char *key;
    void *value;
    for (size_t it = 0; map_next(s->agents, &it, &key, &value);) {
        struct link_agent *a = value;
        if (a->suspected_us == 0)
            a->suspected_us = loop_now_us(s->loop);
        send_type(a, 'B');
    }
    loop_timer_set(s->tick, LOOP_S(1), LOOP_MS(500));
}

static bool monitor_cb(void *arg)
{
    struct link_server *s = arg;
    struct link_frames f;
    bool broke = false, came = false;
    while (link_receive(s->monitor, &f) == 1) {
        uint16_t event = 0;
        if (f.count > 0 && zmq_msg_size(&f.part[0]) >= sizeof(event))
            memcpy(&event, zmq_msg_data(&f.part[0]), sizeof(event));
        broke = broke || event == ZMQ_EVENT_DISCONNECTED;
        came = came || event == ZMQ_EVENT_ACCEPTED;
        link_frames_clear(&f);
    }
    if (broke && map_count(s->agents) > 0)
        suspect_all(s);
    else if (came)
        loop_timer_set(s->tick, LOOP_S(1), LOOP_MS(500));
    return false;
}

static int watch(struct link_server *s, struct err *err)
{
    if (zmq_socket_monitor(s->socket, "inproc://monitor",
                           ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_ACCEPTED) != 0)
        return err_set(err, "cannot watch the agents' socket: %s", zmq_strerror(zmq_errno()));
    s->monitor = zmq_socket(s->context, ZMQ_PAIR);
    if (s->monitor == NULL || zmq_connect(s->monitor, "inproc://monitor") != 0)
        return err_set(err, "cannot watch the agents' socket: %s", zmq_strerror(zmq_errno()));
    s->monitor_pump = link_pump_create(s->loop, s->monitor, monitor_cb, s);
    return 0;
}

static int bind_one(struct link_server *s, const char *address, int port)
{
    bool v6 = address != NULL && strchr(address, ':') != NULL;
    autofree char *where =
        xasprintf(v6 ? "tcp://[%s]:%d" : "tcp://%s:%d", address != NULL ? address : "*", port);
    return zmq_bind(s->socket, where);
}

static int bind_any(struct link_server *s, const struct link_server_opts *o, struct err *err)
{
    if (o->port > 0) {
        s->port = o->port;
        if (bind_one(s, o->address, o->port) == 0)
            return 0;
    } else if (o->port_from > 0) {
        int count = o->port_to - o->port_from + 1;
        int first = (int)(loop_now_us(s->loop) % (uint64_t)count);
        for (int i = 0; i < count; i++) {
            s->port = o->port_from + (first + i) % count;
            if (bind_one(s, o->address, s->port) == 0)
                return 0;
        }
    } else if (bind_one(s, o->address, 0) == 0) {
        char where[128];
        size_t n = sizeof(where);
        if (zmq_getsockopt(s->socket, ZMQ_LAST_ENDPOINT, where, &n) == 0)
            s->port = atoi(strrchr(where, ':') + 1);
        return 0;
    }
    return err_set(err, "cannot listen for node agents on %s port %d: %s",
                   o->address != NULL ? o->address : "any address", s->port,
                   zmq_strerror(zmq_errno()));
}

static int set_up(struct link_server *s, const struct link_server_opts *o, struct err *err)
{
    int yes = 1, none = 0, queue = QUEUE_MAX, v6 = o->address != NULL && strchr(o->address, ':');
    int64_t max = LINK_BODY_MAX;
    if (link_keys_make(&s->keys, o->key_dir, &s->key_file, err) != 0)
        return -1;
    s->context = zmq_ctx_new();
    s->socket = s->context != NULL ? zmq_socket(s->context, ZMQ_ROUTER) : NULL;
    if (s->socket == NULL)
        return err_set(err, "no ZeroMQ socket: %s", zmq_strerror(zmq_errno()));
    zmq_setsockopt(s->socket, ZMQ_ROUTER_MANDATORY, &yes, sizeof(yes));
    zmq_setsockopt(s->socket, ZMQ_ROUTER_HANDOVER, &yes, sizeof(yes));
    zmq_setsockopt(s->socket, ZMQ_LINGER, &none, sizeof(none));
    zmq_setsockopt(s->socket, ZMQ_SNDHWM, &queue, sizeof(queue));
    zmq_setsockopt(s->socket, ZMQ_RCVHWM, &queue, sizeof(queue));
    zmq_setsockopt(s->socket, ZMQ_MAXMSGSIZE, &max, sizeof(max));
    zmq_setsockopt(s->socket, ZMQ_IPV6, &v6, sizeof(v6));
    if (o->encrypted &&
        (zmq_setsockopt(s->socket, ZMQ_CURVE_SERVER, &yes, sizeof(yes)) != 0 ||
         zmq_setsockopt(s->socket, ZMQ_CURVE_SECRETKEY, s->keys.secret_key, KEY_TEXT) != 0))
        return err_set(err, "no encryption: %s", zmq_strerror(zmq_errno()));
    return watch(s, err) != 0 || bind_any(s, o, err) != 0 ? -1 : 0;
}

struct link_server *link_server_create(struct loop *l, const struct link_server_opts *o,
                                       struct err *err)
{
    struct link_server *s = xcalloc(1, sizeof(*s));
    *s = (struct link_server){.loop = l,
                              .agents = map_create(),
                              .period_s = o->heartbeat_period_s,
                              .threshold_s = o->heartbeat_threshold_s,
                              .handlers = o->handlers,
                              .arg = o->arg};
    s->tick = loop_timer_create(l, tick_cb, s);
    link_header_json(&s->welcome, 'W', o->settings);
    json_object_put(o->settings);
    if (set_up(s, o, err) == 0) {
        s->pump = link_pump_create(l, s->socket, readable_cb, s);
        return s;
    }
    link_server_destroy(s);
    return NULL;
}

void link_server_destroy(struct link_server *s)
{
    if (s == NULL)
        return;
    const char *key;
    void *value;
    for (size_t it = 0; s->pump != NULL && map_next(s->agents, &it, &key, &value);)
        link_send_stop(value);
    link_pump_destroy(s->pump);
    link_pump_destroy(s->monitor_pump);
    loop_timer_destroy(s->tick);
    /* First the writer, then the reader: an event (an agent that leaves just now) for a reader that
     * has gone would hold zmq's thread for ever, and us with it. */
    if (s->socket != NULL)
        zmq_socket_monitor(s->socket, NULL, 0);
    if (s->monitor != NULL)
        zmq_close(s->monitor);
    if (s->socket != NULL) {
        int linger_ms = 200; /* for the words of farewell */
        zmq_setsockopt(s->socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
        zmq_close(s->socket);
    }
    if (s->context != NULL)
        zmq_ctx_term(s->context);
    map_destroy(s->agents, agent_free);
    buf_free(&s->welcome);
    free(s->key_file);
    explicit_bzero(&s->keys, sizeof(s->keys));
    free(s);
}

int link_server_port(const struct link_server *s)
{
    return s->port;
}

const char *link_server_key_file(const struct link_server *s)
{
    return s->key_file;
}

size_t link_server_agents(const struct link_server *s)
{
    return s->registered;
}
