#include "lib/idmap/interpolate.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

#define TEXT_MAX (1u << 20) /* bytes that one interpolation may yield */

/* Python's int() takes the decimal digits of every script; these are the zeros of those scripts
 * that are written in the basic plane. */
static const unsigned short zeros[] = {
    0x0030, 0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6,
    0x0c66, 0x0ce6, 0x0d66, 0x0de6, 0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0,
    0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620,
    0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
};

/* The digit at s, or -1; *len = its bytes. */
static int digit_at(const char *s, size_t n, size_t *len)
{
    const unsigned char *u = (const unsigned char *)s;
    unsigned c = u[0];
    *len = 1;
    if (c >= 0xe0 && c < 0xf0 && n >= 3) {
        c = (c & 0x0f) << 12 | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu);
        *len = 3;
    } else if (c >= 0xc0 && c < 0xe0 && n >= 2) {
        c = (c & 0x1f) << 6 | (u[1] & 0x3fu);
        *len = 2;
    }
    for (size_t i = 0; i < sizeof(zeros) / sizeof(zeros[0]); i++)
        if (c >= zeros[i] && c < zeros[i] + 10u)
            return (int)(c - zeros[i]);
    return -1;
}

/* As Python's int(text): blanks around, a sign, single underscores between digits. */
static bool read_int(const char *s, size_t n, long *out)
{
    while (n > 0 && isspace((unsigned char)*s))
        s++, n--;
    while (n > 0 && isspace((unsigned char)s[n - 1]))
        n--;
    bool negative = n > 0 && *s == '-';
    if (n > 0 && (*s == '-' || *s == '+'))
        s++, n--;
    long value = 0;
    bool digit_before = false;
    if (n == 0)
        return false;
    while (n > 0) {
        size_t len;
        int d = digit_at(s, n, &len);
        if (d < 0 && (*s != '_' || !digit_before || n == 1))
            return false;
        digit_before = d >= 0;
        if (d >= 0)
            value = value > (INT_MAX - 9) / 10 ? INT_MAX : value * 10 + d;
        s += len;
        n -= len;
    }
    *out = negative ? -value : value;
    return true;
}

static int missing(struct err *err, const char *name, size_t n)
{
    return err_set(err, "(IdentityMappingError) Missing identity property %.*s", (int)n, name);
}

static int add_property(struct buf *out, const char *name, size_t n, struct json_object *identity,
                        struct err *err)
{
    char key[256];
    if (n >= sizeof(key) || memchr(name, '\0', n) != NULL)
        return missing(err, name, n);
    memcpy(key, name, n);
    key[n] = '\0';
    struct json_object *value;
    if (!json_object_object_get_ex(identity, key, &value) || value == NULL)
        return missing(err, name, n);
    if (!json_object_is_type(value, json_type_string))
        return err_set(err, "(TypeError) property %s must be text, it is %s", key,
                       json_kind(value));
    buf_add(out, json_object_get_string(value), (size_t)json_object_get_string_len(value));
    return 0;
}

static int add_placeholder(struct buf *out, const char *name, size_t n,
                           struct json_object *identity, const struct captures *captures,
                           struct err *err)
{
    long number;
    if (captures == NULL || !read_int(name, n, &number) || number >= (long)captures->count)
        return add_property(out, name, n, identity, err);
    if (number < 0)
        number += (long)captures->count;
    if (number < 0)
        return err_set(err, "(IndexError) {%.*s} counts back behind the first group", (int)n, name);
    const struct capture *c = &captures->at[number];
    if (c->p == NULL)
        return missing(err, name, n);
    buf_add(out, c->p, c->n);
    return 0;
}

int interpolate(struct buf *out, const char *text, size_t n, struct json_object *identity,
                const struct captures *captures, struct err *err)
{
    size_t i = 0, from = out->len;
    while (i < n) {
        const char *open = memchr(text + i, '{', n - i);
        size_t at = open != NULL ? (size_t)(open - text) : n;
        const char *close = open != NULL ? memchr(open, '}', n - at) : NULL;
        if (close == NULL) {
            buf_add(out, text + i, n - i);
            break;
        }
        /* One backslash protects a brace, two don't; the backslashes stay. */
        bool protected = at > 0 && text[at - 1] == '\\' && !(at > 1 && text[at - 2] == '\\');
        if (protected) {
            buf_add(out, text + i, at + 1 - i);
            i = at + 1;
            continue;
        }
        buf_add(out, text + i, at - i);
        if (add_placeholder(out, open + 1, (size_t)(close - open) - 1, identity, captures, err) !=
            0)
            return -1;
        if (out->len - from > TEXT_MAX)
            return err_set(err, "(IdentityMappingError) the interpolated text exceeds %u bytes",
                           TEXT_MAX);
        i = (size_t)(close - text) + 1;
    }
    buf_str(out, "");
    return 0;
}
