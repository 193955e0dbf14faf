/* See fs.h. */
#include "lib/base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"

int fs_read_fd(int fd, size_t max, const char *what, struct buf *b, struct err *err)
{
    size_t had = b->len;
    for (;;) {
        char *room = buf_room(b, 65536);
        ssize_t n = read(fd, room, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, "cannot read %s", what);
        buf_grew(b, (size_t)n);
        if (b->len - had > max)
            return err_code(err, EFBIG, "%s is larger than %zu bytes", what, max);
        if (n == 0)
            return 0;
    }
}

int fs_read(const char *path, size_t max, struct buf *b, struct err *err)
{
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return err_errno(err, "cannot open %s", path);
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        return err_code(err, EISDIR, "%s is a directory, not a file", path);
    return fs_read_fd(fd, max, path, b, err);
}

int fs_write_all(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n) {
        ssize_t w = write(fd, at, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return -1;
        at += w;
        n -= (size_t)w;
    }
    return 0;
}

int fs_write(const char *path, const void *p, size_t n, mode_t mode, bool sync, struct err *err)
{
    autofree char *tmp = xasprintf("%s.tmp-%06x", path, (unsigned)random_between(0, 0xffffff));
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return err_errno(err, "cannot create %s", tmp);
    int rc = fs_write_all(fd, p, n);
    if (rc == 0)
        rc = fchmod(fd, mode); /* whatever the umask */
    if (rc == 0 && sync)
        rc = fdatasync(fd);
    if (close(fd) != 0)
        rc = -1;
    if (rc == 0)
        rc = rename(tmp, path);
    if (rc != 0) {
        err_errno(err, "cannot write %s", path);
        unlink(tmp);
    }
    return rc;
}

int fs_mkdirs(const char *path, mode_t mode, struct err *err)
{
    autofree char *p = xstrdup(path);
    for (char *slash = p + 1;; slash++) {
        slash = strchr(slash, '/');
        if (slash)
            *slash = '\0';
        if (mkdir(p, mode) != 0 && errno != EEXIST) {
            struct stat st;
            /* On read-only or autofs parents mkdir may fail otherwise for what is there. */
            int saved = errno;
            if (stat(p, &st) != 0 || !S_ISDIR(st.st_mode)) {
                errno = saved;
                return err_errno(err, "cannot create directory %s", p);
            }
        }
        if (!slash)
            break;
        *slash = '/';
    }
    struct stat st;
    if (stat(path, &st) != 0)
        return err_errno(err, "cannot create directory %s", path);
    if (!S_ISDIR(st.st_mode))
        return err_code(err, ENOTDIR,
                        "Error creating directory %s, please remove or rename the conflicting file",
                        path);
    return 0;
}

static int remove_at(int at, const char *name, const char *path, struct err *err)
{
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return err_errno(err, "cannot remove %s", path);
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "cannot remove %s", path);
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return err_errno(err, "cannot read %s", path);
    }
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        autofree char *sub = xasprintf("%s/%s", path, e->d_name);
        rc = remove_at(dirfd(d), e->d_name, sub, err);
    }
    closedir(d);
    if (rc == 0 && unlinkat(at, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        rc = err_errno(err, "cannot remove %s", path);
    return rc;
}

int fs_remove_tree(const char *path, struct err *err)
{
    return remove_at(AT_FDCWD, path, path, err);
}

int fs_memfd(const char *name, const void *p, size_t n, bool sealed, struct err *err)
{
    int fd = memfd_create(name, MFD_CLOEXEC | (sealed ? MFD_ALLOW_SEALING : 0));
    if (fd < 0)
        return err_errno(err, "cannot make memory file %s", name);
    const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    if (fs_write_all(fd, p, n) != 0 || lseek(fd, 0, SEEK_SET) != 0 ||
        (sealed && fcntl(fd, F_ADD_SEALS, seals) != 0)) {
        err_errno(err, "cannot fill memory file %s", name);
        close(fd);
        return -1;
    }
    return fd;
}
