/* See relay.h.  A message is a line and those after it that begin with a blank.  "<N>" in front (a
 * syslog priority) gives its level, and that of the lines without it in the same read. */
#include "manager/monitor/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "manager/monitor/clean.h"

#define MESSAGE_MAX 8192
#define FINISH_READS 32

struct relay {
    struct loop_io *io;
    int fd;
    char *prefix;
    struct buf line;    /* the last line, still without its end */
    struct buf message; /* whole lines so far */
    enum log_level level;
    bool has_message;
    struct log_rate rate;
};

static void flush(struct relay *r)
{
    if (!r->has_message)
        return;
    buf_str(&r->message, "");
    if (r->message.len && log_rate_ok(&r->rate)) {
        clean_text(r->message.data, r->message.len + 1, true);
        log_write(r->level, "relay", 0, "relay", "%s%s", r->prefix, r->message.data);
    }
    buf_clear(&r->message);
    r->has_message = false;
}

static enum log_level level_of(char digit)
{
    return digit >= '7'   ? LOG_L_DEBUG
           : digit >= '5' ? LOG_L_INFO
           : digit == '4' ? LOG_L_WARNING
           : digit == '3' ? LOG_L_ERROR
                          : LOG_L_CRITICAL;
}

static void take_line(struct relay *r)
{
    const char *p = r->line.data;
    size_t n = r->line.len;
    bool has_level = n >= 3 && p[0] == '<' && p[1] >= '0' && p[1] <= '7' && p[2] == '>';
    bool goes_on = r->has_message && n > 0 && (p[0] == ' ' || p[0] == '\t');
    if (goes_on && r->message.len < MESSAGE_MAX)
        buf_char(&r->message, '\n');
    if (!goes_on)
        flush(r);
    if (has_level) {
        r->level = level_of(p[1]);
        p += 3;
        n -= 3;
    }
    r->has_message = true;
    if (r->message.len + n > MESSAGE_MAX)
        n = r->message.len < MESSAGE_MAX ? MESSAGE_MAX - r->message.len : 0;
    if (n)
        buf_add(&r->message, p, n);
    buf_clear(&r->line);
}

static void take(struct relay *r, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\n')
            take_line(r);
        else if (r->line.len < MESSAGE_MAX && p[i] != '\0')
            buf_char(&r->line, p[i]);
    }
    if (r->line.len == 0) {
        flush(r);
        r->level = LOG_L_INFO;
    }
}

/* False at the end of the pipe. */
static bool pull(struct relay *r)
{
    char chunk[16384];
    ssize_t n = read(r->fd, chunk, sizeof(chunk));
    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    take(r, chunk, (size_t)n);
    return n > 0;
}

static void read_cb(void *arg, int fd, uint32_t revents)
{
    struct relay *r = arg;
    if (pull(r))
        return;
    /* Nobody writes any more; the owner will call relay_finish(). */
    loop_io_destroy(r->io);
    r->io = NULL;
}

int relay_pipe(int fds[2])
{
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0)
        return 0;
    int saved = errno;
    close(fds[0]);
    close(fds[1]);
    errno = saved;
    return -1;
}

struct relay *relay_create(struct loop *l, int fd, const char *prefix, unsigned lines_per_10s)
{
    struct relay *r = xcalloc(1, sizeof(*r));
    *r = (struct relay){.fd = fd,
                        .level = LOG_L_INFO,
                        .prefix = xstrdup(prefix),
                        .rate = LOG_RATE(lines_per_10s, 10)};
    r->io = loop_io_create(l, fd, EPOLLIN, read_cb, r);
    return r;
}

void relay_finish(struct relay *r)
{
    if (!r)
        return;
    /* Bounded: a writer that is still there could go on for ever. */
    for (int i = 0; r->io && i < FINISH_READS; i++) {
        char chunk[16384];
        ssize_t n = read(r->fd, chunk, sizeof(chunk));
        if (n <= 0)
            break;
        take(r, chunk, (size_t)n);
    }
    if (r->line.len)
        take_line(r);
    flush(r);
    loop_io_destroy(r->io);
    close(r->fd);
    free(r->prefix);
    buf_free(&r->line);
    buf_free(&r->message);
    free(r);
}
