/* One broker connection (AMQP 0-9-1, rabbitmq-c) on a thread of its own, driven from the loop.
 *
 * rabbitmq-c blocks, so every connection has a thread; callers see only callbacks on the loop's
 * thread.  A connection has a channel for its traffic (2) and one for set-up calls (1), so that a
 * failed passive declare disturbs nothing.  It reconnects by itself with a random, growing pause
 * for as long as it lives; publishes that were not confirmed when it broke are handed back through
 * on_confirm (AMQP_LOST), deliveries of an older connection can no longer be acknowledged (amqp_ack
 * ignores them: the broker delivers them again).
 *
 * URLs: amqp:// and amqps:// as in spec/amqp.md section 2; amqps verifies peer and host name
 * against the system's CAs (SSL_CERT_FILE honoured) or the CA given by ssl_options cadata. */
#ifndef SALLYPORT_AMQP_H
#define SALLYPORT_AMQP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <amqp.h>

#include "lib/base/err.h"
#include "lib/base/loop.h"

struct amqp_conn;

enum amqp_down {
    AMQP_DOWN_NETWORK, /* refused, reset, heartbeat lost; retried by itself */
    AMQP_DOWN_CHANNEL, /* the broker closed the channel (queue missing, exclusive, 403); retried */
    AMQP_DOWN_AUTH,    /* credentials refused; final unless opts.retry_auth */
};

enum amqp_outcome {
    AMQP_ACKED,    /* the broker has it */
    AMQP_NACKED,   /* the broker refused it */
    AMQP_RETURNED, /* mandatory and unroutable */
    AMQP_LOST,     /* the connection broke before the confirm: may or may not have arrived */
};

/* A delivery, owned by the receiver until amqp_message_free().  Strings are NUL-terminated. */
struct amqp_message {
    uint64_t tag; /* for amqp_ack; unique over reconnects */
    bool redelivered;
    const char *routing_key;
    const char *content_type; /* "" when absent */
    int64_t timestamp;        /* -1 when absent */
    const char *body;         /* NUL-terminated as well */
    size_t body_len;
    const void *headers; /* amqp_table_t of rabbitmq-c; use the getters */
};
/* NULL when absent or not a string. */
const char *amqp_header_str(const struct amqp_message *m, const char *name);
bool amqp_header_bool(const struct amqp_message *m, const char *name);
/* Array of strings: the i-th, NULL behind the last. */
const char *amqp_header_array(const struct amqp_message *m, const char *name, size_t i);
void amqp_message_free(struct amqp_message *m);

/* All callbacks run on the loop's thread; any may be NULL. */
struct amqp_handlers {
    void (*on_up)(void *arg); /* connected, checks passed, consuming */
    void (*on_down)(void *arg, enum amqp_down why, const char *text, bool final);
    void (*on_message)(void *arg, struct amqp_message *m /* yours */);
    /* Once for each publish; cookie as given to amqp_publish. */
    void (*on_confirm)(void *arg, uint64_t cookie, enum amqp_outcome outcome);
};

struct amqp_opts {
    /* Gives the URL for the next connection attempt (xmalloc'd), or NULL with err; called on the
     * connection's thread before each attempt, so credentials can be fresh.  Required. */
    char *(*url)(void *url_arg, struct err *err);
    void *url_arg;
    /* Consuming: queue NULL = no consumer. */
    const char *queue;
    bool exclusive;
    uint16_t prefetch; /* 0 = unlimited */
    /* Publishing: passive declares before anything is published; NULL = not checked. */
    bool confirms;
    const char *check_exchange;
    const char *check_queue;
    bool retry_auth;  /* keep trying when credentials are refused */
    const char *name; /* for the log and the broker's list of connections */
    /* Runs on the connection's thread, on channel 1, after it is open and before the consumer
     * starts, at every (re)connect: declare topology here.  Non-zero closes and retries. */
    int (*setup)(void *setup_arg, amqp_connection_state_t state, struct err *err);
    void *setup_arg;
};

/* Copies opts (and its strings); starts connecting at once. */
struct amqp_conn *amqp_conn_create(struct loop *l, const struct amqp_opts *opts,
                                   const struct amqp_handlers *handlers, void *arg);
/* Tries up to timeout_us to flush what was published and get its confirms, closes politely, joins
 * the thread.  Unfinished publishes are reported AMQP_LOST before it returns.  NULL is fine. */
void amqp_conn_destroy(struct amqp_conn *c, uint64_t timeout_us);
bool amqp_conn_is_up(const struct amqp_conn *c);
/* The broker can be reached now, says somebody: ends the pause before the next attempt; nothing
 * when it is connected. */
void amqp_conn_wake(struct amqp_conn *c);

struct amqp_publish {
    const char *exchange; /* "" = default exchange */
    const char *routing_key;
    bool mandatory;
    const void *body;
    size_t body_len;
    const amqp_basic_properties_t *props; /* NULL = none; copied deep by this call */
    uint64_t cookie;
};
/* Queues it; copied; published when up (also while down: kept until the connection is up, in
 * order). Never blocks.  Returns the number of publishes not yet confirmed (for back-pressure).
 * Without confirms on_confirm(AMQP_ACKED) comes when it was written to the socket. */
size_t amqp_publish(struct amqp_conn *c, const struct amqp_publish *p);
/* The body is handed over instead of copied (malloc'd; freed by the connection). */
size_t amqp_publish_take(struct amqp_conn *c, const struct amqp_publish *p, char *body);

/* Acknowledges one delivery (batched into `multiple` acks where order allows).  Tags of an older
 * connection are ignored. */
void amqp_ack(struct amqp_conn *c, uint64_t tag);
void amqp_reject(struct amqp_conn *c, uint64_t tag, bool requeue);
/* Stops (or resumes) the consumer without closing: what was delivered and not acked stays ours. */
void amqp_cancel_consumer(struct amqp_conn *c);

/* Runs fn on the connection's thread with the open channel 1 (rabbitmq-c set-up calls may block
 * there), then done(arg, rc, err) on the loop's thread.  rc -1 when the connection broke.  A
 * channel exception (404 in a passive declare ...) is reported as rc -1 and channel 1 opened anew
 * for the next.
 */
void amqp_call(struct amqp_conn *c,
               int (*fn)(void *arg, amqp_connection_state_t state, struct err *err),
               void (*done)(void *arg, int rc, const struct err *err), void *arg);

/* Properties with delivery_mode 2 and the fields that are not NULL / negative. */
amqp_basic_properties_t amqp_props(const char *content_type, int64_t timestamp,
                                   const char *expiration_ms);

/* Checks and splits a URL: host (xmalloc'd), port, user, password, vhost decoded; 0 or -1. */
struct amqp_url {
    bool tls;
    char *host, *user, *password, *vhost;
    int port;
    unsigned heartbeat_s; /* 0 = not given */
    char *cadata;         /* PEM from ssl_options, or NULL */
};
int amqp_url_parse(const char *text, struct amqp_url *out, struct err *err);
void amqp_url_clear(struct amqp_url *u);
/* The URL with the port replaced (or added); caller frees. */
char *amqp_url_with_port(const char *text, int port);

/* One message over a short connection of its own (failure notices): blocking, at most timeout_us;
 * call it only where blocking is allowed (a child, a thread).  No confirm, no properties. */
int amqp_publish_once(const char *url, const char *exchange, const char *routing_key,
                      const void *body, size_t n, uint64_t timeout_us, struct err *err);

/* The same for several messages, each confirmed: a connection that blocks, for a thread of its own.
 * err->code: EACCES = credentials refused, EINVAL = no URL, 400..499 = the broker's reply code,
 * ENOMSG = mandatory and unroutable; anything else may pass with time. */
struct amqp_brief;
struct amqp_brief *amqp_brief_open(const char *url, uint64_t timeout_us, struct err *err);
/* Mandatory, without properties.  0: the broker has it.  After -1 the connection is of no use. */
int amqp_brief_publish(struct amqp_brief *b, const char *exchange, const char *routing_key,
                       const void *body, size_t n, uint64_t timeout_us, struct err *err);
void amqp_brief_close(struct amqp_brief *b); /* NULL is fine */

/* Reads the system's certificate authorities (or SSL_CERT_FILE) now: for a process that is about to
 * lose its files.  Returns the number of certificates. */
int amqp_trust_preload(void);

#endif
