/* `daemon.pid`: who runs here, on any host that shares the file system.
 *
 * The original's rule: a file touched within `fresh_s` means a live instance, wherever it runs; the
 * file is touched every 15 s, and somebody removing it asks the owner to stop.  Ours adds an
 * advisory lock held for life, so that on the same host a crashed instance is known at once.
 * (spec: endpoint-manager.md section 15, user-endpoint.md section 5) */
#ifndef SALLYPORT_BASE_PIDFILE_H
#define SALLYPORT_BASE_PIDFILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/base/loop.h"

struct pidfile;

/* Not for the owner, which would lose its lock by looking.
 * 0 = free (absent or stale), 1 = taken by a live instance with err telling the block of lines
 * "PID path: ...", -1 = error. */
int pidfile_check(const char *path, unsigned fresh_s, struct err *err);
/* Takes it (O_EXCL; a stale one is removed with a warning in the log). */
struct pidfile *pidfile_take(const char *path, unsigned fresh_s, mode_t mode, struct err *err);
/* Touches it every 15 s; removed_cb when somebody else removed it. */
void pidfile_watch(struct pidfile *p, struct loop *l, loop_f *removed_cb, void *arg);
/* The same without a timer of its own: removed_cb comes from the kernel's notice, and the owner
 * calls pidfile_touch() when it is awake anyway (at least once per third of fresh_s). */
void pidfile_watch_quietly(struct pidfile *p, struct loop *l, loop_f *removed_cb, void *arg);
void pidfile_touch(struct pidfile *p);
/* Removes it if it is still ours, and frees; NULL is fine. */
void pidfile_release(struct pidfile *p);

#endif
