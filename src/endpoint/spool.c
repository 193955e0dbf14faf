#include "endpoint/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"

#define RECORD_MAX (256u << 20) /* what older files may hold; ours are smaller */
#define FILES_MAX 1000000
#define EMPTY_AT_ONCE (8 << 20) /* bytes of a spool that nobody wants any more */

static const char mark[8] = "SPresult";

struct record {
    char mark[8];
    char id[40]; /* NUL-padded */
    uint64_t len;
};

struct spool {
    char *dir;
    int fd;
    off_t end;
    size_t wanted; /* records in the spool that are not dropped */
};

static char *file_of(const struct spool *s, const char *id)
{
    return xasprintf("%s/%s", s->dir, id);
}

/* The way of the original to find out at once whether results could be kept. */
static int probe(const struct spool *s, struct err *err)
{
    autofree char *path = file_of(s, ".test-reading-and-writing.txt");
    autobuf struct buf back = BUF_INIT;
    if (fs_write(path, "test", 4, 0600, false, err) != 0)
        return -1;
    int rc = fs_read(path, 16, &back, err);
    unlink(path);
    return rc;
}

/* ---- what earlier lives left ----------------------------------------------------------------- */

static int recover(struct spool *s, struct err *err)
{
    struct record r;
    off_t at = 0;
    size_t n = 0;
    while (pread(s->fd, &r, sizeof(r), at) == (ssize_t)sizeof(r)) {
        char id[UUID_TEXT];
        if (memcmp(r.mark, mark, sizeof(mark)) != 0 || r.len > RECORD_MAX ||
            memchr(r.id, '\0', sizeof(r.id)) == NULL || !uuid_parse(r.id, id))
            break; /* cut off by the end of the process: its task comes again */
        autofree char *body = xmalloc((size_t)r.len + 1);
        if (pread(s->fd, body, (size_t)r.len, at + (off_t)sizeof(r)) != (ssize_t)r.len)
            break;
        if (spool_add_file(s, id, body, (size_t)r.len, true, err) != 0)
            return -1;
        at += (off_t)(sizeof(r) + r.len);
        n++;
    }
    if (n > 0)
        log_info("%zu results of an earlier run are sent now", n);
    if (ftruncate(s->fd, 0) != 0)
        return err_errno(err, "cannot empty %s/.spool", s->dir);
    return 0;
}

static void list(const struct spool *s, spool_found_f *found, void *arg)
{
    DIR *d = opendir(s->dir);
    struct dirent *e;
    for (int n = 0; d != NULL && n < FILES_MAX && (e = readdir(d)) != NULL; n++) {
        autofree char *path = file_of(s, e->d_name);
        struct stat st;
        if (e->d_name[0] == '.' || lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        if (strstr(e->d_name, ".tmp-") != NULL) { /* half written when its process was killed */
            unlink(path);
            continue;
        }
        found(arg, e->d_name, (struct spool_place){0, 0});
    }
    if (d != NULL)
        closedir(d);
}

struct spool *spool_open(const char *dir, spool_found_f *found, void *arg, struct err *err)
{
    struct spool *s = xcalloc(1, sizeof(*s));
    *s = (struct spool){.dir = xstrdup(dir), .fd = -1};
    autofree char *path = file_of(s, ".spool");
    if (fs_mkdirs(dir, 0700, err) != 0 || probe(s, err) != 0)
        goto fail;
    s->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->fd < 0) {
        err_errno(err, "cannot open %s", path);
        goto fail;
    }
    if (recover(s, err) != 0)
        goto fail;
    list(s, found, arg);
    return s;
fail:
    spool_close(s);
    return NULL;
}

void spool_close(struct spool *s)
{
    if (s == NULL)
        return;
    if (s->fd >= 0)
        close(s->fd);
    free(s->dir);
    free(s);
}

/* ---- now ------------------------------------------------------------------------------------- */

int spool_add(struct spool *s, const char *id, const void *body, size_t n, bool sync,
              struct spool_place *place, struct err *err)
{
    struct record r = {.len = n};
    struct iovec v[2] = {{&r, sizeof(r)}, {(void *)body, n}};
    memcpy(r.mark, mark, sizeof(mark));
    strncpy(r.id, id, sizeof(r.id) - 1);
    ssize_t done = pwritev(s->fd, v, 2, s->end);
    if (done != (ssize_t)(sizeof(r) + n)) {
        if (done >= 0)
            errno = ENOSPC;
        err_errno(err, "cannot write the result of task %s to %s/.spool", id, s->dir);
        (void)!ftruncate(s->fd, s->end);
        return -1;
    }
    if (sync && fdatasync(s->fd) != 0)
        return err_errno(err, "cannot sync %s/.spool", s->dir);
    *place = (struct spool_place){s->end + (off_t)sizeof(r), n};
    s->end += done;
    s->wanted++;
    return 0;
}

int spool_add_file(struct spool *s, const char *id, const void *body, size_t n, bool sync,
                   struct err *err)
{
    autofree char *path = file_of(s, id);
    return fs_write(path, body, n, 0600, sync, err);
}

int spool_get(struct spool *s, const char *id, struct spool_place place, struct buf *out,
              struct err *err)
{
    if (place.len == 0) {
        autofree char *path = file_of(s, id);
        return fs_read(path, RECORD_MAX, out, err);
    }
    if (pread(s->fd, buf_room(out, place.len), place.len, place.at) != (ssize_t)place.len)
        return err_errno(err, "cannot read the result of task %s back", id);
    buf_grew(out, place.len);
    return 0;
}

void spool_tidy(struct spool *s)
{
    if (s->wanted == 0 && s->end > 0 && ftruncate(s->fd, 0) == 0)
        s->end = 0;
}

void spool_drop(struct spool *s, const char *id, struct spool_place place)
{
    if (place.len == 0) {
        autofree char *path = file_of(s, id);
        if (unlink(path) != 0 && errno != ENOENT)
            log_warning("cannot remove %s: %s", path, strerror(errno));
        return;
    }
    if (--s->wanted == 0 && s->end > EMPTY_AT_ONCE)
        spool_tidy(s);
}
