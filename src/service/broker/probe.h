/* Is a RabbitMQ that the site runs set up for us?  Asked before anything else, because what is
 * missing there shows later as endpoints that can't connect. */
#ifndef SALLYPORT_SERVICE_PROBE_H
#define SALLYPORT_SERVICE_PROBE_H

#include "service/broker/broker.h"

/* A login that the auth back end lets in and that may do nothing there. */
#define PROBE_USER "sallyport-probe"

struct probe;

struct probe_opts {
    const char *url;        /* the service's own login */
    const char *password;   /* of PROBE_USER */
    const char *queue_type; /* "classic", "quorum" or NULL */
};
/* err: NULL = it is as it should be; else one sentence on what is missing. */
typedef void probe_f(void *arg, const struct err *err);

/* Tries until somebody answers at the address; then done, on the loop. */
struct probe *probe_start(struct loop *l, const struct probe_opts *opts, probe_f *done, void *arg);
void probe_stop(struct probe *p); /* before or after done; NULL is fine */

/* The lines for rabbitmq.conf; base_url is that of the back end.  Caller frees. */
char *probe_conf(const char *base_url);

#endif
