/* What the service declares at the broker.  These calls block; they run on a connection's thread
 * (amqp_opts.setup, amqp_call). */
#ifndef SALLYPORT_SERVICE_TOPOLOGY_H
#define SALLYPORT_SERVICE_TOPOLOGY_H

#include "service/broker/broker.h"

struct topology {
    bool quorum;
    bool status_copy;
    int64_t stream_bytes;
    char status_queue[64]; /* where we read heartbeats */
};

/* stream_bytes: what a stream of results may hold; 0 = 1 GiB. */
int topology_init(struct topology *t, const char *queue_type, bool status_copy,
                  int64_t stream_bytes, struct err *err);
/* Reads a PEM file; *pem is NULL without one. */
int topology_ca(const char *path, char **pem, struct err *err);

/* setup functions of connections; arg: the topology. */
int topology_declare(void *arg, amqp_connection_state_t state, struct err *err);
int topology_status(void *arg, amqp_connection_state_t state, struct err *err);

void topology_name(enum broker_queue kind, const char *id, char *out, size_t n);
int topology_queue(const struct topology *t, amqp_connection_state_t state, enum broker_queue kind,
                   const char *name, struct broker_queue_state *out, struct err *err);
int topology_look(amqp_connection_state_t state, const char *name, struct broker_queue_state *out,
                  struct err *err);
/* The outcome of the last call; err->code is AMQP's code. */
int topology_reply(amqp_connection_state_t state, const char *what, struct err *err);

#endif
