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
/* Tasks are taken and not answered; false: answers them all. */
void site_hold(bool hold);
/* Until so many are held (two minutes at most). */
void site_wait(double tasks);

/* ---- one file a command; argv[0] is its name ---- */
int load_submit(int argc, char **argv);
int load_status(int argc, char **argv);
int load_broker(int argc, char **argv);
int load_fill(int argc, char **argv);
int load_usage(void); /* 2 */

#endif
