/* From nothing to an open, consuming channel; runs on the connection's thread. */
#include "lib/amqp/internal.h"

#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"

bool conn_reply_error(amqp_connection_state_t state, amqp_channel_t channel, amqp_rpc_reply_t reply,
                      const char *what, struct err *err)
{
    switch (reply.reply_type) {
    case AMQP_RESPONSE_NORMAL:
        return false;
    case AMQP_RESPONSE_NONE:
        err_set(err, "%s: no answer", what);
        return false;
    case AMQP_RESPONSE_LIBRARY_EXCEPTION:
        err_set(err, "%s: %s", what, amqp_error_string2(reply.library_error));
        return false;
    case AMQP_RESPONSE_SERVER_EXCEPTION:
        break;
    }
    if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        amqp_channel_close_t *m = reply.reply.decoded;
        err_code(err, m->reply_code, "%s: %.*s", what, (int)m->reply_text.len,
                 (char *)m->reply_text.bytes);
        amqp_channel_close_ok_t ok = {0};
        amqp_send_method(state, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
        return true;
    }
    if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
        amqp_connection_close_t *m = reply.reply.decoded;
        err_code(err, m->reply_code, "%s: %.*s", what, (int)m->reply_text.len,
                 (char *)m->reply_text.bytes);
        amqp_connection_close_ok_t ok = {0};
        amqp_send_method(state, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
    } else {
        err_set(err, "%s: unexpected answer 0x%08x", what, reply.reply.id);
    }
    return false;
}

static int trust(amqp_socket_t *socket, const struct amqp_url *u, struct err *err)
{
    SSL_CTX *ctx = amqp_ssl_socket_get_context(socket);
    amqp_ssl_socket_set_verify_peer(socket, 1);
    amqp_ssl_socket_set_verify_hostname(socket, 1);
    if (!u->cadata && conn_trusted()) {
        SSL_CTX_set1_cert_store(ctx, conn_trusted());
        return 0;
    }
    if (!u->cadata) {
        if (SSL_CTX_set_default_verify_paths(ctx) != 1)
            return err_set(err, "cannot load the system's certificate authorities");
        return 0;
    }
    BIO *bio = BIO_new_mem_buf(u->cadata, -1);
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    int n = 0;
    for (X509 *x; bio && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)); n++) {
        X509_STORE_add_cert(store, x);
        X509_free(x);
    }
    BIO_free(bio);
    return n ? 0 : err_set(err, "the cadata of the AMQP URL holds no certificate");
}

static amqp_table_entry_t entry_bool(const char *key)
{
    return (amqp_table_entry_t){.key = amqp_cstring_bytes(key),
                                .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
}

static amqp_rpc_reply_t say_hello(amqp_connection_state_t state, const struct amqp_url *u,
                                  const char *name)
{
    amqp_table_entry_t can[] = {
        entry_bool("authentication_failure_close"), entry_bool("consumer_cancel_notify"),
        entry_bool("publisher_confirms"),           entry_bool("basic.nack"),
        entry_bool("connection.blocked"),
    };
    amqp_table_entry_t props[] = {
        {.key = amqp_cstring_bytes("product"),
         .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("Sallyport")}},
        {.key = amqp_cstring_bytes("connection_name"),
         .value = {.kind = AMQP_FIELD_KIND_UTF8,
                   .value.bytes = amqp_cstring_bytes(name ? name : "sallyport")}},
        {.key = amqp_cstring_bytes("capabilities"),
         .value = {.kind = AMQP_FIELD_KIND_TABLE,
                   .value.table = {.num_entries = sizeof(can) / sizeof(can[0]), .entries = can}}},
    };
    amqp_table_t table = {.num_entries = sizeof(props) / sizeof(props[0]), .entries = props};
    int heartbeat = u->heartbeat_s ? (int)u->heartbeat_s : HEARTBEAT_S;
    return amqp_login_with_properties(state, u->vhost, 0, AMQP_DEFAULT_FRAME_SIZE, heartbeat,
                                      &table, AMQP_SASL_METHOD_PLAIN, u->user, u->password);
}

amqp_connection_state_t conn_login(const struct amqp_url *u, const char *name, unsigned timeout_s,
                                   bool *refused, struct err *err)
{
    struct timeval tv = {.tv_sec = timeout_s};
    struct timeval rpc = {.tv_sec = RPC_TIMEOUT_S};
    *refused = false;
    amqp_connection_state_t state = amqp_new_connection();
    amqp_socket_t *socket = NULL;
    if (state)
        socket = u->tls ? amqp_ssl_socket_new(state) : amqp_tcp_socket_new(state);
    if (!socket) {
        err_set(err, "cannot make an AMQP socket");
        goto fail;
    }
    amqp_set_handshake_timeout(state, &tv);
    amqp_set_rpc_timeout(state, &rpc);
    if (u->tls && trust(socket, u, err) != 0)
        goto fail;
    int rc = amqp_socket_open_noblock(socket, u->host, u->port, &tv);
    if (rc != AMQP_STATUS_OK) {
        err_set(err, "cannot connect to the broker at %s:%d: %s", u->host, u->port,
                amqp_error_string2(rc));
        goto fail;
    }
    amqp_rpc_reply_t reply = say_hello(state, u, name);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return state;
    conn_reply_error(state, 0, reply, "the broker refused the login", err);
    /* 403 at Start-Ok is a bad password; 530 at Open is a virtual host that one may not enter. */
    *refused = err && (err->code == AMQP_ACCESS_REFUSED || err->code == AMQP_NOT_ALLOWED);
fail:
    if (state)
        amqp_destroy_connection(state);
    return NULL;
}

static int check(struct amqp_conn *c, amqp_channel_t channel, const char *what, struct err *err)
{
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(c->state);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return 0;
    conn_reply_error(c->state, channel, reply, what, err);
    return -1;
}

int conn_open_setup_channel(struct amqp_conn *c, struct err *err)
{
    if (c->setup_open)
        return 0;
    amqp_channel_open(c->state, CHANNEL_SETUP);
    if (check(c, CHANNEL_SETUP, "cannot open a channel", err) != 0)
        return -1;
    c->setup_open = true;
    return 0;
}

static int open_main_channel(struct amqp_conn *c, struct err *err)
{
    const struct amqp_opts *o = &c->opts;
    amqp_channel_open(c->state, CHANNEL_MAIN);
    if (check(c, CHANNEL_MAIN, "cannot open a channel", err) != 0)
        return -1;
    if (o->check_exchange && *o->check_exchange) {
        amqp_exchange_declare(c->state, CHANNEL_MAIN, amqp_cstring_bytes(o->check_exchange),
                              amqp_cstring_bytes("direct"), 1, 0, 0, 0, amqp_empty_table);
        if (check(c, CHANNEL_MAIN, "the exchange is not there", err) != 0)
            return -1;
    }
    if (o->check_queue) {
        amqp_queue_declare(c->state, CHANNEL_MAIN, amqp_cstring_bytes(o->check_queue), 1, 0, 0, 0,
                           amqp_empty_table);
        if (check(c, CHANNEL_MAIN, "the queue is not there", err) != 0)
            return -1;
    }
    if (o->confirms) {
        amqp_confirm_select(c->state, CHANNEL_MAIN);
        if (check(c, CHANNEL_MAIN, "no publisher confirms", err) != 0)
            return -1;
    }
    return 0;
}

static int start_consumer(struct amqp_conn *c, struct err *err)
{
    const struct amqp_opts *o = &c->opts;
    if (o->prefetch) {
        amqp_basic_qos(c->state, CHANNEL_MAIN, 0, o->prefetch, 0);
        if (check(c, CHANNEL_MAIN, "cannot set the prefetch", err) != 0)
            return -1;
    }
    amqp_basic_consume(c->state, CHANNEL_MAIN, amqp_cstring_bytes(o->queue),
                       amqp_cstring_bytes(CONSUMER_TAG), 0, 0, o->exclusive, amqp_empty_table);
    if (check(c, CHANNEL_MAIN, "cannot consume", err) != 0)
        return -1;
    c->consuming = true;
    return 0;
}

int conn_open(struct amqp_conn *c, enum amqp_down *why, struct err *err)
{
    *why = AMQP_DOWN_NETWORK;
    autofree char *text = c->opts.url(c->opts.url_arg, err);
    if (!text)
        return -1;
    amqp_url_clear(&c->url);
    if (amqp_url_parse(text, &c->url, err) != 0)
        return -1;
    bool refused;
    c->state = conn_login(&c->url, c->opts.name, CONNECT_TIMEOUT_S, &refused, err);
    if (!c->state) {
        *why = refused ? AMQP_DOWN_AUTH : AMQP_DOWN_NETWORK;
        return -1;
    }
    atomic_store(&c->socket_fd, amqp_get_sockfd(c->state));
    *why = AMQP_DOWN_CHANNEL;
    if (c->opts.setup) {
        if (conn_open_setup_channel(c, err) != 0 ||
            c->opts.setup(c->opts.setup_arg, c->state, err) != 0)
            return -1;
    }
    if (open_main_channel(c, err) != 0)
        return -1;
    return c->opts.queue ? start_consumer(c, err) : 0;
}

void conn_close(struct amqp_conn *c, bool politely)
{
    if (!c->state)
        return;
    atomic_store(&c->socket_fd, -1);
    if (politely) {
        struct timeval soon = {.tv_sec = 2};
        amqp_set_rpc_timeout(c->state, &soon);
        amqp_channel_close(c->state, CHANNEL_MAIN, AMQP_REPLY_SUCCESS);
        amqp_connection_close(c->state, AMQP_REPLY_SUCCESS);
    }
    amqp_destroy_connection(c->state);
    c->state = NULL;
    c->setup_open = c->consuming = false;
}
