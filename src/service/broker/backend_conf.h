/* The lines of a rabbitmq.conf that hold for every broker, a node of ours or one of the site. */
#ifndef SALLYPORT_SERVICE_BACKEND_CONF_H
#define SALLYPORT_SERVICE_BACKEND_CONF_H

#include "lib/base/buf.h"

/* base_url: of the HTTP auth back end, without "/user".  Which back ends are asked, and in what
 * order, is the caller's (auth_backends.N); "cache" is the one that is set up here. */
void backend_conf(struct buf *out, const char *base_url);

#endif
