/* One write() a line, so that lines of several processes in one file do not mix.  Thread-safe. */
#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"

#define ROTATE_AT (100 * 1024 * 1024)

static struct {
    pthread_mutex_t lock;
    char proc[64];
    enum log_level level;
    int fd;
    char *path;
    bool console, colour, journal;
} g = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_L_INFO, .fd = -1};

static const char *const level_name[] = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"};

void log_init(const char *proc, enum log_level level)
{
    snprintf(g.proc, sizeof(g.proc), "%s", proc);
    g.level = level;
}

void log_level_set(enum log_level level)
{
    g.level = level;
}

bool log_is_debug(void)
{
    return g.level == LOG_L_DEBUG;
}

void log_file(int fd, const char *path)
{
    pthread_mutex_lock(&g.lock);
    g.fd = fd;
    free(g.path);
    g.path = xstrdup(path);
    pthread_mutex_unlock(&g.lock);
}

/* With the lock held. */
static int open_anew(void)
{
    int fd = open(g.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0)
        return -1;
    /* The number stays, so that children who share it and callers who know it go on. */
    int rc = dup3(fd, g.fd, O_CLOEXEC);
    close(fd);
    return rc < 0 ? -1 : 0;
}

int log_reopen(void)
{
    pthread_mutex_lock(&g.lock);
    int rc = g.path && g.fd >= 0 ? open_anew() : 0;
    pthread_mutex_unlock(&g.lock);
    return rc;
}

static void rotate_if_due(void)
{
    struct stat st;
    if (!g.path || fstat(g.fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < ROTATE_AT)
        return;
    char old[4096];
    snprintf(old, sizeof(old), "%s.1", g.path);
    if (rename(g.path, old) == 0)
        (void)open_anew();
}

void log_console(bool on, bool colour)
{
    g.console = on;
    g.colour = colour;
}

void log_journal(bool on)
{
    g.journal = on;
}

char *log_mask(const char *s)
{
    struct buf b = BUF_INIT;
    for (;;) {
        const char *scheme = strstr(s, "://");
        if (!scheme)
            break;
        scheme += 3;
        size_t authority = strcspn(scheme, "/ \t\n\"'?");
        const char *at = memrchr(scheme, '@', authority);
        buf_add(&b, s, (size_t)(scheme - s));
        if (at && memchr(scheme, ':', (size_t)(at - scheme)))
            buf_str(&b, "***:***");
        else if (at)
            buf_add(&b, scheme, (size_t)(at - scheme));
        else
            at = scheme;
        s = at;
    }
    buf_str(&b, s);
    return buf_take(&b);
}

static const char *base_name(const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash ? slash + 1 : file;
}

static void prefix(struct buf *b, enum log_level level, const char *file, int line,
                   const char *func)
{
    int64_t now = clock_unix_ns();
    time_t s = (time_t)(now / 1000000000);
    struct tm tm;
    localtime_r(&s, &tm);
    char day[32];
    strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", &tm);
    const char *name = base_name(file);
    pid_t pid = getpid();
    long tid = syscall(SYS_gettid);
    buf_fmt(b, "%s,%06d %s %s-%d %s-%ld %.*s:%d %s ", day, (int)(now % 1000000000 / 1000),
            level_name[level], g.proc, pid, tid == pid ? "MainThread" : "Thread", tid,
            (int)strcspn(name, "."), name, line, func);
}

static void to_console(enum log_level level, const struct buf *full, const char *message)
{
    struct buf out = BUF_INIT;
    static const int priority[] = {7, 6, 4, 3, 2};
    if (g.journal)
        buf_fmt(&out, "<%d>%s\n", priority[level], message);
    else if (level == LOG_L_INFO && !log_is_debug())
        buf_fmt(&out, "> %s\n", message);
    else if (g.colour)
        buf_fmt(&out, "%s%s\033[0m\n",
                level >= LOG_L_ERROR     ? "\033[31m"
                : level == LOG_L_WARNING ? "\033[33m"
                : level == LOG_L_DEBUG   ? "\033[2m"
                                         : "",
                full->data);
    else
        buf_fmt(&out, "%s\n", full->data);
    (void)fs_write_all(STDERR_FILENO, out.data, out.len);
    buf_free(&out);
}

void log_write(enum log_level level, const char *file, int line, const char *func, const char *fmt,
               ...)
{
    if (level < g.level || (g.fd < 0 && !g.console))
        return;
    int saved = errno;
    struct buf raw = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    errno = saved; /* for %m */
    buf_vfmt(&raw, fmt, ap);
    va_end(ap);
    autofree char *message =
        raw.data && strstr(raw.data, "://") ? log_mask(raw.data) : buf_take(&raw);
    buf_free(&raw);
    struct buf b = BUF_INIT;
    prefix(&b, level, file, line, func);
    buf_str(&b, message);
    pthread_mutex_lock(&g.lock);
    if (g.console)
        to_console(level, &b, message);
    if (g.fd >= 0) {
        rotate_if_due();
        buf_char(&b, '\n');
        (void)fs_write_all(g.fd, b.data, b.len);
    }
    pthread_mutex_unlock(&g.lock);
    buf_free(&b);
    errno = saved;
}

bool log_rate_ok(struct log_rate *rate)
{
    uint64_t now = clock_mono_us();
    if (now - rate->window_us > (uint64_t)rate->period_s * 1000000 || rate->window_us == 0) {
        unsigned dropped = rate->dropped;
        rate->window_us = now;
        rate->used = rate->dropped = 0;
        if (dropped)
            log_warning("(%u similar lines were left out)", dropped);
    }
    if (rate->used < rate->burst) {
        rate->used++;
        return true;
    }
    rate->dropped++;
    return false;
}
