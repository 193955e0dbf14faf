/* A ZeroMQ socket on the loop: its descriptor tells that something has happened, not what. */
#include <sys/epoll.h>

#include "lib/base/alloc.h"
#include "lib/link/private.h"

struct link_pump {
    struct loop *loop;
    struct loop_io *io;
    bool planned;
    link_readable_f *readable;
    void *arg;
};

/* ZeroMQ's word on whether there is more is that it gives nothing.  The reader takes a bounded
 * number; what is left gets its turn after everybody else's.  It may also close the socket: then it
 * says that nothing is left, and nothing of p is touched behind it. */
static void look(struct link_pump *p)
{
    if (p->readable(p->arg))
        link_pump_kick(p);
}

static void planned_cb(void *arg)
{
    struct link_pump *p = arg;
    p->planned = false;
    look(p);
}

static void io_cb(void *arg, int fd, uint32_t revents)
{
    struct link_pump *p = arg;
    if (!p->planned) /* else it will look anyway */
        look(p);
}

struct link_pump *link_pump_create(struct loop *l, void *socket, link_readable_f *readable,
                                   void *arg)
{
    int fd = -1;
    size_t n = sizeof(fd);
    if (zmq_getsockopt(socket, ZMQ_FD, &fd, &n) != 0)
        return NULL;
    struct link_pump *p = xcalloc(1, sizeof(*p));
    *p = (struct link_pump){.loop = l, .readable = readable, .arg = arg};
    p->io = loop_io_create(l, fd, EPOLLIN, io_cb, p);
    link_pump_kick(p);
    return p;
}

void link_pump_kick(struct link_pump *p)
{
    if (p->planned)
        return;
    p->planned = true;
    loop_defer(p->loop, planned_cb, p);
}

void link_pump_destroy(struct link_pump *p)
{
    if (p == NULL)
        return;
    loop_io_destroy(p->io);
    loop_defer_cancel(p->loop, planned_cb, p);
    free(p);
}
