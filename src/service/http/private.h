/* What the files of http/ share.  A request's life:
 *
 *   READING   target and head are there, the body comes (or is thrown away: `refused`)
 *   HANDLED   the handler has run; without an answer the connection is suspended until there is one
 *   ANSWERED  the answer is with libmicrohttpd
 *   OVER      libmicrohttpd is done with it; memory goes with the last reference */
#ifndef SALLYPORT_SERVICE_HTTP_PRIVATE_H
#define SALLYPORT_SERVICE_HTTP_PRIVATE_H

#include <microhttpd.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "lib/base/buf.h"
#include "service/http/cert.h"
#include "service/http/router.h"
#include "service/http/server.h"
#include "service/http/target.h"

enum req_state { REQ_READING, REQ_HANDLED, REQ_ANSWERED, REQ_OVER };

/* One TCP connection. */
struct client {
    LIST_ENTRY(client) link;
    int fd;
    /* The wait that goes on, for a request, the rest of one, or for an answer to be taken; 0 =
     * the client has nothing to do. */
    uint64_t since_us;
    unsigned limit_s;
};

struct header {
    SLIST_ENTRY(header) link;
    char *name, *value;
};

struct req {
    LIST_ENTRY(req) link; /* those that wait for an answer */
    bool is_listed;
    int refs;
    struct server *server;
    struct MHD_Connection *conn;
    struct client *client;
    enum req_state state;
    bool suspended, refused, too_late;
    char id[UUID_TEXT];
    char *method;
    struct target target;
    struct router_hit hit;
    size_t body_max;
    struct buf body;
    uint64_t begun_us, deadline_us;
    struct MHD_Response *response;
    int status;
    SLIST_HEAD(, header) headers; /* of the answer */
    struct json_object *json;
    struct pairs *query, *form;
    char *basic, *peer, *base_url;
    void *data;
    void (*free_data)(void *);
    struct sse *sse;
};

#define STATUS_CLASSES 6

struct listener {
    struct server *server;
    struct MHD_Daemon *daemon;
    struct loop_io *io;
    int port;
};

struct server {
    struct loop *loop;
    struct router *router;
    struct listener *listeners;
    size_t n_listeners;
    bool tls, behind_proxy, quiet, draining;
    const char *const *proxies;
    struct cert *cert;       /* NULL = plain */
    struct loop_timer *tick; /* libmicrohttpd's own timeouts */
    struct loop_timer *sweep;
    struct loop_timer *drain_timer;
    bool kicked, running, destroyed;
    LIST_HEAD(, req) waiting;
    LIST_HEAD(, client) clients;
    LIST_HEAD(, sse) streams;
    struct loop_timer *ping;  /* of the streams */
    uint64_t linger_until_us; /* of idle connections, while draining */
    size_t n_requests, n_clients, n_streams;
    loop_f *drained;
    void *drained_arg;
    struct server_stats stats;
};

#define DEADLINE_DEFAULT_S 30

/* admit.c.  The length of the body that the head announces, 0 = none or unknown. */
unsigned long long admit(struct req *r);
/* A client that waits for a word before it sends the body. */
bool admit_is_asked_first(struct req *r);
void admit_refuse_size(struct req *r);
/* Has libmicrohttpd look at its connections after the present callback. */
void server_kick(struct server *s);
void req_answer(struct req *r, int status, struct MHD_Response *response, const char *content_type);
/* The request of the stream is over; NULL is fine. */
void sse_client_gone(struct sse *e);
void sse_end_all(struct server *s);
/* The client has closed its side. */
bool client_is_gone(const struct client *c);

#endif
