/* The book of what was delivered to us: which messages are with their owner, which are to be
 * acknowledged, which are settled.
 *
 * A tag that owners hold names the connection as well as the delivery, so that one that comes back
 * late can't acknowledge a message of a later connection. */
#include "lib/amqp/internal.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"

#define TAG_BITS 44 /* tag = generation above, the broker's delivery tag below */

/* done[i] is about delivery tag base+1+i: 0 = with the owner, 1 = to be acked, 2 = settled. */
static unsigned char *in_slot(struct amqp_conn *c, uint64_t tag)
{
    uint64_t dtag = tag & ((1ull << TAG_BITS) - 1);
    if (tag >> TAG_BITS != c->generation || dtag <= c->in.base || dtag > c->in.base + c->in.count)
        return NULL; /* of an older connection, or settled before */
    return &c->in.done[dtag - c->in.base - 1];
}

uint64_t acks_tag(const struct amqp_conn *c, uint64_t delivery_tag)
{
    return c->generation << TAG_BITS | delivery_tag;
}

void acks_note(struct amqp_conn *c, uint64_t dtag)
{
    if (c->in.count == c->in.cap) {
        c->in.cap = c->in.cap ? c->in.cap * 2 : 256;
        c->in.done = xrealloc(c->in.done, c->in.cap);
    }
    if (dtag != c->in.base + c->in.count + 1)
        log_error("the broker skipped a delivery tag");
    c->in.done[c->in.count++] = 0;
}

void acks_mark(struct amqp_conn *c, uint64_t tag)
{
    unsigned char *slot = in_slot(c, tag);
    if (slot && *slot == 0)
        *slot = 1;
}

static int send_ack(struct amqp_conn *c, uint64_t dtag, bool multiple, struct err *err)
{
    int st = amqp_basic_ack(c->state, CHANNEL_MAIN, dtag, multiple);
    return st == AMQP_STATUS_OK ? 0 : err_set(err, "acknowledging: %s", amqp_error_string2(st));
}

int acks_flush(struct amqp_conn *c, struct err *err)
{
    size_t front = 0, last_new = 0;
    bool any = false;
    while (front < c->in.count && c->in.done[front]) {
        if (c->in.done[front] == 1) {
            last_new = front;
            any = true;
        }
        front++;
    }
    if (any && send_ack(c, c->in.base + 1 + last_new, true, err) != 0)
        return -1;
    for (size_t i = front; i < c->in.count; i++) {
        if (c->in.done[i] != 1)
            continue;
        if (send_ack(c, c->in.base + 1 + i, false, err) != 0)
            return -1;
        c->in.done[i] = 2;
    }
    if (front) {
        memmove(c->in.done, c->in.done + front, c->in.count - front);
        c->in.count -= front;
        c->in.base += front;
    }
    return 0;
}

int acks_reject(struct amqp_conn *c, const struct command *cmd, struct err *err)
{
    unsigned char *slot = in_slot(c, cmd->ack.tag);
    if (!slot || *slot)
        return 0;
    *slot = 2;
    int st = amqp_basic_reject(c->state, CHANNEL_MAIN, cmd->ack.tag & ((1ull << TAG_BITS) - 1),
                               cmd->ack.requeue);
    return st == AMQP_STATUS_OK ? 0 : err_set(err, "rejecting: %s", amqp_error_string2(st));
}
