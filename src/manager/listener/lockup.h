/* The listener takes its own rights away, before it speaks to a broker.
 *
 * Root directory: an empty one that has been deleted (by chroot, in a user namespace of its own
 * when the process may not otherwise); landlock without a single rule on top, or in its place. Then
 * no capabilities, no_new_privs, and a seccomp list of what a process needs that only talks over
 * sockets: no file can be opened, no program started, no process looked at.
 *
 * Call it while there is one thread.  What could not be had is said in the log; only
 * no_new_privs is demanded. */
#ifndef SALLYPORT_LISTENER_LOCKUP_H
#define SALLYPORT_LISTENER_LOCKUP_H

#include "lib/base/err.h"

/* 0, or -1 when the process must not go on. */
int lockup(struct err *err);

#endif
