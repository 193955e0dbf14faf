#include "cli/sallyport/copies.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"

/* to < 0: only the hash. */
static int pass(int from, int to, char hash[HASH_TEXT])
{
    static char part[1 << 18];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    ssize_t n;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    while ((n = read(from, part, sizeof(part))) > 0) {
        EVP_DigestUpdate(ctx, part, (size_t)n);
        if (to >= 0 && fs_write_all(to, part, (size_t)n) < 0) {
            n = -1;
            break;
        }
    }
    EVP_DigestFinal_ex(ctx, digest, &size);
    EVP_MD_CTX_free(ctx);
    for (unsigned i = 0; hash && i < 32; i++)
        snprintf(hash + 2 * i, 3, "%02x", digest[i]);
    return n < 0 ? -1 : 0;
}

static int open_regular(const char *path, struct err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return err_errno(err, "%s can't be read", path);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    close(fd);
    return err_set(err, "%s is no regular file", path);
}

int hash_file(const char *path, char hash[HASH_TEXT], struct err *err)
{
    autoclose int fd = open_regular(path, err);
    if (fd < 0)
        return -1;
    return pass(fd, -1, hash) < 0 ? err_errno(err, "%s can't be read", path) : 0;
}

int copy_file(const char *from, const char *to, char hash[HASH_TEXT], struct err *err)
{
    autoclose int in = open_regular(from, err);
    if (in < 0)
        return -1;
    autoclose int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0)
        return err_errno(err, "%s can't be made", to);
    if (pass(in, out, hash) < 0 || fsync(out) < 0)
        return err_errno(err, "%s can't be copied to %s", from, to);
    return 0;
}

bool is_small_file(const char *name)
{
    static const char *const others[] = {"service.pid", "service.url", COPIES_LIST, NULL};
    size_t n = strlen(name);
    for (size_t i = 0; others[i]; i++)
        if (strcmp(name, others[i]) == 0)
            return false;
    return *name != '.' && strncmp(name, COPIES_LEDGER, strlen(COPIES_LEDGER)) != 0 &&
           !(n > 4 && strcmp(name + n - 4, ".log") == 0);
}

static bool is_hex(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

static int each_in(const char *folder, const char *first, payload_f *take, void *arg,
                   struct err *err)
{
    autofree char *path = xasprintf("%s/%s", folder, first);
    DIR *d = opendir(path);
    const struct dirent *e;
    int rc = d ? 0 : err_errno(err, "%s can't be read", path);
    while (rc == 0 && (e = readdir(d))) {
        if (!is_hex(e->d_name, 62)) /* a file that is being written has another name */
            continue;
        autofree char *below = xasprintf("%s/%s", first, e->d_name);
        autofree char *hash = xasprintf("%s%s", first, e->d_name);
        rc = take(arg, below, hash, err);
    }
    if (d)
        closedir(d);
    return rc;
}

int payloads_each(const char *folder, payload_f *take, void *arg, struct err *err)
{
    DIR *d = opendir(folder);
    const struct dirent *e;
    if (!d)
        return errno == ENOENT ? 0 : err_errno(err, "%s can't be read", folder);
    int rc = 0;
    while (rc == 0 && (e = readdir(d)))
        if (is_hex(e->d_name, 2))
            rc = each_in(folder, e->d_name, take, arg, err);
    closedir(d);
    return rc;
}

int ledger_check(const char *path, struct err *err)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *q = NULL;
    const char *said = NULL;
    int rc = -1;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &q, NULL) == SQLITE_OK &&
        sqlite3_step(q) == SQLITE_ROW)
        said = (const char *)sqlite3_column_text(q, 0);
    if (said && strcmp(said, "ok") == 0)
        rc = 0;
    else
        err_set(err, "%s is damaged: %s", path, said ? said : sqlite3_errmsg(db));
    sqlite3_finalize(q);
    sqlite3_close(db);
    return rc;
}
