/* See watch.h.  What inotify says only makes us look; what counts is whether the file is another
 * one or has other times or size.  Editors write in several steps, so we look after a moment; that
 * it is away for a moment is usual as well. */
#include "manager/monitor/watch.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"

#define LOOK_EVERY LOOP_S(5)
#define SETTLE LOOP_MS(100)

struct watch {
    struct loop *loop;
    char *path;
    int fd; /* inotify; -1 = not available */
    struct loop_io *io;
    struct loop_timer *timer;
    struct stat last;
    uint64_t missing_us; /* when it was missed, or that was last said; 0 = it is there */
    loop_f *cb;
    void *arg;
};

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* The rules stay as they are; it is said again and again, so that somebody sees it. */
static void missing(struct watch *w, int why)
{
    uint64_t now = loop_now_us(w->loop);
    if (w->missing_us && now - w->missing_us < LOOK_EVERY)
        return;
    if (w->missing_us)
        log_error("Unable to update identity configuration -- (%s) [Errno %d] %s: '%s'\n  "
                  "Identity configuration path: %s",
                  why == ENOENT ? "FileNotFoundError" : "OSError", why, strerror(why), w->path,
                  w->path);
    w->missing_us = now;
}

static void look_cb(void *arg)
{
    struct watch *w = arg;
    struct stat now;
    int why = stat(w->path, &now) == 0 ? 0 : errno;
    loop_timer_set(w->timer, LOOK_EVERY, LOOP_S(1));
    if (why) {
        missing(w, why);
        return;
    }
    w->missing_us = 0;
    if (is_same(&now, &w->last))
        return;
    w->last = now;
    w->cb(w->arg);
}

static void inotify_cb(void *arg, int fd, uint32_t revents)
{
    struct watch *w = arg;
    char events[4096] __attribute__((aligned(8)));
    if (read(fd, events, sizeof(events)) <= 0)
        return;
    loop_timer_set(w->timer, SETTLE, LOOP_MS(10));
}

static void watch_folder(struct watch *w)
{
    autofree char *copy = xstrdup(w->path);
    const uint32_t mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ATTRIB;
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0 || inotify_add_watch(w->fd, dirname(copy), mask) < 0) {
        log_debug("inotify: %s: %m; looking every few seconds", w->path);
        return;
    }
    w->io = loop_io_create(w->loop, w->fd, EPOLLIN, inotify_cb, w);
}

struct watch *watch_create(struct loop *l, const char *path, loop_f *changed_cb, void *arg)
{
    struct watch *w = xcalloc(1, sizeof(*w));
    *w = (struct watch){.loop = l, .path = xstrdup(path), .fd = -1, .cb = changed_cb, .arg = arg};
    w->timer = loop_timer_create(l, look_cb, w);
    if (stat(path, &w->last) < 0)
        memset(&w->last, 0, sizeof(w->last));
    watch_folder(w);
    loop_timer_set(w->timer, LOOK_EVERY, LOOP_S(1));
    return w;
}

void watch_destroy(struct watch *w)
{
    if (!w)
        return;
    loop_io_destroy(w->io);
    loop_timer_destroy(w->timer);
    if (w->fd >= 0)
        close(w->fd);
    free(w->path);
    free(w);
}
