/* Content-addressed files: <folder>/ab/cdef...  The same bytes are kept once; retention removes
 * files by age, since a name may be used by several tasks. */
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "service/api/private.h"

#define FILE_SIZE_MAX (64u << 20)

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

int files_put(struct files *f, const void *p, size_t n, char name[65], struct err *err)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(p, n, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(name + 2 * i, 3, "%02x", digest[i]);
    autofree char *path = path_of(f, name);
    autofree char *folder = xstrndup(path, strlen(f->folder) + 3);
    /* Touched, so that retention counts from the last use. */
    if (utimensat(AT_FDCWD, path, NULL, 0) == 0)
        return 0;
    if (fs_mkdirs(folder, 0700, err) < 0)
        return -1;
    return fs_write(path, p, n, 0600, true, err);
}

int files_get(struct files *f, const char *name, struct buf *out, struct err *err)
{
    if (strlen(name) != 64 || strspn(name, "0123456789abcdef") != 64)
        return err_set(err, "%.70s is not the name of a payload", name);
    autofree char *path = path_of(f, name);
    return fs_read(path, FILE_SIZE_MAX, out, err);
}
