/* Lines that other processes write to their log pipe, brought into our log: bounded, cleaned, with
 * a limit on how many a sender gets in. */
#ifndef SALLYPORT_MANAGER_MONITOR_RELAY_H
#define SALLYPORT_MANAGER_MONITOR_RELAY_H

#include "lib/base/loop.h"

struct relay;

/* Takes the reading end (non-blocking).  prefix is put in front of each message ("" = none). */
struct relay *relay_create(struct loop *l, int fd, const char *prefix, unsigned lines_per_10s);
/* Takes in what the pipe holds at this moment, closes it and frees; NULL is fine. */
void relay_finish(struct relay *r);
/* A pipe for it: fds[0] non-blocking, both close-on-exec.  0, or -1 with errno. */
int relay_pipe(int fds[2]);

#endif
