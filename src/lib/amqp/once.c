/* One message, one short connection: for failure notices from processes that are about to end. */
#include "lib/amqp/internal.h"

int amqp_publish_once(const char *url, const char *exchange, const char *routing_key,
                      const void *body, size_t n, uint64_t timeout_us, struct err *err)
{
    struct amqp_url u;
    if (amqp_url_parse(url, &u, err) != 0)
        return -1;
    unsigned timeout_s = (unsigned)(timeout_us / 1000000);
    bool refused;
    amqp_connection_state_t state =
        conn_login(&u, "sallyport notice", timeout_s ? timeout_s : 1, &refused, err);
    amqp_url_clear(&u);
    if (!state)
        return -1;
    struct timeval tv = {.tv_sec = timeout_s ? timeout_s : 1};
    amqp_set_rpc_timeout(state, &tv);
    int rc = -1;
    amqp_channel_open(state, 1);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(state);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        conn_reply_error(state, 1, reply, "cannot open a channel", err);
        goto done;
    }
    int st =
        amqp_basic_publish(state, 1, amqp_cstring_bytes(exchange), amqp_cstring_bytes(routing_key),
                           1, 0, NULL, (amqp_bytes_t){.len = n, .bytes = (void *)body});
    if (st != AMQP_STATUS_OK) {
        err_set(err, "cannot publish: %s", amqp_error_string2(st));
        goto done;
    }
    /* Closing the channel in order makes sure that the broker has read the message. */
    reply = amqp_channel_close(state, 1, AMQP_REPLY_SUCCESS);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        conn_reply_error(state, 1, reply, "the broker refused the message", err);
    else
        rc = 0;
    amqp_connection_close(state, AMQP_REPLY_SUCCESS);
done:
    amqp_destroy_connection(state);
    return rc;
}
