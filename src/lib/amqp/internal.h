/* What the two sides of a connection share.
 *
 * The loop's thread pushes commands; the connection's thread executes them and pushes events, which
 * are drained on the loop's thread.  Both lists hang under one lock; nothing else is shared but the
 * fields marked so. */
#ifndef SALLYPORT_AMQP_INTERNAL_H
#define SALLYPORT_AMQP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "lib/amqp/amqp.h"
#include "lib/base/buf.h"

enum { CHANNEL_SETUP = 1, CHANNEL_MAIN = 2 };

#define MESSAGE_MAX (128u * 1024 * 1024) /* RabbitMQ's own upper limit */
#define RPC_TIMEOUT_S 30
#define CONNECT_TIMEOUT_S 10
#define HEARTBEAT_S 60
#define CONSUMER_TAG "sallyport"

enum command_kind { CMD_PUBLISH, CMD_ACK, CMD_REJECT, CMD_CANCEL_CONSUMER, CMD_CALL, CMD_WAKE };

struct command {
    STAILQ_ENTRY(command) link;
    enum command_kind kind;
    union {
        struct {
            amqp_pool_t pool; /* holds the strings of props */
            amqp_basic_properties_t props;
            char *exchange, *routing_key, *body;
            size_t body_len;
            uint64_t cookie;
            bool mandatory;
        } publish;
        struct {
            uint64_t tag;
            bool requeue;
        } ack;
        struct {
            int (*fn)(void *arg, amqp_connection_state_t state, struct err *err);
            void (*done)(void *arg, int rc, const struct err *err);
            void *arg;
        } call;
    };
};
STAILQ_HEAD(command_list, command);

enum event_kind { EV_UP, EV_DOWN, EV_MESSAGE, EV_CONFIRM, EV_CALLED };

struct event {
    STAILQ_ENTRY(event) link;
    enum event_kind kind;
    union {
        struct {
            enum amqp_down why;
            bool final;
            char *text;
        } down;
        struct amqp_message *message;
        struct {
            uint64_t cookie;
            enum amqp_outcome outcome;
        } confirm;
        struct {
            void (*done)(void *arg, int rc, const struct err *err);
            void *arg;
            int rc;
            struct err *err;
        } called;
    };
};
STAILQ_HEAD(event_list, event);

/* A publish that was written and not yet confirmed. */
struct unconfirmed {
    uint64_t cookie;
    uint64_t mark; /* tells a returned message from others: see publish_mark() */
    bool done, returned;
};

struct amqp_conn {
    struct loop *loop;
    struct amqp_handlers handlers;
    void *arg;
    struct amqp_opts opts; /* strings are ours */
    pthread_t thread;

    pthread_mutex_t lock;
    struct command_list commands;
    struct event_list events;
    bool drain_posted;
    size_t waiting; /* publishes accepted and not yet reported */
    int wake_fd;    /* the loop's thread pokes the connection's */
    atomic_bool stopping;
    atomic_uint_fast64_t stop_by_us; /* until when to flush */
    atomic_int socket_fd;
    atomic_uint refs; /* the owner's, and one for a posted drain */

    /* loop's thread only */
    bool up, dead, poke_is_due;

    /* connection's thread only */
    amqp_connection_state_t state;
    uint64_t generation;
    bool setup_open, consuming;
    bool reconnect_asked;
    struct event_list fresh; /* pushed together at the end of a pass */
    struct {
        uint64_t since_us, count; /* frames and commands since then */
        bool busy;
    } traffic;
    struct amqp_url url;
    struct {
        struct unconfirmed *ring;
        size_t cap, head, count;
        uint64_t first; /* delivery tag of ring[head] */
    } out;
    struct {
        unsigned char *done; /* from tag base+1 on: 0 = ours, 1 = to be acked, 2 = settled */
        size_t cap, count;
        uint64_t base;
    } in;
};

struct event *event_new(enum event_kind kind);
/* From the connection's thread: the loop sees it after the next events_flush(). */
void event_add(struct amqp_conn *c, struct event *ev);
void events_flush(struct amqp_conn *c);
void command_free(struct command *cmd);

/* open.c: from nothing to a consuming channel; -1 with *why and err. */
int conn_open(struct amqp_conn *c, enum amqp_down *why, struct err *err);
int conn_open_setup_channel(struct amqp_conn *c, struct err *err);
void conn_close(struct amqp_conn *c, bool politely);
/* One sentence about a failed rabbitmq-c call; also answers a channel closed by the broker. Returns
 * true when only the channel is gone. */
bool conn_reply_error(amqp_connection_state_t state, amqp_channel_t channel, amqp_rpc_reply_t reply,
                      const char *what, struct err *err);
/* Connects the socket and logs in; shared with amqp_publish_once(). */
amqp_connection_state_t conn_login(const struct amqp_url *u, const char *name, unsigned timeout_s,
                                   bool *refused, struct err *err);

/* The preloaded authorities, or NULL: the system's are read when needed. */
struct x509_store_st *conn_trusted(void);

/* serve.c: the thread. */
void *conn_thread(void *arg);

/* confirms.c: what was published and is not yet confirmed; the connection's thread only. */
int confirms_publish(struct amqp_conn *c, const struct command *cmd, struct err *err);
/* The broker's word about `tag`, with `multiple` about all up to it (tag 0: all so far). */
void confirms_take(struct amqp_conn *c, uint64_t tag, bool multiple, enum amqp_outcome outcome);
/* A mandatory message found no queue; its confirm follows. */
void confirms_returned(struct amqp_conn *c, amqp_bytes_t routing_key, const char *body, size_t n);
/* The connection is gone: everything unconfirmed is AMQP_LOST. */
void confirms_lose(struct amqp_conn *c);
void confirms_report(struct amqp_conn *c, uint64_t cookie, enum amqp_outcome outcome);

/* acks.c: what was delivered and is not yet settled; the connection's thread only. */
uint64_t acks_tag(const struct amqp_conn *c, uint64_t delivery_tag); /* what its owner holds */
void acks_note(struct amqp_conn *c, uint64_t delivery_tag);          /* it is with its owner */
/* To be acknowledged with the next acks_flush(); nothing for a tag of an older connection. */
void acks_mark(struct amqp_conn *c, uint64_t tag);
int acks_reject(struct amqp_conn *c, const struct command *cmd, struct err *err);
/* Those at the front go as one `multiple`, the others alone, so that one slow task does not keep
 * the prefetch window shut. */
int acks_flush(struct amqp_conn *c, struct err *err);

/* message.c */
struct amqp_message *message_new(const amqp_basic_deliver_t *deliver,
                                 const amqp_basic_properties_t *props, uint64_t tag);
/* body: malloc'd, freed with the message. */
void message_take_body(struct amqp_message *m, char *body, size_t n);

#endif
