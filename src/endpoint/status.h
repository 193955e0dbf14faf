/* status.sock in the endpoint directory: who connects gets one line of JSON about the moment, and
 * the end of the stream.  It costs nothing while nobody asks.
 *
 * Paths of endpoint directories are often longer than a socket's address may be: bind and connect
 * through the directory's descriptor, /proc/self/fd/N/status.sock. */
#ifndef SALLYPORT_ENDPOINT_STATUS_H
#define SALLYPORT_ENDPOINT_STATUS_H

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"

struct status;

/* describe: a new object for each that asks. */
struct status *status_open(struct loop *l, const char *dir,
                           struct json_object *(*describe)(void *arg), void *arg, struct err *err);
void status_close(struct status *s); /* NULL is fine */

#endif
