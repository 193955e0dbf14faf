/* Sockets that listen: bound here, or handed down by whoever started us. */
#ifndef SALLYPORT_SERVICE_LISTEN_H
#define SALLYPORT_SERVICE_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"

/* text: "HOST:PORT".  wanted: 0, or the port that an earlier address with port 0 got: one URL for
 * all of them.  The descriptor, or -1 with err. */
int listen_at(const char *text, int wanted, struct err *err);
int listen_port(int fd);   /* 0 = it has none */
char *listen_name(int fd); /* "HOST:PORT"; caller frees */

/* systemd's protocol (sd_listen_fds): the number of TCP sockets that were handed down, at most max;
 * -1 with err when one of them isn't a listening TCP socket.  The variables are removed. */
int listen_inherited(int *fds, size_t max, struct err *err);

#endif
