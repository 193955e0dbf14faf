/* The book of what we have published: each message stands in a ring until the broker has confirmed,
 * refused or returned it, and its outcome is told once.  A lost connection loses all that is left.
 */
#include "lib/amqp/internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"

/* A basic.return names no delivery tag; it precedes the ack of its message.  The mark finds it
 * among the unconfirmed ones: routing key, length and both ends of the body (task ids stand at the
 * front). */
static uint64_t publish_mark(const void *key, size_t key_len, const char *body, size_t n)
{
    uint64_t h = 14695981039346656037u ^ n;
    const unsigned char *k = key;
    for (size_t i = 0; i < key_len; i++)
        h = (h ^ k[i]) * 1099511628211u;
    size_t edge = n < 256 ? n : 256;
    for (size_t i = 0; i < edge; i++)
        h = (h ^ (unsigned char)body[i]) * 1099511628211u;
    for (size_t i = n - edge; i < n; i++)
        h = (h ^ (unsigned char)body[i]) * 1099511628211u;
    return h;
}

void confirms_report(struct amqp_conn *c, uint64_t cookie, enum amqp_outcome outcome)
{
    struct event *ev = event_new(EV_CONFIRM);
    ev->confirm.cookie = cookie;
    ev->confirm.outcome = outcome;
    event_add(c, ev);
}

static struct unconfirmed *ring_at(struct amqp_conn *c, size_t i)
{
    return &c->out.ring[(c->out.head + i) & (c->out.cap - 1)];
}

static void ring_push(struct amqp_conn *c, struct unconfirmed u)
{
    if (c->out.count == c->out.cap) {
        size_t cap = c->out.cap ? c->out.cap * 2 : 64;
        struct unconfirmed *ring = xcalloc(cap, sizeof(*ring));
        for (size_t i = 0; i < c->out.count; i++)
            ring[i] = *ring_at(c, i);
        free(c->out.ring);
        c->out.ring = ring;
        c->out.cap = cap;
        c->out.head = 0;
    }
    c->out.count++;
    *ring_at(c, c->out.count - 1) = u;
}

static void ring_pop_done(struct amqp_conn *c)
{
    while (c->out.count && ring_at(c, 0)->done) {
        c->out.head = (c->out.head + 1) & (c->out.cap - 1);
        c->out.count--;
        c->out.first++;
    }
}

static void settle(struct amqp_conn *c, struct unconfirmed *u, enum amqp_outcome outcome)
{
    if (u->done)
        return;
    u->done = true;
    confirms_report(c, u->cookie, u->returned ? AMQP_RETURNED : outcome);
}

void confirms_take(struct amqp_conn *c, uint64_t tag, bool multiple, enum amqp_outcome outcome)
{
    /* Tag 0 with multiple means "all so far". */
    uint64_t last = tag ? tag : c->out.first + c->out.count - 1;
    if (c->out.count == 0 || last < c->out.first)
        return;
    size_t end = (size_t)(last - c->out.first);
    if (end >= c->out.count)
        end = c->out.count - 1;
    for (size_t i = multiple ? 0 : end; i <= end; i++)
        settle(c, ring_at(c, i), outcome);
    ring_pop_done(c);
}

void confirms_returned(struct amqp_conn *c, amqp_bytes_t routing_key, const char *body, size_t n)
{
    uint64_t mark = publish_mark(routing_key.bytes, routing_key.len, body, n);
    for (size_t i = 0; i < c->out.count; i++) {
        struct unconfirmed *u = ring_at(c, i);
        if (u->mark == mark && !u->done && !u->returned) {
            u->returned = true;
            return;
        }
    }
}

void confirms_lose(struct amqp_conn *c)
{
    for (size_t i = 0; i < c->out.count; i++)
        settle(c, ring_at(c, i), AMQP_LOST);
    c->out.count = c->out.head = 0;
    c->out.first = 1;
}

int confirms_publish(struct amqp_conn *c, const struct command *cmd, struct err *err)
{
    amqp_bytes_t body = {.len = cmd->publish.body_len, .bytes = cmd->publish.body};
    if (c->opts.confirms)
        ring_push(c,
                  (struct unconfirmed){
                      .cookie = cmd->publish.cookie,
                      .mark = publish_mark(cmd->publish.routing_key,
                                           strlen(cmd->publish.routing_key), body.bytes, body.len),
                  });
    int st = amqp_basic_publish(c->state, CHANNEL_MAIN, amqp_cstring_bytes(cmd->publish.exchange),
                                amqp_cstring_bytes(cmd->publish.routing_key),
                                cmd->publish.mandatory, 0, &cmd->publish.props, body);
    if (!c->opts.confirms)
        confirms_report(c, cmd->publish.cookie, st == AMQP_STATUS_OK ? AMQP_ACKED : AMQP_LOST);
    return st == AMQP_STATUS_OK ? 0 : err_set(err, "publishing: %s", amqp_error_string2(st));
}
