/* load broker URL SECONDS BYTES [WINDOW]: what RabbitMQ does by itself.  Publishes persistent
 * messages to a durable queue with at most WINDOW of them unconfirmed, and consumes them with
 * acknowledgements: one hop of what the service asks of it.  Prints confirms and deliveries a
 * second as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/load.h"
#include "lib/amqp/amqp.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"

#define QUEUE "sallyport-load"

struct hop {
    struct loop *loop;
    const char *url;
    struct amqp_conn *out, *in;
    char *body;
    size_t len, window;
    uint64_t sent, confirmed, delivered, end_us;
};

static char *url_of(void *arg, struct err *err)
{
    (void)err;
    return xstrdup(((struct hop *)arg)->url);
}

static int declare(void *arg, amqp_connection_state_t state, struct err *err)
{
    (void)arg;
    amqp_queue_declare(state, 1, amqp_cstring_bytes(QUEUE), 0, 1, 0, 0, amqp_empty_table);
    return amqp_get_rpc_reply(state).reply_type == AMQP_RESPONSE_NORMAL
               ? 0
               : err_set(err, "the queue can't be declared");
}

static void fill_window(struct hop *h)
{
    amqp_basic_properties_t props = amqp_props("application/json", -1, NULL);
    while (h->sent - h->confirmed < h->window) {
        h->sent++;
        amqp_publish(h->out, &(struct amqp_publish){.exchange = "",
                                                    .routing_key = QUEUE,
                                                    .mandatory = true,
                                                    .props = &props,
                                                    .body = h->body,
                                                    .body_len = h->len});
    }
}

static void out_up(void *arg)
{
    fill_window(arg);
}

static void confirmed(void *arg, uint64_t cookie, enum amqp_outcome outcome)
{
    struct hop *h = arg;
    (void)cookie;
    (void)outcome;
    h->confirmed++;
    if (loop_now_us(h->loop) < h->end_us)
        fill_window(h);
}

static void came(void *arg, struct amqp_message *m)
{
    struct hop *h = arg;
    amqp_ack(h->in, m->tag);
    amqp_message_free(m);
    h->delivered++;
    if (loop_now_us(h->loop) >= h->end_us && h->delivered >= h->sent)
        loop_stop(h->loop, 0);
}

static void too_late(void *arg)
{
    loop_stop(((struct hop *)arg)->loop, 1);
}

int load_broker(int argc, char **argv)
{
    if (argc < 4)
        return load_usage();
    struct hop h = {.loop = loop_create(), .url = argv[1]};
    double seconds = atof(argv[2]);
    h.len = (size_t)atol(argv[3]);
    h.window = argc > 4 ? (size_t)atol(argv[4]) : 1000;
    h.body = xmalloc(h.len + 1);
    memset(h.body, 'x', h.len);
    struct amqp_opts o = {
        .url = url_of, .url_arg = &h, .confirms = true, .name = "load", .setup = declare};
    struct amqp_handlers handlers = {.on_up = out_up, .on_confirm = confirmed, .on_message = came};
    uint64_t begin = clock_mono_us();
    h.end_us = loop_now_us(h.loop) + (uint64_t)(seconds * 1e6);
    h.out = amqp_conn_create(h.loop, &o, &handlers, &h);
    o.queue = QUEUE;
    o.prefetch = 300;
    o.confirms = false;
    h.in = amqp_conn_create(h.loop, &o, &handlers, &h);
    struct loop_timer *late = loop_timer_create(h.loop, too_late, &h);
    loop_timer_set(late, (uint64_t)(seconds * 2e6) + LOOP_S(10), 0);
    int rc = loop_run(h.loop);
    double took = (double)(clock_mono_us() - begin) / 1e6;
    printf("{\"bytes\":%zu,\"window\":%zu,\"confirmed\":%llu,\"confirmed_per_s\":%.0f,"
           "\"delivered_per_s\":%.0f}\n",
           h.len, h.window, (unsigned long long)h.confirmed, (double)h.confirmed / took,
           (double)h.delivered / took);
    return rc;
}
