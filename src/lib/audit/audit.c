/* See audit.h. */
#include "lib/audit/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/audit/chain.h"
#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"

struct audit {
    char *path;
    int fd;
    bool chain;
    bool first; /* the next line is the file's first chained one */
    char last[AUDIT_HASH_TEXT];
};

static int open_file(struct audit *a, struct err *err)
{
    struct stat st;
    int fd = open(a->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    if (fd < 0)
        return err_errno(err, "cannot open the audit log %s", a->path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(err, "the audit log %s is not a regular file", a->path);
    }
    if (a->fd >= 0)
        close(a->fd);
    a->fd = fd;
    return 0;
}

/* The chain goes on from the last line of the file; a file without one begins it anew, or goes on
 * from what we know of the file before. */
static int find_last(struct audit *a, struct err *err)
{
    char tail[AUDIT_MESSAGE_MAX + 1024];
    struct stat st;
    a->first = true;
    if (!a->chain)
        return 0;
    if (fstat(a->fd, &st) < 0)
        return err_errno(err, "cannot read the audit log %s", a->path);
    size_t want = st.st_size < (off_t)sizeof(tail) - 1 ? (size_t)st.st_size : sizeof(tail) - 1;
    ssize_t n = pread(a->fd, tail, want, st.st_size - (off_t)want);
    if (n < 0)
        return err_errno(err, "cannot read the audit log %s", a->path);
    tail[n] = '\0';
    a->first = !chain_of_last_line(tail, (size_t)n, a->last);
    return 0;
}

struct audit *audit_open(const char *path, bool chain, struct err *err)
{
    struct audit *a = xcalloc(1, sizeof(*a));
    *a = (struct audit){.path = xstrdup(path), .fd = -1, .chain = chain};
    memset(a->last, '0', AUDIT_HASH_TEXT - 1);
    if (open_file(a, err) == 0 && find_last(a, err) == 0)
        return a;
    audit_close(a);
    return NULL;
}

void audit_close(struct audit *a)
{
    if (!a)
        return;
    if (a->fd >= 0)
        close(a->fd);
    free(a->path);
    free(a);
}

int audit_reopen(struct audit *a, struct err *err)
{
    return open_file(a, err) < 0 ? -1 : find_last(a, err);
}

/* The line without its end; takes the chain forward only when it is on the disk. */
static int write_line(struct audit *a, struct buf *line, struct err *err)
{
    struct stat st;
    char hash[AUDIT_HASH_TEXT];
    if (a->chain) {
        if (a->first)
            buf_fmt(line, CHAIN_PREV "%s", a->last);
        chain_hash(a->last, line->data, line->len, hash);
        buf_fmt(line, CHAIN_MARK "%s", hash);
    }
    buf_char(line, '\n');
    if (fstat(a->fd, &st) < 0)
        return err_errno(err, "Failed to write audit log message: %s", a->path);
    if (fs_write_all(a->fd, line->data, line->len) < 0) {
        err_errno(err, "Failed to write audit log message: %s", a->path);
        if (ftruncate(a->fd, st.st_size) < 0)
            err_prefix(err, "half a line stays in the file");
        return -1;
    }
    if (a->chain) {
        memcpy(a->last, hash, sizeof(a->last));
        a->first = false;
    }
    return 0;
}

static void begin_line(struct buf *line, uid_t uid, pid_t pid)
{
    char now[40];
    clock_iso_local(clock_unix_ns(), now, sizeof(now));
    buf_fmt(line, "%s uid=%u pid=%d ", now, (unsigned)uid, (int)pid);
}

int audit_session(struct audit *a, enum audit_style style, bool begin, const char *endpoint_id,
                  struct err *err)
{
    autobuf struct buf line = BUF_INIT;
    begin_line(&line, getuid(), getpid());
    buf_fmt(&line, "eid=%s %s %s session %s", endpoint_id, begin ? "Begin" : "End",
            style == AUDIT_MEP ? "MEP" : "CEP", begin ? "=====" : "-----");
    return write_line(a, &line, err);
}

int audit_message(struct audit *a, uid_t uid, pid_t pid, const char *uep_id, const void *p,
                  size_t n, struct err *err)
{
    autobuf struct buf line = BUF_INIT;
    const unsigned char *text = p;
    begin_line(&line, uid, pid);
    buf_fmt(&line, "uep=%s ", uep_id);
    for (size_t i = 0; i < n && i < AUDIT_MESSAGE_MAX; i++) {
        if (text[i] == '\r' || text[i] == '\0')
            continue;
        bool is_control = text[i] < 0x20 || text[i] == 0x7f;
        buf_char(&line, text[i] == '\n'                 ? ' '
                        : is_control && text[i] != '\t' ? '?'
                                                        : (char)text[i]);
    }
    return write_line(a, &line, err);
}

bool audit_has_room(const struct audit *a)
{
    struct statvfs fs;
    /* A file system that can't tell is tried. */
    if (fstatvfs(a->fd, &fs) < 0 || fs.f_blocks == 0)
        return true;
    uint64_t room = geteuid() == 0 ? fs.f_bfree : fs.f_bavail;
    return room * fs.f_frsize >= AUDIT_ROOM;
}

const char *audit_last_hash(const struct audit *a)
{
    return a->chain ? a->last : "";
}
