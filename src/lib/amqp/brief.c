/* A short-lived publisher that blocks: for failure notices, on a thread of the caller. */
#include "lib/amqp/internal.h"

#include <errno.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"

struct amqp_brief {
    amqp_connection_state_t state;
};

struct amqp_brief *amqp_brief_open(const char *url, uint64_t timeout_us, struct err *err)
{
    struct amqp_url u;
    unsigned s = (unsigned)(timeout_us / 1000000);
    struct timeval tv = {.tv_sec = s ? s : 1};
    if (amqp_url_parse(url, &u, err) != 0) {
        err->code = EINVAL;
        return NULL;
    }
    bool refused;
    amqp_connection_state_t state = conn_login(&u, "sallyport notices", s ? s : 1, &refused, err);
    amqp_url_clear(&u);
    if (!state) {
        err->code = refused ? EACCES : EIO;
        return NULL;
    }
    amqp_set_rpc_timeout(state, &tv);
    amqp_channel_open(state, 1);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(state);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
        amqp_confirm_select(state, 1);
        reply = amqp_get_rpc_reply(state);
    }
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        conn_reply_error(state, 1, reply, "cannot open a channel", err);
        amqp_destroy_connection(state);
        return NULL;
    }
    struct amqp_brief *b = xcalloc(1, sizeof(*b));
    b->state = state;
    return b;
}

/* 1 = confirmed, 0 = go on, -1. */
static int on_method(struct amqp_brief *b, const amqp_frame_t *f, bool *returned, struct err *err)
{
    amqp_message_t content;
    switch (f->payload.method.id) {
    case AMQP_BASIC_ACK_METHOD:
        if (*returned)
            return err_code(err, ENOMSG, "the broker has no queue for it");
        return 1;
    case AMQP_BASIC_NACK_METHOD:
        return err_code(err, EIO, "the broker did not take it");
    case AMQP_BASIC_RETURN_METHOD:
        *returned = true;
        if (amqp_read_message(b->state, 1, &content, 0).reply_type != AMQP_RESPONSE_NORMAL)
            return err_code(err, EIO, "the broker returned it in part");
        amqp_destroy_message(&content);
        return 0;
    case AMQP_CHANNEL_CLOSE_METHOD:
    case AMQP_CONNECTION_CLOSE_METHOD: {
        amqp_rpc_reply_t reply = {.reply_type = AMQP_RESPONSE_SERVER_EXCEPTION,
                                  .reply = f->payload.method};
        conn_reply_error(b->state, 1, reply, "the broker refused it", err);
        return -1;
    }
    default:
        return 0;
    }
}

static int await_confirm(struct amqp_brief *b, uint64_t until_us, struct err *err)
{
    bool returned = false;
    for (;;) {
        uint64_t now = clock_mono_us();
        if (now >= until_us)
            return err_code(err, ETIMEDOUT, "the broker does not confirm it");
        struct timeval tv = {.tv_sec = (time_t)((until_us - now) / 1000000),
                             .tv_usec = (suseconds_t)((until_us - now) % 1000000)};
        amqp_frame_t f;
        amqp_maybe_release_buffers(b->state);
        int st = amqp_simple_wait_frame_noblock(b->state, &f, &tv);
        if (st != AMQP_STATUS_OK)
            return err_code(err, EIO, "no answer of the broker: %s", amqp_error_string2(st));
        int rc = f.frame_type == AMQP_FRAME_METHOD ? on_method(b, &f, &returned, err) : 0;
        if (rc != 0)
            return rc < 0 ? -1 : 0;
    }
}

int amqp_brief_publish(struct amqp_brief *b, const char *exchange, const char *routing_key,
                       const void *body, size_t n, uint64_t timeout_us, struct err *err)
{
    int st = amqp_basic_publish(b->state, 1, amqp_cstring_bytes(exchange),
                                amqp_cstring_bytes(routing_key), 1, 0, NULL,
                                (amqp_bytes_t){.len = n, .bytes = (void *)body});
    if (st != AMQP_STATUS_OK)
        return err_code(err, EIO, "cannot publish: %s", amqp_error_string2(st));
    return await_confirm(b, clock_mono_us() + timeout_us, err);
}

void amqp_brief_close(struct amqp_brief *b)
{
    if (!b)
        return;
    struct timeval soon = {.tv_sec = 1};
    amqp_set_rpc_timeout(b->state, &soon);
    amqp_connection_close(b->state, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(b->state);
    free(b);
}
