/* A RabbitMQ node of our own in a folder: made, run and ended by us.
 *
 * The folder keeps the node's data and its ports, so a restart comes back as it was, and endpoints
 * that hold its address find it again.  As root the node runs as an unprivileged account.  It ends
 * when this process ends, however that happens; when it dies by itself it is started again after a
 * growing pause. */
#ifndef SALLYPORT_SERVICE_NODE_H
#define SALLYPORT_SERVICE_NODE_H

#include "lib/base/err.h"
#include "lib/base/loop.h"

struct node;

struct node_opts {
    const char *folder;
    const char *listen;      /* address, e.g. "127.0.0.1" */
    int port;                /* 0 = that of the last time, or one that is free */
    const char *user;        /* account to run as when we are root; NULL = see node_account() */
    const char *backend_url; /* of the HTTP auth back end, without "/user" */
    const char *cert_file, *key_file; /* TLS for AMQP; NULL = plain */
    loop_f *listening;                /* each time that it has begun to accept connections */
    void *arg;
};

/* Writes the configuration and starts it; it takes seconds until it accepts connections. */
struct node *node_start(struct loop *l, const struct node_opts *opts, struct err *err);
/* Takes the certificate's files again; new connections get it within minutes. */
void node_reload_tls(struct node *n);
int node_port(const struct node *n);
/* Runs rabbitmqctl with these words, in the background; failures are logged. */
void node_ctl(struct node *n, const char *const *words);
/* The node of a folder that another process runs: for node_ctl() and node_destroy() only.  NULL
 * with err. */
struct node *node_of(struct loop *l, const char *folder, struct err *err);
/* Ends it in order; done when it has gone (at most timeout_us later). */
void node_stop(struct node *n, uint64_t timeout_us, loop_f *done, void *arg);
void node_destroy(struct node *n); /* NULL is fine; kills what is left */

/* The account that a node runs as when we are root: `wanted` if given, else the first that exists
 * of sallyport, rabbitmq (the package makes it) and nobody.  NULL: we are not root. */
const char *node_account(const char *wanted);

#endif
