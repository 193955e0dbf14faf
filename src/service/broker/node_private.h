/* What node.c (the processes) and node_files.c (what stands in the folder) share. */
#ifndef SALLYPORT_SERVICE_NODE_PRIVATE_H
#define SALLYPORT_SERVICE_NODE_PRIVATE_H

#include <sys/types.h>

#include "service/broker/node.h"

enum port { PORT_AMQP, PORT_DIST, PORT_EPMD, PORT_COUNT };

struct node {
    struct loop *loop;
    char *folder, *home; /* RabbitMQ's installed tree */
    char *cert_file, *key_file;
    char *name; /* Erlang's name of the node */
    int ports[PORT_COUNT];
    uid_t uid;
    gid_t gid;
    bool drops;
    pid_t server, epmd;
    struct loop_child *server_watch, *epmd_watch;
    struct loop_timer *again, *stop_timer, *probe;
    loop_f *listening;
    void *listening_arg;
    unsigned tries;
    uint64_t started_us;
    bool stopping;
    loop_f *stopped;
    void *stopped_arg;
};

/* Those of the folder's ports.json; an error when it names not all of them. */
int node_read_ports(struct node *n, struct err *err);
/* Those of the last time or, for what is missing, free ones; wanted: for AMQP, 0 = any.  Kept in
 * ports.json. */
int node_choose_ports(struct node *n, int wanted, struct err *err);
/* Copies that the node's account can read; the site's key stays as closed as it is. */
int node_copy_tls(struct node *n, struct err *err);
/* The folders and the configuration, as the node's account will find them. */
int node_write_conf(struct node *n, const struct node_opts *o, struct err *err);

#endif
