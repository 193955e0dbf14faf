/* Which route a request takes: patterns like "/v2/tasks/{id}" against decoded segments. */
#ifndef SALLYPORT_SERVICE_ROUTER_H
#define SALLYPORT_SERVICE_ROUTER_H

#include "lib/base/buf.h"
#include "service/http/server.h"
#include "service/http/target.h"

#define ROUTE_PARAMS 4

struct router;
struct router_hit {
    const struct route *route; /* NULL: no route */
    void *arg;
    bool other_method; /* no route, but the path has one under another method */
    const char *name[ROUTE_PARAMS];
    size_t name_len[ROUTE_PARAMS];
    const char *value[ROUTE_PARAMS]; /* segments of the target */
    size_t params;
};

struct router *router_create(void);
void router_destroy(struct router *r);
/* routes ends with method NULL and must outlive the router. */
void router_add(struct router *r, const struct route *routes, void *arg);
/* The route with the fewest braces wins.  HEAD takes GET's. */
void router_find(const struct router *r, const char *method, const struct target *t,
                 struct router_hit *hit);
/* "GET, HEAD, POST": the methods that the path has routes for; empty when there is none. */
void router_allow(const struct router *r, const struct target *t, struct buf *out);

#endif
