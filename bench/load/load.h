/* Load for the service: what the parts of the generator share. */
#ifndef SALLYPORT_BENCH_LOAD_H
#define SALLYPORT_BENCH_LOAD_H

#include <stdatomic.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/json.h"

struct target {
    const char *host, *port, *token;
};

/* ---- http.c: blocking calls over a kept connection ---- */
int http_dial(const struct target *t);
/* The status; the body is in out.  Ends the process when the connection breaks. */
int http_call(int fd, const struct target *t, const char *method, const char *path,
              const char *body, size_t n, struct buf *out);
/* The same, and the body as JSON; a status other than 200 ends the process. */
struct json_object *http_json(int fd, const struct target *t, const char *method, const char *path,
                              const char *body, size_t n);

/* ---- site.c: a manager and its user endpoints, which answer each task at once ---- */
struct site;
struct site *site_start(struct json_object *registration);
extern atomic_ullong site_tasks; /* answered */
void site_stop(struct site *s);

#endif
