#include "service/web/page.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/map.h"
#include "service/auth/secret.h"

#define FILE_MAX (1u << 20)
#define NESTING_MAX 4

struct file {
    struct buf bytes;
    char tag[20]; /* ETag, quoted */
    const char *type;
};

struct pages {
    struct map *files;
};

/* ---- files ----------------------------------------------------------------------------------- */

static const char *type_of(const char *name)
{
    static const struct {
        const char *end, *type;
    } types[] = {{".html", "text/html; charset=utf-8"},
                 {".css", "text/css; charset=utf-8"},
                 {".js", "text/javascript; charset=utf-8"},
                 {".svg", "image/svg+xml"}};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t k = strlen(types[i].end);
        if (n > k && strcmp(name + n - k, types[i].end) == 0)
            return types[i].type;
    }
    return NULL;
}

static void free_file(void *arg)
{
    struct file *f = arg;
    buf_free(&f->bytes);
    free(f);
}

void pages_close(struct pages *p)
{
    if (p == NULL)
        return;
    map_destroy(p->files, free_file);
    free(p);
}

static int read_one(struct pages *p, const char *folder, const char *name, struct err *err)
{
    autofree char *path = xasprintf("%s/%s", folder, name);
    struct file *f = xcalloc(1, sizeof *f);
    f->type = type_of(name);
    if (fs_read(path, FILE_MAX, &f->bytes, err) != 0) {
        free_file(f);
        return -1;
    }
    if (f->bytes.data == NULL)
        buf_str(&f->bytes, "");
    char hash[SECRET_HASH_TEXT];
    secret_hash(f->bytes.data, hash);
    snprintf(f->tag, sizeof f->tag, "\"%.16s\"", hash);
    map_put(p->files, name, f);
    return 0;
}

struct pages *pages_open(const char *folder, struct err *err)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        err_errno(err, "%s (the pages; is the installation complete?)", folder);
        return NULL;
    }
    struct pages *p = xcalloc(1, sizeof *p);
    p->files = map_create();
    int rc = 0;
    for (struct dirent *d; rc == 0 && (d = readdir(dir)) != NULL;)
        if (d->d_name[0] != '.' && type_of(d->d_name) != NULL)
            rc = read_one(p, folder, d->d_name, err);
    closedir(dir);
    if (rc != 0) {
        pages_close(p);
        return NULL;
    }
    return p;
}

/* ---- templates ------------------------------------------------------------------------------- */

static void page_escape(struct buf *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        switch (*p) {
        case '&':
            buf_str(out, "&amp;");
            break;
        case '<':
            buf_str(out, "&lt;");
            break;
        case '>':
            buf_str(out, "&gt;");
            break;
        case '"':
            buf_str(out, "&quot;");
            break;
        case '\'':
            buf_str(out, "&#39;");
            break;
        default:
            buf_char(out, *p);
        }
    }
}

struct filler {
    const struct page_value *values;
    size_t n;
    struct {
        const char *name;
        size_t len, turn;
    } inside[NESTING_MAX]; /* sections that are open */
    size_t depth;
    struct buf *out;
    struct err *err;
};

/* The n-th value of that name, or NULL. */
static const char *nth(const struct filler *f, const char *name, size_t len, size_t turn)
{
    for (size_t i = 0; i < f->n; i++)
        if (strlen(f->values[i].name) == len && memcmp(f->values[i].name, name, len) == 0 &&
            turn-- == 0)
            return f->values[i].value == NULL ? "" : f->values[i].value;
    return NULL;
}

/* Which turn counts for this name: that of the section it belongs to. */
static size_t turn_of(const struct filler *f, const char *name, size_t len)
{
    for (size_t i = f->depth; i-- > 0;) {
        size_t k = f->inside[i].len;
        if (len >= k && memcmp(name, f->inside[i].name, k) == 0 && (len == k || name[k] == '_'))
            return f->inside[i].turn;
    }
    return 0;
}

/* The matching {{/name}} at or behind p, or NULL. */
static const char *end_of(const char *p, const char *end, const char *name, size_t len)
{
    for (; (p = memmem(p, (size_t)(end - p), "{{/", 3)) != NULL; p += 3)
        if ((size_t)(end - p) >= len + 5 && memcmp(p + 3, name, len) == 0 &&
            memcmp(p + 3 + len, "}}", 2) == 0)
            return p;
    return NULL;
}

static int fill(struct filler *f, const char *p, const char *end);

static int section(struct filler *f, char kind, const char *name, size_t len, const char *body,
                   const char *close)
{
    const char *value;
    bool any = false;
    if (f->depth == NESTING_MAX)
        return err_set(f->err, "sections are nested too deep");
    for (size_t i = 0; (value = nth(f, name, len, i)) != NULL; i++) {
        if (*value == '\0')
            continue;
        any = true;
        if (kind == '^')
            break;
        f->inside[f->depth].name = name;
        f->inside[f->depth].len = len;
        f->inside[f->depth].turn = i;
        f->depth++;
        int rc = fill(f, body, close);
        f->depth--;
        if (rc != 0)
            return rc;
    }
    return kind == '^' && !any ? fill(f, body, close) : 0;
}

static int fill(struct filler *f, const char *p, const char *end)
{
    while (p < end) {
        const char *open = memmem(p, (size_t)(end - p), "{{", 2);
        if (open == NULL) {
            buf_add(f->out, p, (size_t)(end - p));
            return 0;
        }
        buf_add(f->out, p, (size_t)(open - p));
        const char *name = open + 2;
        const char *shut = memmem(name, (size_t)(end - name), "}}", 2);
        if (shut == NULL || shut == name)
            return err_set(f->err, "{{ is not closed");
        char kind = *name == '#' || *name == '^' || *name == '/' ? *name++ : '\0';
        size_t len = (size_t)(shut - name);
        p = shut + 2;
        if (kind == '\0') {
            const char *value = nth(f, name, len, turn_of(f, name, len));
            page_escape(f->out, value == NULL ? "" : value);
            continue;
        }
        const char *close = kind == '/' ? NULL : end_of(p, end, name, len);
        if (close == NULL)
            return err_set(f->err, "section %.*s has no begin or no end", (int)len, name);
        if (section(f, kind, name, len, p, close) != 0)
            return -1;
        p = close + len + 5;
    }
    return 0;
}

int page_fill(const char *template_text, const struct page_value *values, size_t n, struct buf *out,
              struct err *err)
{
    struct filler f = {.values = values, .n = n, .out = out, .err = err};
    return fill(&f, template_text, template_text + strlen(template_text));
}

/* ---- replies --------------------------------------------------------------------------------- */

static void guard(struct req *r, const char *form_to)
{
    autofree char *policy =
        xasprintf("default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
                  "connect-src 'self'; form-action 'self'%s%s; frame-ancestors 'none'; "
                  "base-uri 'none'",
                  form_to == NULL ? "" : " ", form_to == NULL ? "" : form_to);
    reply_header(r, "Content-Security-Policy", policy);
    reply_header(r, "X-Content-Type-Options", "nosniff");
    reply_header(r, "X-Frame-Options", "DENY");
    reply_header(r, "Referrer-Policy", "no-referrer");
    reply_header(r, "Cross-Origin-Opener-Policy", "same-origin");
}

void page_reply(struct req *r, struct pages *p, int status, const char *name,
                const struct page_value *values, size_t n, const char *form_to)
{
    struct file *f = map_get(p->files, name);
    struct buf out = BUF_INIT;
    struct err err = ERR_INIT;
    if (f == NULL || page_fill(f->bytes.data, values, n, &out, &err) != 0) {
        log_error("The page %s can't be shown: %s", name, f == NULL ? "not installed" : err.text);
        reply_error(r, 500, "INTERNAL_ERROR", "The page %s is damaged in this installation", name);
    } else {
        guard(r, form_to);
        reply_header(r, "Cache-Control", "no-store");
        reply_text(r, status, "text/html; charset=utf-8", out.data, out.len);
    }
    buf_free(&out);
}

void page_file(struct req *r, struct pages *p, const char *name)
{
    struct file *f = map_get(p->files, name);
    if (f == NULL) {
        reply_error(r, 404, "NOT_FOUND", "There is no page %s here", req_path(r));
        return;
    }
    guard(r, NULL);
    reply_header(r, "Cache-Control", "no-cache");
    reply_header(r, "ETag", f->tag);
    const char *known = req_header(r, "If-None-Match");
    if (known != NULL && strcmp(known, f->tag) == 0)
        reply_text(r, 304, f->type, "", 0);
    else
        reply_text(r, 200, f->type, f->bytes.data, f->bytes.len);
}
