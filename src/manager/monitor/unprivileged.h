/* From root to an account without rights and on to a program: for listener and settings.
 * Called in a forked child; never returns. */
#ifndef SALLYPORT_MANAGER_MONITOR_UNPRIVILEGED_H
#define SALLYPORT_MANAGER_MONITOR_UNPRIVILEGED_H

#include <stdbool.h>
#include <sys/types.h>

struct unprivileged {
    const char *program; /* absolute path */
    bool change_user;    /* else it runs as we do (a manager without privileges) */
    pid_t parent;        /* dies with it */
    uid_t uid;
    gid_t gid;
    bool keep_chroot; /* leave CAP_SYS_CHROOT, if we have it */
    int fds[4];       /* what becomes 0, 1, 2 and 3; -1 = /dev/null (3: closed) */
};

void unprivileged_exec(const struct unprivileged *u) __attribute__((noreturn));

#endif
