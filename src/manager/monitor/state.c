/* See state.h.  Adoption itself is in adopt.c. */
#include "manager/monitor/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/proc.h"
#include "manager/monitor/adopt.h"
#include "manager/monitor/state_line.h"

#define FILE_MAX (64u << 20)
#define REWRITE_AT (1u << 20)

struct state {
    struct monitor *m;
    char *path;
    int fd;
    size_t size;
};

static void format(struct buf *b, const struct child *c)
{
    struct state_line l = {
        .pid = c->pid,
        .start_time = c->start_time,
        .uid = c->uid,
        .gid = c->gid,
        .dev = c->mem_dev,
        .ino = c->mem_ino,
        .user = c->user,
        .name = c->name,
        .key = c->key,
        .id = c->id,
        .command = c->command,
    };
    state_line_write(b, &l);
}

/* The whole file anew, under another name first. */
static int rewrite(struct state *s, struct err *err)
{
    autobuf struct buf b = BUF_INIT;
    char boot[PROC_BOOT_ID];
    const struct child *c;
    proc_boot_id(boot);
    buf_fmt(&b, "boot\t%s\n", boot);
    LIST_FOREACH(c, &s->m->children->list, link)
    {
        if (c->state != CHILD_LOOKUP)
            format(&b, c);
    }
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    int rc = fs_write(s->path, b.data, b.len, 0600, false, err);
    explicit_bzero(b.data, b.len);
    if (rc < 0)
        return -1;
    s->fd = open(s->path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (s->fd < 0)
        return err_errno(err, "cannot open %s", s->path);
    s->size = b.len;
    return 0;
}

static void append(struct state *s, const struct buf *line)
{
    static struct log_rate rate = LOG_RATE(3, 60);
    struct err err = ERR_INIT;
    if (s->fd < 0 || s->size > REWRITE_AT) {
        if (rewrite(s, &err) < 0 && log_rate_ok(&rate))
            log_warning("%s: the next manager could not adopt all user endpoints", err.text);
        return; /* the whole table is in it now */
    }
    if (fs_write_all(s->fd, line->data, line->len) == 0) {
        s->size += line->len;
        return;
    }
    if (log_rate_ok(&rate))
        log_warning("%s can't be written: %m: the next manager could not adopt all user endpoints",
                    s->path);
    close(s->fd); /* perhaps half a line: begin anew next time */
    s->fd = -1;
}

void state_add(struct state *s, const struct child *c)
{
    autobuf struct buf b = BUF_INIT;
    if (!s)
        return;
    format(&b, c);
    append(s, &b);
    explicit_bzero(b.data, b.len);
}

static void adopt_all(struct state *s)
{
    autobuf struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    char boot[PROC_BOOT_ID], expected[96];
    if (fs_read(s->path, FILE_MAX, &text, &err) < 0) {
        if (err.code != ENOENT)
            log_warning("%s: no user endpoint of a former manager is adopted", err.text);
        return;
    }
    proc_boot_id(boot);
    int n = snprintf(expected, sizeof(expected), "boot\t%s\n", boot);
    /* Written before the host was started again, or by a manager on another host: all are gone
     * from here. */
    if (text.len >= (size_t)n && memcmp(text.data, expected, (size_t)n) == 0)
        adopt_lines(s->m, text.data + n);
    explicit_bzero(text.data, text.len);
}

struct state *state_open(struct monitor *m, struct err *err)
{
    struct state *s = xcalloc(1, sizeof(*s));
    *s = (struct state){.m = m, .path = xasprintf("%s/children.state", m->dir), .fd = -1};
    adopt_all(s);
    if (rewrite(s, err) == 0)
        return s;
    state_close(s);
    return NULL;
}

void state_close(struct state *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    if (s->m->children->count == 0)
        unlink(s->path);
    free(s->path);
    free(s);
}
