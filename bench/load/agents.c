/* agents: many node agents in one process, to see what a user endpoint does with thousands of them.
 *
 *     agents PORT KEY-FILE AGENTS WORKERS
 *
 * Each has a connection of its own and speaks the real protocol (lib/link/link.h), encrypted; what
 * it is given it answers at once with a result that says nothing.  A line on standard output when
 * all are registered ("registered N") and at the end ("answered N"), which comes when the endpoint
 * tells the last one to stop, or at SIGTERM. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/link/private.h"

#define BEAT_S 30
#define READ_BURST 64

struct crowd;

struct agent {
    struct crowd *crowd;
    void *socket;
    struct link_pump *pump;
    bool welcomed;
};

struct crowd {
    struct loop *loop;
    void *context;
    struct link_keys keys;
    int port;
    size_t count, workers, welcomed, stopped, answered;
    struct agent *agents;
    struct loop_timer *beat;
};

static void send_parts(struct agent *a, const struct buf *head, const struct buf *body)
{
    if (zmq_send(a->socket, head->data, head->len,
                 (body != NULL ? ZMQ_SNDMORE : 0) | ZMQ_DONTWAIT) >= 0 &&
        body != NULL)
        zmq_send(a->socket, body->data, body->len, ZMQ_DONTWAIT);
    link_pump_kick(a->pump);
}

static void say_hello(struct agent *a)
{
    struct crowd *c = a->crowd;
    size_t number = (size_t)(a - c->agents);
    autobuf struct buf b = BUF_INIT;
    autojson struct json_object *o = json_object_new_object();
    autofree char *id = xasprintf("%012zx", number), *host = xasprintf("node%05zu", number);
    json_add_int(o, "version", LINK_VERSION);
    json_add_str(o, "token", c->keys.token);
    json_add_str(o, "id", id);
    json_add_str(o, "block", "0");
    json_add_str(o, "host", host);
    json_add_int(o, "pid", 1);
    json_add_str(o, "address", "127.0.0.1");
    link_header_json(&b, 'H', o);
    send_parts(a, &b, NULL);
}

static void say_ready(struct agent *a)
{
    autobuf struct buf b = BUF_INIT;
    autojson struct json_object *o = json_object_new_object();
    json_add_int(o, "workers", (int64_t)a->crowd->workers);
    json_add_int(o, "capacity", (int64_t)a->crowd->workers);
    json_add_str(o, "python", "3.11.2");
    link_header_json(&b, 'Y', o);
    send_parts(a, &b, NULL);
}

static void answer(struct agent *a, const char *id)
{
    autobuf struct buf head = BUF_INIT, body = BUF_INIT;
    link_header_text(&head, 'R', id);
    buf_fmt(&body,
            "\x01{\"message_type\":\"result\",\"data\":{\"task_id\":\"%s\",\"data\":\"11\\nnull\","
            "\"details\":{},\"error_details\":null,\"task_statuses\":[]}}",
            id);
    send_parts(a, &head, &body);
    a->crowd->answered++;
}

static void on_message(struct agent *a, const struct link_header *h)
{
    struct crowd *c = a->crowd;
    if (h->type == 'W' && !a->welcomed) {
        a->welcomed = true;
        say_ready(a);
        if (++c->welcomed == c->count) {
            printf("registered %zu\n", c->count);
            fflush(stdout);
        }
    } else if (h->type == 'T' && json_str_or(h->json, "id", NULL) != NULL)
        answer(a, json_str_or(h->json, "id", NULL));
    else if (h->type == 'N' || h->type == 'X') {
        if (h->type == 'N')
            fprintf(stderr, "refused: %s\n", json_object_get_string(h->json));
        if (++c->stopped == c->count || h->type == 'N')
            loop_stop(c->loop, h->type == 'N');
    }
}

static bool readable_cb(void *arg)
{
    struct agent *a = arg;
    struct link_frames f;
    for (int i = 0; i < READ_BURST; i++) {
        struct link_header h = {.json = NULL};
        if (link_receive(a->socket, &f) != 1)
            return false;
        if (f.count > 0 &&
            link_header_read(zmq_msg_data(&f.part[0]), zmq_msg_size(&f.part[0]), &h, NULL) == 0)
            on_message(a, &h);
        link_header_clear(&h);
        link_frames_clear(&f);
    }
    return true;
}

static void beat_cb(void *arg)
{
    struct crowd *c = arg;
    struct buf b = {.data = (char *)"B", .len = 1};
    for (size_t i = 0; i < c->count; i++)
        send_parts(&c->agents[i], &b, NULL);
    loop_timer_set(c->beat, LOOP_S(BEAT_S), 0);
}

static int join(struct crowd *c, struct agent *a)
{
    char public_key[KEY_TEXT], secret_key[KEY_TEXT];
    int none = 0;
    *a = (struct agent){.crowd = c, .socket = zmq_socket(c->context, ZMQ_DEALER)};
    autofree char *where = xasprintf("tcp://127.0.0.1:%d", c->port);
    if (a->socket == NULL || zmq_curve_keypair(public_key, secret_key) != 0 ||
        zmq_setsockopt(a->socket, ZMQ_CURVE_SERVERKEY, c->keys.public_key, KEY_TEXT) != 0 ||
        zmq_setsockopt(a->socket, ZMQ_CURVE_PUBLICKEY, public_key, KEY_TEXT) != 0 ||
        zmq_setsockopt(a->socket, ZMQ_CURVE_SECRETKEY, secret_key, KEY_TEXT) != 0 ||
        zmq_setsockopt(a->socket, ZMQ_LINGER, &none, sizeof(none)) != 0 ||
        zmq_setsockopt(a->socket, ZMQ_SNDHWM, &none, sizeof(none)) != 0 ||
        zmq_connect(a->socket, where) != 0) {
        fprintf(stderr, "agent %zu: %s\n", (size_t)(a - c->agents), zmq_strerror(zmq_errno()));
        return -1;
    }
    a->pump = link_pump_create(c->loop, a->socket, readable_cb, a);
    say_hello(a);
    return 0;
}

static void signal_cb(void *arg)
{
    struct crowd *c = arg;
    loop_stop(c->loop, 0);
}

/* Two descriptors an agent. */
static void raise_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        l.rlim_cur = l.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &l);
    }
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct crowd c = {.loop = NULL};
    if (argc != 5) {
        fprintf(stderr, "usage: agents PORT KEY-FILE AGENTS WORKERS\n");
        return 64;
    }
    c.port = atoi(argv[1]);
    c.count = strtoul(argv[3], NULL, 10);
    c.workers = strtoul(argv[4], NULL, 10);
    log_init("agents", LOG_L_INFO);
    raise_limit();
    if (c.count < 1 || c.count > 20000 || link_keys_read(&c.keys, argv[2], &err) != 0) {
        fprintf(stderr, "agents: %s\n", err.text);
        return 1;
    }
    c.loop = loop_create();
    loop_signal(c.loop, SIGTERM, signal_cb, &c);
    c.context = zmq_ctx_new();
    zmq_ctx_set(c.context, ZMQ_MAX_SOCKETS, (int)c.count + 16);
    c.agents = xcalloc(c.count, sizeof(*c.agents));
    c.beat = loop_timer_create(c.loop, beat_cb, &c);
    loop_timer_set(c.beat, LOOP_S(BEAT_S), 0);
    int status = 0;
    for (size_t i = 0; status == 0 && i < c.count; i++)
        status = join(&c, &c.agents[i]) != 0;
    if (status == 0)
        status = loop_run(c.loop);
    printf("answered %zu\n", c.answered);
    for (size_t i = 0; i < c.count; i++) {
        link_pump_destroy(c.agents[i].pump);
        if (c.agents[i].socket != NULL)
            zmq_close(c.agents[i].socket);
    }
    zmq_ctx_term(c.context);
    loop_timer_destroy(c.beat);
    loop_destroy(c.loop);
    free(c.agents);
    return status;
}
