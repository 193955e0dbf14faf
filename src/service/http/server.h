/* The HTTP side of the service: libmicrohttpd inside the event loop, a table of routes.
 *
 * A handler runs on the loop's thread when the whole body is there; nothing in it blocks.  It
 * answers once, now or later, with one of the reply functions; a request that has no answer after
 * its deadline gets 503.  What a handler needs until then it hangs on the request
 * (req_data/req_set_data with a free function, called when the request ends, however it ends).
 *
 * Origin-form and absolute-form targets are the same here.  HEAD is answered like GET. */
#ifndef SALLYPORT_SERVICE_SERVER_H
#define SALLYPORT_SERVICE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/uuid.h"

struct server;
struct req;

typedef void req_f(struct req *r);

struct route {
    const char *method;
    const char *path; /* "/v2/tasks/{id}": a part in braces matches one segment, see req_param() */
    req_f *handler;
    size_t body_max;     /* 0 = 64 KiB; more gets 413 */
    unsigned deadline_s; /* 0 = 30; at most 55, below the clients' 60 */
};

struct server_opts {
    const char *const *addresses; /* "127.0.0.1:5000", "[::1]:5000"; NULL-terminated */
    const int *fds; /* listening sockets instead of addresses: the server's from here on */
    size_t n_fds;
    const char *cert_file, *key_file; /* TLS; NULL = plain */
    const char *host;                 /* that the certificate has to name; NULL = any */
    size_t connections_max;           /* 0 = 20000 */
    bool behind_proxy;                /* believe X-Forwarded-For and -Proto of this host */
    const char *const *proxies;       /* and of these addresses; NULL-terminated, or NULL */
    bool quiet;                       /* requests are not logged, not even for debugging */
};

struct server *server_create(struct loop *l, const struct server_opts *opts, struct err *err);
/* Routes are not copied; ends with method NULL.  arg is what req_arg() gives to their handlers. */
void server_routes(struct server *s, const struct route *routes, void *arg);
/* The port of the first address: what the system gave when 0 was asked for. */
int server_port(const struct server *s);
struct server_stats {
    uint64_t answers[6]; /* by hundreds of the status; [0] = ended without one */
    uint64_t seconds[9]; /* answers within 1, 5, 10, 50, 100, 500, 1000, 10000 ms; the rest */
    uint64_t seconds_sum_us;
    size_t connections, requests, streams; /* now */
};
const struct server_stats *server_stats(struct server *s);
/* Serves a connection that somebody else accepted, as if it had come to the first address; the
 * socket is the server's from here on, also when it is refused (-1). */
struct sockaddr;
int server_adopt(struct server *s, int fd, const struct sockaddr *address, unsigned address_len);
/* Stops accepting, finishes what is there (up to timeout_us), then done. */
void server_drain(struct server *s, uint64_t timeout_us, loop_f *done, void *arg);
void server_destroy(struct server *s);
/* The certificate's files have changed; without TLS nothing happens. */
void server_reload(struct server *s);

/* ---- the request ---- */
void *req_arg(struct req *r);
const char *req_id(struct req *r); /* correlation id: a UUID, X-Request-Id of the reply */
const char *req_method(struct req *r);
const char *req_path(struct req *r);                     /* decoded, without query */
const char *req_param(struct req *r, const char *name);  /* of the route; decoded */
const char *req_query(struct req *r, const char *name);  /* decoded, NULL when absent */
const char *req_header(struct req *r, const char *name); /* NULL when absent */
const char *req_peer(struct req *r);                     /* address of the client, text */
bool req_is_local(struct req *r); /* the connection itself comes from this host */
/* "http://localhost:5000": scheme and authority that the client used, no trailing slash. */
const char *req_base_url(struct req *r);
const void *req_body(struct req *r, size_t *n); /* NUL behind it */
/* Body as JSON object: NULL when it is none, and the 400 has been sent. */
struct json_object *req_json(struct req *r); /* owned by the request */
/* Field of an application/x-www-form-urlencoded body; NULL when absent. */
const char *req_form(struct req *r, const char *name);
/* The token of "Authorization: Bearer", or NULL. */
const char *req_bearer(struct req *r);
/* user and password of "Authorization: Basic", split at the first ':'; false when absent. */
bool req_basic(struct req *r, const char **user, const char **password);
const char *req_cookie(struct req *r, const char *name);
void *req_data(struct req *r);
void req_set_data(struct req *r, void *data, void (*free_data)(void *));
/* True when the client has gone or the deadline has passed: no reply is needed any more. */
bool req_is_over(struct req *r);
/* Keeps r in memory beyond its end for a callback that is under way; pair with req_unref(). */
struct req *req_ref(struct req *r);
void req_unref(struct req *r);

/* ---- the answer: exactly one of these ---- */
void reply_json(struct req *r, int status, struct json_object *body /* taken */);
void reply_text(struct req *r, int status, const char *content_type, const void *p, size_t n);
/* {"code", "message", "request_id"}: the error body of web-service.md 1.3. */
void reply_error(struct req *r, int status, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void reply_redirect(struct req *r, int status, const char *location);
/* Before the reply: an extra header. */
void reply_header(struct req *r, const char *name, const char *value);

/* A stream of server-sent events; stays open until either side ends it. */
struct sse;
struct sse *reply_sse(struct req *r);
/* -1 when the client is gone or too slow (its queue is bounded): end it. */
int sse_send(struct sse *s, const char *event, const char *data);
void sse_end(struct sse *s);

#endif
