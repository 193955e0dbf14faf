/* Content-addressed files: <folder>/ab/cdef...  The same bytes are kept once, whoever sent them.
 *
 * A file is there, synced, before the transaction that names it begins.  What no row names (any
 * more) is removed by the sweep, an hour after somebody put it: a put of bytes that are there
 * already makes the file young again. */
#include <dirent.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "service/api/private.h"

#define FILE_SIZE_MAX (64u << 20)
#define NAME_LENGTH 64
#define YOUNG_S 3600
/* What fs_write() calls a file that is not complete; ours for one that is about to go. */
#define TEMPORARY ".tmp-"

struct files {
    char *folder;
};

struct files *files_create(const char *folder, struct err *err)
{
    struct files *f = xcalloc(1, sizeof(*f));
    f->folder = xstrdup(folder);
    if (fs_mkdirs(folder, 0700, err) == 0)
        return f;
    files_destroy(f);
    return NULL;
}

void files_destroy(struct files *f)
{
    if (!f)
        return;
    free(f->folder);
    free(f);
}

static char *path_of(const struct files *f, const char *name)
{
    return xasprintf("%s/%.2s/%s", f->folder, name, name + 2);
}

/* So that the entries outlive a power failure, as the row that names them does. */
static int sync_folder(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : fsync(fd);
    if (rc < 0)
        err_errno(err, "cannot write %s", path);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int put_new(struct files *f, const char *path, const void *p, size_t n, struct err *err)
{
    autofree char *folder = xstrndup(path, strlen(f->folder) + 3);
    bool is_new = access(folder, F_OK) != 0;
    if (fs_mkdirs(folder, 0700, err) < 0 || fs_write(path, p, n, 0600, true, err) < 0 ||
        sync_folder(folder, err) < 0)
        return -1;
    return is_new ? sync_folder(f->folder, err) : 0;
}

int files_put(struct files *f, const void *p, size_t n, char name[65], struct err *err)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(p, n, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(name + 2 * i, 3, "%02x", digest[i]);
    autofree char *path = path_of(f, name);
    if (utimensat(AT_FDCWD, path, NULL, 0) == 0)
        return 0;
    return put_new(f, path, p, n, err);
}

int files_get(struct files *f, const char *name, struct buf *out, struct err *err)
{
    if (strlen(name) != NAME_LENGTH || strspn(name, "0123456789abcdef") != NAME_LENGTH)
        return err_set(err, "%.70s is not the name of a payload", name);
    autofree char *path = path_of(f, name);
    return fs_read(path, FILE_SIZE_MAX, out, err);
}

/* ---- the sweep ---- */

/* 1 a row names it, 0 none, -1. */
static int is_used(struct db *db, const char *name, struct err *err)
{
    struct db_rows *r = db_query(db, err,
                                 "SELECT 1 FROM payloads WHERE file = ? UNION ALL "
                                 "SELECT 1 FROM results WHERE file = ?",
                                 "ss", name, name);
    int rc = r ? db_next(r, err) : -1;
    db_rows_end(r);
    return rc;
}

static bool is_old(int folder, const char *name)
{
    struct stat st;
    return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           st.st_mtime < clock_unix_ns() / 1000000000 - YOUNG_S;
}

/* Out of the way first: whoever puts the same bytes from now on writes them anew, and who did just
 * before has made it young. */
static void remove_unused(int folder, const char *name)
{
    autofree char *away = xasprintf("%s" TEMPORARY "gone", name);
    if (renameat(folder, name, folder, away) < 0)
        return;
    if (is_old(folder, away))
        unlinkat(folder, away, 0);
    else
        renameat(folder, away, folder, name);
}

int files_sweep(struct files *f, unsigned folder, struct db *db, struct err *err)
{
    autofree char *path = xasprintf("%s/%02x", f->folder, folder & 0xff);
    DIR *d = opendir(path);
    struct dirent *e;
    int used = 0;
    while (d && used >= 0 && (e = readdir(d))) {
        if (e->d_name[0] == '.' || !is_old(dirfd(d), e->d_name))
            continue;
        if (strstr(e->d_name, TEMPORARY)) {
            unlinkat(dirfd(d), e->d_name, 0);
        } else {
            autofree char *name = xasprintf("%02x%s", folder & 0xff, e->d_name);
            used = is_used(db, name, err);
            if (used == 0)
                remove_unused(dirfd(d), e->d_name);
        }
    }
    if (d)
        closedir(d);
    return used < 0 ? -1 : 0;
}
