/* See epname.h.  The reduced name that the messages show is what the original would make of it: the
 * last part of the absolute path, then that without white space, slashes, quotes and first dots. */
#include "cli/gce/epname.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"

#define NAME_MAX_CHARS 128

/* One character of UTF-8 (a stray byte counts as itself); its length in *n. */
static uint32_t character(const char *s, size_t *n)
{
    const unsigned char *u = (const unsigned char *)s;
    size_t len = u[0] < 0xc0 ? 1 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
    uint32_t c = len == 1 ? u[0] : u[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((u[i] & 0xc0) != 0x80) {
            *n = 1;
            return u[0];
        }
        c = c << 6 | (u[i] & 0x3f);
    }
    *n = len;
    return c;
}

/* \s of Python's re, for text. */
static bool is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Last part of cwd/name after "." and ".." were resolved; caller frees. */
static char *last_part(const char *name)
{
    char cwd[PATH_MAX];
    autofree char *path = name[0] == '/'
                              ? xstrdup(name)
                              : xasprintf("%s/%s", getcwd(cwd, sizeof(cwd)) ? cwd : "", name);
    char *parts[PATH_MAX / 2];
    size_t n = 0;
    char *rest = NULL;
    for (char *p = strtok_r(path, "/", &rest); p; p = strtok_r(NULL, "/", &rest)) {
        if (strcmp(p, "..") == 0)
            n -= n > 0;
        else if (strcmp(p, ".") != 0 && n < sizeof(parts) / sizeof(parts[0]))
            parts[n++] = p;
    }
    return xstrdup(n ? parts[n - 1] : "");
}

static char *without_bad(const char *name)
{
    struct buf b = BUF_INIT;
    for (size_t n; *name; name += n) {
        uint32_t c = character(name, &n);
        bool is_bad = is_space(c) || (c < 0x80 && strchr("\\/'\"", (int)c));
        if (!is_bad && !(b.len == 0 && c == '.'))
            buf_add(&b, name, n);
    }
    return buf_take(&b);
}

static int refuse(const char *name, const char *reduced, const char *why, struct err *err)
{
    return err_set(err,
                   "Invalid endpoint name: %s\n  Requested:  %s\n  Reduced to: %s (*potentially* "
                   "valid)",
                   why, name, reduced);
}

int epname_check(const char *name, struct err *err)
{
    size_t length = 0;
    if (!*name)
        return err_set(err, "Invalid endpoint name: Received no endpoint name");
    for (size_t at = 0, n; name[at]; at += n, length++)
        character(name + at, &n);
    if (length > NAME_MAX_CHARS)
        return err_set(err, "Invalid endpoint name: must be less than 129 characters (length: %zu)",
                       length);
    autofree char *last = last_part(name);
    if (strcmp(last, name) != 0)
        return refuse(name, last, "no '..' or '/' characters", err);
    autofree char *clean = without_bad(name);
    if (strcmp(clean, name) != 0)
        return refuse(name, clean,
                      "no whitespace (spaces, newlines, tabs), slashes, or prefixed '.'", err);
    return 0;
}
