/* See adopt.h.
 *
 * A process is adopted when its number, its start time and its uid are those of the file.  Its
 * credential file is taken out of it through its pidfd and opened for writing only when it is the
 * memory file that the former monitor made (device and inode), and ours: the user may have put any
 * other file in its place. */
#include "manager/monitor/adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/proc.h"
#include "manager/monitor/child.h"
#include "manager/monitor/state.h"
#include "manager/monitor/state_line.h"

/* The real uid of a process. */
static bool has_uid(pid_t pid, unsigned uid)
{
    char path[64], line[256];
    unsigned real = 0;
    bool found = false;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    while (!found && fgets(line, sizeof(line), f))
        found = sscanf(line, "Uid: %u", &real) == 1;
    fclose(f);
    return found && real == uid;
}

static int take_memfd(const struct state_line *l, int pidfd)
{
    struct stat st;
    char path[64];
    int fd = (int)syscall(SYS_pidfd_getfd, pidfd, HANDOVER_CREDENTIALS, 0);
    if (fd < 0)
        return -1;
    int writable = -1;
    if (fstat(fd, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino &&
        st.st_uid == geteuid() && fcntl(fd, F_GET_SEALS) >= 0) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        writable = open(path, O_RDWR | O_CLOEXEC);
    }
    close(fd);
    return writable;
}

/* The other end of the pipe that it writes its audit messages to. */
static struct trail_pipe *take_audit_pipe(struct monitor *m, int pidfd)
{
    struct stat st;
    char path[64];
    int fd = (int)syscall(SYS_pidfd_getfd, pidfd, HANDOVER_AUDIT, 0);
    if (fd < 0)
        return NULL;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int reading = fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode)
                      ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
                      : -1;
    close(fd);
    return reading < 0 ? NULL : trail_pipe_adopt(m->trail, reading);
}

static void adopt(struct monitor *m, const struct state_line *l)
{
    int pidfd = (int)syscall(SYS_pidfd_open, l->pid, 0);
    if (pidfd < 0)
        return; /* it is gone */
    /* From here on the number can't become another's behind our back: the pidfd would be dead. */
    if (l->start_time == 0 || proc_start_time(l->pid) != l->start_time ||
        !has_uid(l->pid, l->uid)) {
        log_debug("pid=%d is not the user endpoint that it was", (int)l->pid);
        close(pidfd);
        return;
    }
    struct child *c = child_new(m);
    c->adopted = c->announced = true;
    c->pid = l->pid;
    c->pidfd = pidfd;
    c->start_time = l->start_time;
    c->uid = l->uid;
    c->gid = l->gid;
    c->mem_dev = l->dev;
    c->mem_ino = l->ino;
    snprintf(c->user, sizeof(c->user), "%s", l->user);
    snprintf(c->name, sizeof(c->name), "%s", l->name);
    snprintf(c->key, sizeof(c->key), "%s", l->key);
    snprintf(c->id, sizeof(c->id), "%s", l->id);
    snprintf(c->command, sizeof(c->command), "%s", l->command);
    c->memfd = take_memfd(l, pidfd);
    if (m->trail)
        c->audit = take_audit_pipe(m, pidfd);
    if (c->audit)
        trail_pipe_start(c->audit, c->uid, c->pid, c->id, c->name);
    child_state_set(c, CHILD_RUNNING);
    child_watch(c);
    log_info("Adopted user endpoint of a former manager (pid: %d) [(%s, %s) %s]", (int)c->pid,
             c->user, c->name, c->command);
}

void adopt_lines(struct monitor *m, char *text)
{
    struct state_line l;
    for (char *end; (end = strchr(text, '\n')); text = end + 1) {
        *end = '\0';
        if (state_line_read(text, &l))
            adopt(m, &l);
        else
            log_warning("children.state holds a line that can't be read; it is ignored");
    }
}
