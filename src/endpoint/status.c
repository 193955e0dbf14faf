#include "endpoint/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/alloc.h"

#define NAME "status.sock"
#define ASKERS_MAX 8
#define PATIENCE_US LOOP_S(5)

struct asker {
    TAILQ_ENTRY(asker) link;
    struct status *owner;
    int fd;
    struct loop_io *io;
    struct loop_timer *deadline;
    struct buf answer;
};

struct status {
    struct loop *loop;
    int dir, fd;
    struct loop_io *io;
    TAILQ_HEAD(, asker) askers;
    size_t count;
    struct json_object *(*describe)(void *arg);
    void *arg;
};

static void asker_free(struct asker *a)
{
    TAILQ_REMOVE(&a->owner->askers, a, link);
    a->owner->count--;
    loop_io_destroy(a->io);
    loop_timer_destroy(a->deadline);
    close(a->fd);
    buf_free(&a->answer);
    free(a);
}

static void write_cb(void *arg, int fd, uint32_t revents)
{
    struct asker *a = arg;
    ssize_t n = send(fd, a->answer.data, a->answer.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        buf_drop(&a->answer, (size_t)n);
    if (n < 0 || a->answer.len == 0)
        asker_free(a);
}

static void late_cb(void *arg)
{
    asker_free(arg);
}

static void accept_cb(void *arg, int listener, uint32_t revents)
{
    struct status *s = arg;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (s->count >= ASKERS_MAX) {
        close(fd);
        return;
    }
    struct asker *a = xcalloc(1, sizeof(*a));
    *a = (struct asker){.owner = s, .fd = fd};
    TAILQ_INSERT_TAIL(&s->askers, a, link);
    s->count++;
    autojson struct json_object *o = s->describe(s->arg);
    json_write(&a->answer, o);
    buf_char(&a->answer, '\n');
    a->io = loop_io_create(s->loop, fd, EPOLLOUT, write_cb, a);
    a->deadline = loop_timer_create(s->loop, late_cb, a);
    loop_timer_set(a->deadline, PATIENCE_US, LOOP_S(1));
}

static int listen_in(struct status *s, const char *dir, struct err *err)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    s->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir < 0)
        return err_errno(err, "cannot open %s", dir);
    (void)unlinkat(s->dir, NAME, 0); /* of a life that was killed */
    snprintf(where.sun_path, sizeof(where.sun_path), "/proc/self/fd/%d/" NAME, s->dir);
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&where, sizeof(where)) != 0 ||
        listen(s->fd, ASKERS_MAX) != 0)
        return err_errno(err, "cannot listen on %s/" NAME, dir);
    return 0;
}

struct status *status_open(struct loop *l, const char *dir,
                           struct json_object *(*describe)(void *arg), void *arg, struct err *err)
{
    struct status *s = xcalloc(1, sizeof(*s));
    *s = (struct status){.loop = l, .dir = -1, .fd = -1, .describe = describe, .arg = arg};
    TAILQ_INIT(&s->askers);
    if (listen_in(s, dir, err) != 0) {
        status_close(s);
        return NULL;
    }
    s->io = loop_io_create(l, s->fd, EPOLLIN, accept_cb, s);
    return s;
}

void status_close(struct status *s)
{
    struct asker *a;
    if (s == NULL)
        return;
    while ((a = TAILQ_FIRST(&s->askers)) != NULL)
        asker_free(a);
    loop_io_destroy(s->io);
    if (s->fd >= 0) {
        close(s->fd);
        (void)unlinkat(s->dir, NAME, 0);
    }
    if (s->dir >= 0)
        close(s->dir);
    free(s);
}
