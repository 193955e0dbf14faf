/* The listener's end of the socket to the monitor, on the loop.
 *
 * Messages that don't fit wait here, in order, with their descriptors (the monitor stops reading
 * while many starts are under way).  The desk bounds how many there can be. */
#ifndef SALLYPORT_LISTENER_CHANNEL_H
#define SALLYPORT_LISTENER_CHANNEL_H

#include "lib/base/loop.h"
#include "manager/table.h"

struct channel;

/* Descriptors are the receiver's. */
typedef void channel_f(void *arg, const struct table_message *m, int fds[2]);

/* gone_cb: the monitor has ended, or talks nonsense; once. */
struct channel *channel_create(struct loop *l, int socket, channel_f *cb, loop_f *gone_cb,
                               void *arg);
void channel_destroy(struct channel *c);
/* Takes the descriptors (-1 = none) and closes them when they have been sent. */
void channel_send(struct channel *c, const struct table_message *m, int fd1, int fd2);

#endif
