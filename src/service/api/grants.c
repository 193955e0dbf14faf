/* See grants.h. */
#include "service/api/grants.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"

#define FILE_MAX 1024

struct key {
    char secret[GRANT_KEY_TEXT], public[GRANT_KEY_TEXT];
    int64_t until_s; /* 0: the one in use */
};

struct keys {
    struct key key[GRANTS_MAX];
    size_t n;
};

struct grants {
    char *path;
    struct keys keys;
    struct timespec changed; /* of the file that was read */
    ino_t inode;
};

/* ---- the file ---- */

static int parse_line(char *line, struct key *k, struct err *err)
{
    char *space = strchr(line, ' ');
    if (space) {
        char *end;
        *space = '\0';
        errno = 0;
        k->until_s = strtoll(space + 1, &end, 10);
        if (errno || *end || end == space + 1 || k->until_s <= 0)
            return err_set(err, "%.20s is not a time in Unix seconds", space + 1);
    }
    if (grant_key_public(line, k->public, err) < 0)
        return -1;
    snprintf(k->secret, sizeof(k->secret), "%s", line);
    return 0;
}

static int parse(char *text, const char *path, struct keys *out, struct err *err)
{
    char *save = NULL;
    memset(out, 0, sizeof(*out));
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        if (out->n == GRANTS_MAX)
            return err_set(err, "%s has more than %d keys", path, GRANTS_MAX);
        if (parse_line(l, &out->key[out->n++], err) < 0)
            return err_prefix(err, "%s, line %zu", path, out->n);
    }
    if (out->n == 0 || out->key[0].until_s)
        return err_set(err, "%s: its first line has to be the key in use, without a time", path);
    return 0;
}

static int read_keys(const char *path, struct keys *out, struct stat *st, struct err *err)
{
    autobuf struct buf b = BUF_INIT;
    if (stat(path, st) < 0)
        return err_errno(err, "%s", path);
    if (st->st_mode & 077)
        return err_set(err, "%s can be read by others: chmod 600 it, and rotate the key", path);
    if (fs_read(path, FILE_MAX, &b, err) < 0)
        return -1;
    buf_char(&b, '\0');
    int rc = parse(b.data, path, out, err);
    explicit_bzero(b.data, b.len);
    return rc;
}

static int write_keys(const char *path, const struct keys *k, struct err *err)
{
    autobuf struct buf b = BUF_INIT;
    buf_room(&b, FILE_MAX);
    for (size_t i = 0; i < k->n; i++) {
        buf_str(&b, k->key[i].secret);
        if (k->key[i].until_s)
            buf_fmt(&b, " %" PRId64, k->key[i].until_s);
        buf_char(&b, '\n');
    }
    int rc = fs_write(path, b.data, b.len, 0600, true, err);
    explicit_bzero(b.data, b.len);
    return rc;
}

static struct key *add_new(struct keys *k)
{
    struct key *first = &k->key[0];
    memmove(&k->key[1], first, k->n++ * sizeof(*first));
    memset(first, 0, sizeof(*first));
    grant_key_new(first->secret, first->public);
    return first;
}

static int make_file(const char *path, struct err *err)
{
    struct keys k = {0};
    add_new(&k);
    int rc = write_keys(path, &k, err);
    explicit_bzero(&k, sizeof(k));
    return rc;
}

static int load(struct grants *g, struct err *err)
{
    struct stat st;
    struct keys found;
    int rc = read_keys(g->path, &found, &st, err);
    if (rc == 0) {
        g->keys = found;
        g->changed = st.st_mtim;
        g->inode = st.st_ino;
    }
    explicit_bzero(&found, sizeof(found));
    return rc;
}

/* A file that can't be used any more changes nothing: the keys that are known go on. */
static void refresh(struct grants *g)
{
    static struct log_rate rate = LOG_RATE(1, 60);
    struct stat st;
    struct err err = ERR_INIT;
    if (stat(g->path, &st) == 0 && st.st_ino == g->inode &&
        st.st_mtim.tv_sec == g->changed.tv_sec && st.st_mtim.tv_nsec == g->changed.tv_nsec)
        return;
    if (load(g, &err) == 0)
        log_info("event=grant-keys-read keys=%zu", g->keys.n);
    else if (log_rate_ok(&rate))
        log_warning("the keys for start grants stay as they were: %s", err.text);
}

struct grants *grants_create(const char *path, struct err *err)
{
    struct grants *g = xcalloc(1, sizeof(*g));
    struct stat st;
    g->path = xstrdup(path);
    if ((stat(path, &st) < 0 && errno == ENOENT && make_file(path, err) < 0) || load(g, err) < 0) {
        grants_destroy(g);
        return NULL;
    }
    return g;
}

void grants_destroy(struct grants *g)
{
    if (!g)
        return;
    free(g->path);
    explicit_bzero(&g->keys, sizeof(g->keys));
    free(g);
}

/* ---- use ---- */

static bool is_good(const struct key *k, int64_t now_s)
{
    return !k->until_s || now_s < k->until_s;
}

char *grants_header(struct grants *g, const struct grant *what, int64_t now_s)
{
    struct buf b = BUF_INIT;
    struct grant one = *what;
    refresh(g);
    one.expires_s = now_s + GRANT_LIFETIME_S;
    for (size_t i = 0; i < g->keys.n; i++) {
        autofree char *part =
            is_good(&g->keys.key[i], now_s) ? grant_sign(g->keys.key[i].secret, &one, NULL) : NULL;
        if (part)
            buf_fmt(&b, "%s%s", b.len ? " " : "", part);
    }
    return buf_take(&b);
}

struct json_object *grants_public(struct grants *g, int64_t now_s)
{
    struct json_object *list = json_object_new_array();
    refresh(g);
    for (size_t i = 0; i < g->keys.n; i++) {
        const struct key *k = &g->keys.key[i];
        if (!is_good(k, now_s))
            continue;
        struct json_object *o = json_object_new_object();
        json_add_str(o, "grant_key", k->public);
        if (k->until_s)
            json_add_int(o, "until", k->until_s);
        json_object_array_add(list, o);
    }
    return list;
}

int grants_rotate(const char *path, int64_t now_s, int64_t overlap_s, struct err *err)
{
    struct keys old, new = {0};
    struct stat st;
    int rc = -1;
    if (read_keys(path, &old, &st, err) < 0)
        return -1;
    for (size_t i = 0; i < old.n; i++) {
        struct key k = old.key[i];
        if (!k.until_s || k.until_s > now_s + overlap_s)
            k.until_s = now_s + overlap_s;
        if (is_good(&k, now_s))
            new.key[new.n++] = k;
        explicit_bzero(&k, sizeof(k));
    }
    if (new.n == GRANTS_MAX) {
        err_set(err, "%d older keys are still in use; wait for the end of one, or give --days 0",
                GRANTS_MAX - 1);
        goto out;
    }
    add_new(&new);
    rc = write_keys(path, &new, err);
out:
    explicit_bzero(&old, sizeof(old));
    explicit_bzero(&new, sizeof(new));
    return rc;
}
