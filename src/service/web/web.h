/* The console: what a person sees of endpoints, tasks and errors, in a browser.
 *
 * /web/ is one page with one script; its data come from /web/api/..., read from the ledger, so that
 * every service process shows the same.  People see what is theirs; administrators see all.
 *
 *     web.c     routes, the page, who am I
 *     look.c    one request for data on its way: who asks, a read job, the reply
 *     endpoints.c, tasks.c   the questions to the ledger
 *     events.c  the stream that tells open pages that something has changed */
#ifndef SALLYPORT_WEB_WEB_H
#define SALLYPORT_WEB_WEB_H

#include "service/auth/auth.h"
#include "service/http/server.h"
#include "service/store/store.h"

struct web;

/* Messages and consumers in an endpoint's queue; -1 = not known. */
typedef void web_depth_f(void *arg, int64_t messages, int64_t consumers);

struct web_opts {
    struct loop *loop;
    struct store *store;
    struct auth *auth;
    /* Asks the broker about the task queue of an endpoint, answers now or later; NULL: not shown.
     */
    void (*depth)(void *depth_arg, const char *endpoint_id, web_depth_f *then, void *arg);
    void *depth_arg;
    /* Reads a result that is kept in a file; NULL: not shown. 0, or -1. */
    int (*read_file)(void *file_arg, const char *name, struct buf *out);
    void *file_arg;
};
/* A `depth` for opts: depth_arg is a struct broker **, which may still point to NULL. */
void web_broker_depth(void *broker, const char *endpoint_id, web_depth_f *then, void *arg);
struct web *web_create(const struct web_opts *opts);
/* In this order: web_stop(), server_destroy(), store_close(), web_destroy().  NULL is fine. */
void web_stop(struct web *w);
void web_destroy(struct web *w);
const struct route *web_routes(void); /* arg: the struct web */

#endif
