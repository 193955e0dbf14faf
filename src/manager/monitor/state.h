/* EPDIR/children.state: which children live, so that the next monitor can adopt them.
 *
 * Lines, fields split by TAB:
 *     boot <id of this boot of the host>
 *     + pid start-time uid gid memfd-device memfd-inode user name key id command
 * Appended to while we run, rewritten when it has grown; who has gone is recognised by number and
 * start time.  Mode 0600: it holds keys. */
#ifndef SALLYPORT_MANAGER_MONITOR_STATE_H
#define SALLYPORT_MANAGER_MONITOR_STATE_H

#include "lib/base/err.h"
#include "manager/monitor/child.h"

struct state;

/* Reads the file of the one before us, adopts who is still alive, and begins a new file.
 * NULL with a sentence: children of this monitor can't be adopted by the next. */
struct state *state_open(struct monitor *m, struct err *err);
void state_add(struct state *s, const struct child *c); /* NULL state is fine */
/* The file goes when nobody is left.  NULL is fine. */
void state_close(struct state *s);

#endif
