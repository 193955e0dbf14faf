/* Test program: drives one connection against a real broker and prints what happens, a line an
 * event.
 *
 *   amqp_probe URL QUEUE COUNT [BYTES]
 *
 * Publishes COUNT messages to QUEUE through the default exchange, consumes them back, acknowledges
 * (odd ones first, to exercise out-of-order acks) and ends when all are confirmed and seen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/amqp/amqp.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

static struct {
    struct loop *loop;
    struct amqp_conn *conn;
    const char *url, *queue;
    size_t count, size, sent, seen, acked, returned, lost, held_n;
    uint64_t held[8];
    char *body;
} g;

static char *url_cb(void *arg, struct err *err)
{
    return xstrdup(g.url);
}

static void publish_some(void)
{
    amqp_basic_properties_t props = amqp_props("application/octet-stream", -1, NULL);
    while (g.sent < g.count && g.sent - g.acked - g.returned - g.lost < 4000) {
        snprintf(g.body, 21, "%020zu", g.sent);
        struct amqp_publish p = {.exchange = "",
                                 .routing_key = g.queue,
                                 .mandatory = true,
                                 .body = g.body,
                                 .body_len = g.size,
                                 .props = &props,
                                 .cookie = g.sent};
        amqp_publish(g.conn, &p);
        g.sent++;
    }
}

static void end_if_done(void)
{
    if (g.acked + g.returned + g.lost >= g.count && g.seen >= g.acked)
        loop_stop(g.loop, 0);
}

static void up_cb(void *arg)
{
    printf("up\n");
    fflush(stdout);
    publish_some();
}

static void down_cb(void *arg, enum amqp_down why, const char *text, bool final)
{
    printf("down %d %s%s\n", why, text, final ? " (final)" : "");
    fflush(stdout);
    if (final)
        loop_stop(g.loop, 3);
}

static void message_cb(void *arg, struct amqp_message *m)
{
    g.seen++;
    if (g.held_n < 8 && m->tag % 2 == 0) {
        g.held[g.held_n++] = m->tag;
    } else {
        amqp_ack(g.conn, m->tag);
        while (g.held_n == 8 || (g.held_n && g.seen >= g.count))
            amqp_ack(g.conn, g.held[--g.held_n]);
    }
    amqp_message_free(m);
    end_if_done();
}

static void confirm_cb(void *arg, uint64_t cookie, enum amqp_outcome outcome)
{
    if (outcome == AMQP_ACKED)
        g.acked++;
    else if (outcome == AMQP_RETURNED)
        g.returned++;
    else
        g.lost++;
    publish_some();
    end_if_done();
}

static int setup_cb(void *arg, amqp_connection_state_t state, struct err *err)
{
    if (strcmp(g.queue, "nowhere") == 0)
        return 0;
    amqp_queue_declare(state, 1, amqp_cstring_bytes(g.queue), 0, 0, 0, 1, amqp_empty_table);
    return amqp_get_rpc_reply(state).reply_type == AMQP_RESPONSE_NORMAL
               ? 0
               : err_set(err, "queue.declare failed");
}

static int missing_fn(void *arg, amqp_connection_state_t state, struct err *err)
{
    amqp_queue_declare(state, 1, amqp_cstring_bytes("no-such-queue"), 1, 0, 0, 0, amqp_empty_table);
    return amqp_get_rpc_reply(state).reply_type == AMQP_RESPONSE_NORMAL ? 0 : -1;
}

static void missing_done(void *arg, int rc, const struct err *err)
{
    printf("call %d %s\n", rc, err->text);
}

static void late_cb(void *arg)
{
    printf("timeout\n");
    loop_stop(g.loop, 4);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    g.url = argv[1];
    g.queue = argv[2];
    g.count = strtoul(argv[3], NULL, 10);
    g.size = argc > 4 ? strtoul(argv[4], NULL, 10) : 100;
    if (g.size < 32)
        g.size = 32;
    g.body = xcalloc(1, g.size + 1);
    g.loop = loop_create();
    const char *queue = strcmp(g.queue, "nowhere") == 0 ? NULL : g.queue;
    struct amqp_opts opts = {.url = url_cb,
                             .queue = queue,
                             .prefetch = 1000,
                             .confirms = true,
                             .name = "probe",
                             .setup = setup_cb};
    struct amqp_handlers handlers = {
        .on_up = up_cb, .on_down = down_cb, .on_message = message_cb, .on_confirm = confirm_cb};
    uint64_t began = clock_mono_us();
    g.conn = amqp_conn_create(g.loop, &opts, &handlers, NULL);
    amqp_call(g.conn, missing_fn, missing_done, NULL);
    struct loop_timer *late = loop_timer_create(g.loop, late_cb, NULL);
    loop_timer_set(late, LOOP_S(60), 0);
    int code = loop_run(g.loop);
    uint64_t took = clock_mono_us() - began;
    amqp_conn_destroy(g.conn, LOOP_S(2));
    printf("sent %zu seen %zu acked %zu returned %zu lost %zu in %llu us\n", g.sent, g.seen,
           g.acked, g.returned, g.lost, (unsigned long long)took);
    loop_timer_destroy(late);
    loop_destroy(g.loop);
    free(g.body);
    return code;
}
