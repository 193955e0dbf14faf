/* See pidfile.h. */
#include "lib/base/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"

#define TOUCH_EVERY LOOP_S(15)
#define LOCK_TURNS 25 /* half a second */

/* The PID file holds the PID alone, as the original's does.  What ours adds lives beside it: a file
 * that names the host and is locked for life.  Unlocked and naming this host, it says that the
 * instance died here, whatever the PID file's age.
 *
 * The lock is the process's own (fcntl), not the open file's (flock): a child that the owner had
 * just forked when it died does not hold it.  Therefore, too, an owner never opens its lock file a
 * second time: closing that would give the lock up. */
struct pidfile {
    char *path;
    char *lock_path;
    int fd;
    int lock_fd;
    struct stat mine;
    struct loop_timer *timer;
    int notify_fd; /* inotify, or -1 */
    struct loop_io *notice;
    loop_f *removed_cb;
    void *arg;
};

static char *lock_path_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash + 1 - path) : 0;
    return xasprintf("%.*s.%s.lock", folder, path, path + folder);
}

static void when(time_t t, char *out, size_t n)
{
    struct tm tm;
    localtime_r(&t, &tm);
    strftime(out, n, "%Y-%m-%d %H:%M:%S", &tm);
}

static size_t read_text(int fd, char *out, size_t size)
{
    ssize_t n = pread(fd, out, size - 1, 0);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return strlen(out);
}

enum lock_state { LOCK_UNKNOWN, LOCK_HELD, LOCK_DIED_HERE };

static enum lock_state lock_look(const char *lock_path)
{
    autoclose int fd = open(lock_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return LOCK_UNKNOWN;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_GETLK, &lock) != 0)
        return LOCK_UNKNOWN;
    if (lock.l_type != F_UNLCK)
        return LOCK_HELD;
    char host[256] = "", owner[256];
    gethostname(host, sizeof(host) - 1);
    return read_text(fd, owner, sizeof(owner)) && strcmp(host, owner) == 0 ? LOCK_DIED_HERE
                                                                           : LOCK_UNKNOWN;
}

static int taken(const char *path, const struct stat *st, const char *content, struct err *err)
{
    char modified[32], now[32];
    when(st->st_mtime, modified, sizeof(modified));
    when(time(NULL), now, sizeof(now));
    err_set(err,
            "\n  PID path: %s\n  Last modified: %s\n  Current time: %s\n  PID file content: %s\n"
            "Another instance of this endpoint is running.  (Perhaps on another login node?)  "
            "Refusing to start.  If this is not correct, then remove the PID file before starting "
            "again.",
            path, modified, now, content);
    return 1;
}

int pidfile_check(const char *path, unsigned fresh_s, struct err *err)
{
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(err, "cannot open PID file %s", path);
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_errno(err, "cannot read PID file %s", path);
    char content[32];
    read_text(fd, content, sizeof(content));
    autofree char *lock_path = lock_path_of(path);
    enum lock_state lock = lock_look(lock_path);
    /* time() may lag a moment behind the file's clock, so an age below 0 is possible. */
    bool fresh = fresh_s > 0 && time(NULL) - st.st_mtime < (time_t)fresh_s;
    if (lock == LOCK_HELD || (lock == LOCK_UNKNOWN && fresh))
        return taken(path, &st, content, err);
    return 0;
}

static bool is_same_file(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

/* Never empty in between: an empty file says nothing, and we may be killed at any moment. */
static void name_host(int fd)
{
    char host[256] = "";
    gethostname(host, sizeof(host) - 1);
    if (pwrite(fd, host, strlen(host), 0) == (ssize_t)strlen(host))
        (void)!ftruncate(fd, (off_t)strlen(host));
}

/* 0, or 1 when another instance has it; one that is leaving has it for a moment only.  A file
 * system without locks leaves the age rule alone: not an error. */
static int lock_take(struct pidfile *p)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    for (int turn = 0; turn < LOCK_TURNS; turn++) {
        int fd = open(p->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return 0;
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fcntl(fd, F_SETLK, &lock) == 0) {
            if (is_same_file(fd, p->lock_path)) {
                name_host(fd);
                p->lock_fd = fd;
                return 0;
            }
        } else if (errno != EAGAIN && errno != EACCES) {
            p->lock_fd = fd;
            return 0;
        }
        close(fd);
        nanosleep(&pause, NULL);
    }
    return 1;
}

static int create(struct pidfile *p, mode_t mode, struct err *err)
{
    if (unlink(p->path) == 0)
        log_warning("Previous endpoint instance failed to shutdown cleanly.  Removing PID file.");
    p->fd = open(p->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (p->fd < 0)
        return err_errno(err, "cannot create PID file %s", p->path);
    if (dprintf(p->fd, "%d\n", (int)getpid()) < 0 || fstat(p->fd, &p->mine) != 0)
        return err_errno(err, "cannot write PID file %s", p->path);
    return 0;
}

/* The lock comes first: whatever moment we are killed at, a PID file has a lock file beside it that
 * says where its owner died. */
struct pidfile *pidfile_take(const char *path, unsigned fresh_s, mode_t mode, struct err *err)
{
    if (pidfile_check(path, fresh_s, err) != 0)
        return NULL;
    struct pidfile *p = xcalloc(1, sizeof(*p));
    *p = (struct pidfile){.path = xstrdup(path),
                          .lock_path = lock_path_of(path),
                          .fd = -1,
                          .lock_fd = -1,
                          .notify_fd = -1};
    if (lock_take(p) == 1)
        err_set(err, "%s: another instance of this endpoint is just starting", path);
    else if (create(p, mode, err) == 0)
        return p;
    pidfile_release(p);
    return NULL;
}

static bool still_ours(const struct pidfile *p)
{
    struct stat st;
    return lstat(p->path, &st) == 0 && st.st_ino == p->mine.st_ino && st.st_dev == p->mine.st_dev;
}

static void removed(struct pidfile *p)
{
    loop_f *cb = p->removed_cb;
    if (!cb)
        return;
    p->removed_cb = NULL; /* once is enough */
    log_warning("PID file removed by another process; initiating shutdown");
    cb(p->arg);
}

static void touch_cb(void *arg)
{
    struct pidfile *p = arg;
    if (!still_ours(p)) {
        removed(p);
        return;
    }
    (void)futimens(p->fd, NULL);
    loop_timer_set(p->timer, TOUCH_EVERY, LOOP_S(1));
}

void pidfile_watch(struct pidfile *p, struct loop *l, loop_f *removed_cb, void *arg)
{
    p->removed_cb = removed_cb;
    p->arg = arg;
    p->timer = loop_timer_create(l, touch_cb, p);
    loop_timer_set(p->timer, TOUCH_EVERY, LOOP_S(1));
}

void pidfile_touch(struct pidfile *p)
{
    if (still_ours(p))
        (void)futimens(p->fd, NULL);
    else if (p->removed_cb)
        removed(p);
}

/* Our own touches are noticed as well; still_ours() tells the difference. */
static void noticed_cb(void *arg, int fd, uint32_t revents)
{
    struct pidfile *p = arg;
    char events[4096];
    if (read(fd, events, sizeof(events)) > 0 && !still_ours(p))
        removed(p);
}

void pidfile_watch_quietly(struct pidfile *p, struct loop *l, loop_f *removed_cb, void *arg)
{
    p->removed_cb = removed_cb;
    p->arg = arg;
    p->notify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (p->notify_fd < 0 ||
        inotify_add_watch(p->notify_fd, p->path, IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF) < 0) {
        pidfile_watch(p, l, removed_cb, arg); /* out of watches: by the timer then */
        return;
    }
    p->notice = loop_io_create(l, p->notify_fd, EPOLLIN, noticed_cb, p);
}

void pidfile_release(struct pidfile *p)
{
    if (!p)
        return;
    loop_io_destroy(p->notice);
    if (p->notify_fd >= 0)
        close(p->notify_fd);
    if (p->timer)
        loop_timer_destroy(p->timer);
    if (p->mine.st_ino && still_ours(p))
        unlink(p->path);
    if (p->fd >= 0)
        close(p->fd);
    if (p->lock_fd >= 0) {
        unlink(p->lock_path);
        close(p->lock_fd);
    }
    free(p->path);
    free(p->lock_path);
    free(p);
}
