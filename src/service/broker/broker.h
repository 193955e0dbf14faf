/* The service's side of the broker: topology, publishing with confirms, the common queues, and the
 * addresses with credentials that clients get.
 *
 *   exchanges  tasks, commands (direct)  results, heartbeats (topic)  dead (fanout)
 *   queues     <endpoint>.tasks  <endpoint>.commands  results  heartbeats  dead
 *              usr.<identity>.<task group>: the stream of results that an SDK reads
 *
 * Everything runs on the loop; the connections have threads of their own (lib/amqp). */
#ifndef SALLYPORT_SERVICE_BROKER_H
#define SALLYPORT_SERVICE_BROKER_H

#include "lib/amqp/amqp.h"
#include "lib/base/json.h"
#include "service/broker/creds.h"
#include "service/http/server.h"

struct broker;

struct broker_handlers {
    void (*on_up)(void *arg);                             /* connected (again), topology is there */
    void (*on_result)(void *arg, struct amqp_message *m); /* yours; broker_done() when settled */
    void (*on_status)(void *arg, struct amqp_message *m); /* yours; it needs no answer */
};

struct broker_opts {
    struct loop *loop;
    struct creds *creds;
    const char *url; /* of the service itself; NULL with a private node: made from the next two */
    const char *client_address; /* "HOST:PORT/VHOST" in the URLs that clients get */
    bool client_tls;
    const char *ca_file;    /* private CA that is given to clients in the URL; or NULL */
    const char *queue_type; /* "classic" or "quorum" */
    int64_t stream_bytes;   /* bound of a stream of results; 0 = 1 GiB */
    bool status_copy; /* a heartbeat queue of our own: several service processes each see all */
};

struct broker *broker_create(const struct broker_opts *opts, const struct broker_handlers *h,
                             void *arg, struct err *err);
void broker_destroy(struct broker *b, uint64_t timeout_us); /* NULL is fine */
bool broker_is_up(const struct broker *b);
void broker_wake(struct broker *b); /* it can be reached now: no pause before the next try */

/* ---- publishing ---- */

typedef void broker_outcome_f(void *arg, enum amqp_outcome outcome);
/* body is malloc'd and handed over.  Kept while the broker is away; outcome AMQP_LOST = publish it
 * again.  done may be NULL. */
void broker_publish(struct broker *b, const char *exchange, const char *key, char *body, size_t n,
                    const amqp_basic_properties_t *props, broker_outcome_f *done, void *arg);
size_t broker_unconfirmed(const struct broker *b);
void broker_done(struct broker *b, struct amqp_message *m); /* acknowledges a result and frees it */

/* ---- queues ---- */

enum broker_queue {
    BROKER_TASKS,    /* id: endpoint */
    BROKER_COMMANDS, /* id: endpoint */
    BROKER_STREAM,   /* id: "<identity>.<task group>" */
};
struct broker_queue_state {
    bool exists;
    uint32_t messages, consumers;
};
/* state: NULL with err when the broker could not be asked. */
typedef void broker_queue_f(void *arg, const struct broker_queue_state *state,
                            const struct err *err);
void broker_queue_make(struct broker *b, enum broker_queue kind, const char *id,
                       broker_queue_f *done, void *arg);
void broker_queue_look(struct broker *b, enum broker_queue kind, const char *id,
                       broker_queue_f *done, void *arg);
void broker_queue_purge(struct broker *b, enum broker_queue kind, const char *id);
void broker_queue_delete(struct broker *b, enum broker_queue kind, const char *id);

/* ---- dead letters ---- */

/* Messages that a queue gave up: nobody took them in time, a consumer refused them, or the queue
 * was full (its oldest go).  Ledger and user lose nothing by it; they are logged, counted, and go.
 */
enum { DEAD_REASONS = 4 };
struct broker_dead {
    const char *queue; /* "tasks", "commands", "streams" */
    struct {
        const char *name; /* as RabbitMQ calls it */
        uint64_t n;
    } reasons[DEAD_REASONS];
};
/* The i-th kind of queue; NULL behind the last. */
const struct broker_dead *broker_dead(const struct broker *b, size_t i);

/* ---- for clients ---- */

/* An AMQP URL that brings its CA along; ca_file may be NULL.  Caller frees; NULL with err. */
char *broker_url_with_ca(const char *url, const char *ca_file, struct err *err);
/* "amqp://ep.<id>:...@host:port/vhost"; caller frees. */
char *broker_url(const struct broker *b, const char *principal, const char *password);
/* The three or four objects of amqp.md 3 for an endpoint. */
struct json_object *broker_queue_infos(const struct broker *b, const char *endpoint_id,
                                       const char *password, bool commands, bool tasks);

/* ---- the HTTP auth back end ---- */

struct backend;
/* Routes below path ("/x/user", ...): who may do what (amqp.md 9); service_user may do all.
 * anywhere: questions may come from other hosts. */
struct backend *backend_create(struct creds *c, const char *path, const char *service_user,
                               const char *service_password, bool anywhere);
/* Of PROBE_USER (probe.h). */
void backend_probe_password(struct creds *c, char out[CREDS_PASSWORD]);
void backend_routes(struct backend *k, struct server *s);
void backend_destroy(struct backend *k);

#endif
