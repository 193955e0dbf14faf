#include "endpoint/parent.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"

#define LOOK_EVERY_US LOOP_S(1)

struct parent {
    pid_t pid;
    int fd; /* pidfd; -1 on kernels without: then we look every second */
    struct loop_io *io;
    struct loop_timer *timer;
    loop_f *gone;
    void *arg;
};

static void gone_now(struct parent *p)
{
    log_warning("Parent process (pid %d) is gone; shutting down", (int)p->pid);
    loop_io_destroy(p->io);
    p->io = NULL;
    p->gone(p->arg);
}

static void ended_cb(void *arg, int fd, uint32_t revents)
{
    gone_now(arg);
}

static void look_cb(void *arg)
{
    struct parent *p = arg;
    if (getppid() != p->pid)
        gone_now(p);
    else
        loop_timer_set(p->timer, LOOK_EVERY_US, LOOP_MS(200));
}

struct parent *parent_watch(struct loop *l, pid_t pid, loop_f *gone, void *arg, struct err *err)
{
    struct parent *p = xcalloc(1, sizeof(*p));
    *p = (struct parent){.pid = pid, .gone = gone, .arg = arg};
    /* The descriptor first, then the look: a parent that dies in between is noticed by one. */
    p->fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (getppid() != pid) {
        err_set(err, "Pid %d not parent; refusing to start", (int)pid);
        parent_forget(p);
        return NULL;
    }
    if (p->fd >= 0) {
        p->io = loop_io_create(l, p->fd, EPOLLIN, ended_cb, p);
    } else {
        p->timer = loop_timer_create(l, look_cb, p);
        loop_timer_set(p->timer, LOOK_EVERY_US, LOOP_MS(200));
    }
    return p;
}

void parent_forget(struct parent *p)
{
    if (p == NULL)
        return;
    loop_io_destroy(p->io);
    loop_timer_destroy(p->timer);
    if (p->fd >= 0)
        close(p->fd);
    free(p);
}
