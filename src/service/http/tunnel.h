/* A port that answers CONNECT for this service's own names and then is this service.
 *
 * A client that knows nothing but the production names is sent here by https_proxy: it says CONNECT
 * compute.api.globus.org:443, gets 200, and begins TLS.  Nothing is forwarded: the connection
 * itself is handed to the TLS side of the server, with the client's address.  Other names are
 * refused, so this is no way to anywhere else. */
#ifndef SALLYPORT_SERVICE_TUNNEL_H
#define SALLYPORT_SERVICE_TUNNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "service/http/server.h"

struct tunnel;

/* address: "HOST:PORT"; own: a URL of this service whose host is led here as well, or NULL.  The
 * server has to speak TLS. */
struct tunnel *tunnel_create(struct loop *l, struct server *s, const char *address, const char *own,
                             struct err *err);
int tunnel_port(const struct tunnel *t);
void tunnel_destroy(struct tunnel *t); /* before the server; NULL is fine */

/* Pure.  What to answer to the head of a request (up to and with its empty line): 200, 400 (not
 * HTTP), 403 (another name), 405 (not CONNECT). */
int tunnel_judge(const char *head, size_t n, const char *own_host);

#endif
