/* The audit log and the pipes through which user endpoints write to it.
 *
 * Nothing is dropped: when the log can't be written, the packet at hand is kept, the pipes are not
 * read (a user endpoint that can't write its pipe stops itself), no new user endpoint is started,
 * and the write is tried again. */
#ifndef SALLYPORT_MANAGER_MONITOR_TRAIL_H
#define SALLYPORT_MANAGER_MONITOR_TRAIL_H

#include "lib/base/err.h"
#include "manager/monitor/monitor.h"

struct trail;
struct trail_pipe;

/* m->trail, or NULL when none is configured.  -1 = it is, and can't be opened. */
int trail_open(struct monitor *m, struct err *err);
/* The first line, once the endpoint's id is known. */
int trail_begin(struct trail *t, struct err *err);
/* Takes in what the pipes hold, writes the last line, closes. NULL is fine. */
void trail_close(struct trail *t);
/* The file was moved away.  NULL is fine. */
void trail_reopen(struct trail *t);
/* May a user endpoint be started? */
int trail_check(struct trail *t, struct err *err);

/* A pipe in packet mode for a new child; the child's end in *theirs.  NULL with errno. */
struct trail_pipe *trail_pipe_create(struct trail *t, int *theirs);
/* The reading end of an adopted child's pipe, taken over. */
struct trail_pipe *trail_pipe_adopt(struct trail *t, int fd);
/* From now on it is read; id "" = name the user endpoint by `name`. */
void trail_pipe_start(struct trail_pipe *p, uid_t uid, pid_t pid, const char *id, const char *name);
/* The child has ended: what is in the pipe is still written.  NULL is fine. */
void trail_pipe_finish(struct trail_pipe *p);

#endif
