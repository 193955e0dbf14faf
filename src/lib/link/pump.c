#include <sys/epoll.h>

#include "lib/base/alloc.h"
#include "lib/link/private.h"

struct link_pump {
    struct loop *loop;
    void *socket;
    struct loop_io *io;
    struct loop_timer *again;
    loop_f *readable;
    void *arg;
};

static void look(struct link_pump *p)
{
    int events = 0;
    size_t n = sizeof(events);
    if (zmq_getsockopt(p->socket, ZMQ_EVENTS, &events, &n) != 0 || !(events & ZMQ_POLLIN))
        return;
    /* The reader takes a bounded number; what is left gets its turn after everybody else's. */
    loop_timer_set(p->again, 0, 0);
    p->readable(p->arg);
}

static void again_cb(void *arg)
{
    look(arg);
}

static void io_cb(void *arg, int fd, uint32_t revents)
{
    look(arg);
}

struct link_pump *link_pump_create(struct loop *l, void *socket, loop_f *readable, void *arg)
{
    int fd = -1;
    size_t n = sizeof(fd);
    if (zmq_getsockopt(socket, ZMQ_FD, &fd, &n) != 0)
        return NULL;
    struct link_pump *p = xcalloc(1, sizeof(*p));
    *p = (struct link_pump){.loop = l, .socket = socket, .readable = readable, .arg = arg};
    p->io = loop_io_create(l, fd, EPOLLIN, io_cb, p);
    p->again = loop_timer_create(l, again_cb, p);
    loop_timer_set(p->again, 0, 0);
    return p;
}

void link_pump_kick(struct link_pump *p)
{
    if (!loop_timer_is_set(p->again))
        loop_timer_set(p->again, 0, 0);
}

void link_pump_destroy(struct link_pump *p)
{
    if (p == NULL)
        return;
    loop_io_destroy(p->io);
    loop_timer_destroy(p->again);
    free(p);
}
