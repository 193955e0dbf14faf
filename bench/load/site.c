/* The manager obeys start commands by connecting a user endpoint; a user endpoint answers each task
 * with the same small result.  All on one loop in a thread. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/amqp/amqp.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/wire/queue_info.h"
#include "lib/wire/wire.h"
#include "bench/load/load.h"

/* Tasks that wait for their answer. */
struct held {
    struct party *party;
    struct amqp_message *m;
};

struct party {
    struct site *site;
    char *id;
    struct wire_queue_info in, results, heartbeats;
    struct amqp_conn *conn;
    bool is_manager;
};

struct site {
    struct loop *loop;
    pthread_t thread;
    struct party manager;
    struct map *endpoints;
    struct loop_timer *beat;
    struct held *held;
    size_t n_held, cap_held;
};

static struct site *the_site;
static atomic_bool holding;
static atomic_size_t n_waiting;

static char *url_of(void *arg, struct err *err)
{
    struct party *p = arg;
    (void)err;
    return xstrdup(p->in.connection_url);
}

static void publish(struct party *p, const struct wire_queue_info *to, const char *body, size_t n)
{
    amqp_publish(p->conn, &(struct amqp_publish){.exchange = to->publish.exchange,
                                                 .routing_key = to->publish.routing_key,
                                                 .mandatory = to->publish.mandatory,
                                                 .props = to->publish.props,
                                                 .body = body,
                                                 .body_len = n});
}

static void heartbeat(struct party *p)
{
    autobuf struct buf b = BUF_INIT;
    autojson struct json_object *o = json_object_new_object();
    json_add_int(o, "heartbeat_period", 30);
    if (!p->is_manager) {
        json_add_bool(o, "active", true);
        json_add_int(o, "total_workers", 1);
    }
    wire_pack_status(&b, p->id, o, NULL);
    publish(p, &p->heartbeats, b.data, b.len);
}

static void on_up(void *arg)
{
    heartbeat(arg);
}

static void answer(struct party *p, struct amqp_message *m)
{
    autobuf struct buf b = BUF_INIT;
    const char *id = amqp_header_str(m, "task_uuid");
    buf_fmt(&b,
            "\x01{\"message_type\":\"result\",\"data\":{\"task_id\":\"%s\",\"data\":"
            "\"00\\ngARLCS4=\\n\",\"details\":{\"os\":\"Linux\",\"dill_version\":\"0.3.9\","
            "\"python_version\":\"3.11.7\",\"globus_compute_sdk_version\":\"4.19.0\","
            "\"endpoint_id\":\"%s\"},\"error_details\":null,\"task_statuses\":[]}}",
            id, p->id);
    publish(p, &p->results, b.data, b.len);
    amqp_ack(p->conn, m->tag);
    amqp_message_free(m);
}

static void on_task(void *arg, struct amqp_message *m)
{
    struct party *p = arg;
    struct site *s = p->site;
    if (!holding) {
        answer(p, m);
        return;
    }
    if (s->n_held == s->cap_held) {
        s->cap_held = s->cap_held ? 2 * s->cap_held : 4096;
        s->held = xrealloc(s->held, s->cap_held * sizeof(*s->held));
    }
    s->held[s->n_held++] = (struct held){p, m};
    n_waiting = s->n_held;
}

static void release(void *arg)
{
    struct site *s = arg;
    for (size_t i = 0; i < s->n_held; i++)
        answer(s->held[i].party, s->held[i].m);
    s->n_held = n_waiting = 0;
}

void site_hold(bool hold)
{
    holding = hold;
    if (!hold)
        loop_post(the_site->loop, release, the_site);
}

void site_wait(double tasks)
{
    uint64_t until = clock_mono_us() + 120000000;
    while ((double)n_waiting < tasks && clock_mono_us() < until)
        usleep(20000);
}

static void party_connect(struct party *p, void (*came)(void *, struct amqp_message *))
{
    struct amqp_opts o = {.url = url_of,
                          .url_arg = p,
                          .queue = p->in.queue,
                          .name = "load",
                          .exclusive = !p->is_manager};
    struct amqp_handlers h = {.on_up = on_up, .on_message = came};
    p->conn = amqp_conn_create(p->site->loop, &o, &h, p);
}

static void must(int rc, const struct err *err)
{
    if (rc == 0)
        return;
    fprintf(stderr, "load: %s\n", err->text);
    exit(1);
}

static void on_command(void *arg, struct amqp_message *m)
{
    struct party *manager = arg;
    struct err err = ERR_INIT;
    autojson struct json_object *o = json_read(m->body, m->body_len, 1 << 20, "command", &err);
    struct json_object *creds = json_at(o, "kwargs.amqp_creds");
    const char *id = json_str_or(creds, "endpoint_id", "");
    amqp_ack(manager->conn, m->tag);
    amqp_message_free(m);
    if (map_get(manager->site->endpoints, id))
        return;
    struct party *p = xcalloc(1, sizeof(*p));
    p->site = manager->site;
    p->id = xstrdup(id);
    must(wire_queue_info_read(json_at(creds, "task_queue_info"), "t", false, &p->in, &err), &err);
    must(wire_queue_info_read(json_at(creds, "result_queue_info"), "r", true, &p->results, &err),
         &err);
    must(wire_queue_info_read(json_at(creds, "heartbeat_queue_info"), "h", true, &p->heartbeats,
                              &err),
         &err);
    map_put(manager->site->endpoints, id, p);
    party_connect(p, on_task);
}

static void beat_cb(void *arg)
{
    struct site *s = arg;
    const char *key;
    void *value;
    heartbeat(&s->manager);
    for (size_t it = 0; map_next(s->endpoints, &it, &key, &value);)
        heartbeat(value);
    loop_timer_set(s->beat, LOOP_S(20), 0);
}

static void *site_main(void *arg)
{
    loop_run(((struct site *)arg)->loop);
    return NULL;
}

struct site *site_start(struct json_object *registration)
{
    struct site *s = xcalloc(1, sizeof(*s));
    struct party *p = &s->manager;
    struct err err = ERR_INIT;
    the_site = s;
    s->loop = loop_create();
    s->endpoints = map_create();
    p->site = s;
    p->is_manager = true;
    p->id = xstrdup(json_str_or(registration, "endpoint_id", ""));
    must(
        wire_queue_info_read(json_at(registration, "command_queue_info"), "c", false, &p->in, &err),
        &err);
    must(wire_queue_info_read(json_at(registration, "heartbeat_queue_info"), "h", true,
                              &p->heartbeats, &err),
         &err);
    s->beat = loop_timer_create(s->loop, beat_cb, s);
    loop_timer_set(s->beat, LOOP_S(20), 0);
    party_connect(p, on_command);
    pthread_create(&s->thread, NULL, site_main, s);
    return s;
}
