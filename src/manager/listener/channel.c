/* See channel.h. */
#include "manager/listener/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"

struct waiting {
    STAILQ_ENTRY(waiting) link;
    struct table_message m;
    int fds[2];
};

struct channel {
    struct loop *loop;
    int socket;
    struct loop_io *io;
    channel_f *cb;
    loop_f *gone;
    void *arg;
    STAILQ_HEAD(, waiting) line;
};

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void drop_first(struct channel *c)
{
    struct waiting *w = STAILQ_FIRST(&c->line);
    STAILQ_REMOVE_HEAD(&c->line, link);
    close_fd(w->fds[0]);
    close_fd(w->fds[1]);
    explicit_bzero(w, sizeof(*w)); /* keys */
    free(w);
}

static void lost(struct channel *c)
{
    if (!c->io)
        return;
    loop_io_destroy(c->io);
    c->io = NULL;
    c->gone(c->arg);
}

static void flush(struct channel *c)
{
    struct waiting *w;
    while (c->io && (w = STAILQ_FIRST(&c->line))) {
        if (table_send(c->socket, &w->m, w->fds[0], w->fds[1]) < 0) {
            if (errno == EAGAIN)
                break;
            log_error("a message for the monitor can't be sent: %s", strerror(errno));
            if (errno == EPIPE || errno == ECONNRESET) {
                lost(c);
                return;
            }
        }
        drop_first(c);
    }
    if (c->io)
        loop_io_events(c->io, EPOLLIN | (STAILQ_EMPTY(&c->line) ? 0 : EPOLLOUT));
}

static void ready_cb(void *arg, int socket, uint32_t revents)
{
    struct channel *c = arg;
    if (revents & EPOLLOUT)
        flush(c);
    if (!c->io || !(revents & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    struct table_message m;
    struct err err = ERR_INIT;
    int fds[2];
    int rc = table_receive(socket, false, &m, fds, &err);
    if (rc == 1) {
        c->cb(c->arg, &m, fds);
        explicit_bzero(&m, sizeof(m));
        return;
    }
    if (rc < 0 && err.code == EAGAIN)
        return;
    if (rc < 0)
        log_error("the monitor sent a malformed message: %s", err.text);
    lost(c);
}

struct channel *channel_create(struct loop *l, int socket, channel_f *cb, loop_f *gone_cb,
                               void *arg)
{
    struct channel *c = xcalloc(1, sizeof(*c));
    *c = (struct channel){.loop = l, .socket = socket, .cb = cb, .gone = gone_cb, .arg = arg};
    STAILQ_INIT(&c->line);
    c->io = loop_io_create(l, socket, EPOLLIN, ready_cb, c);
    return c;
}

void channel_destroy(struct channel *c)
{
    if (!c)
        return;
    while (!STAILQ_EMPTY(&c->line))
        drop_first(c);
    loop_io_destroy(c->io);
    free(c);
}

void channel_send(struct channel *c, const struct table_message *m, int fd1, int fd2)
{
    struct waiting *w = xcalloc(1, sizeof(*w));
    w->m = *m;
    w->fds[0] = fd1;
    w->fds[1] = fd2;
    STAILQ_INSERT_TAIL(&c->line, w, link);
    flush(c);
}
