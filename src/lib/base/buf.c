/* See buf.h. */
#include "lib/base/buf.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"

void *buf_room(struct buf *b, size_t n)
{
    size_t need = b->len + n + 1;
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap : 64;
        while (cap < need)
            cap += cap / 2 + 64;
        b->data = xrealloc(b->data, cap);
        b->cap = cap;
    }
    return b->data + b->len;
}

void buf_grew(struct buf *b, size_t n)
{
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    void *room = buf_room(b, n);
    if (n)
        memcpy(room, p, n);
    buf_grew(b, n);
}

void buf_str(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_vfmt(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n > 0) {
        vsnprintf(buf_room(b, (size_t)n), (size_t)n + 1, fmt, again);
        buf_grew(b, (size_t)n);
    }
    va_end(again);
}

void buf_fmt(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vfmt(b, fmt, ap);
    va_end(ap);
}

void buf_drop(struct buf *b, size_t n)
{
    if (n > b->len)
        n = b->len;
    if (n == 0)
        return;
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
    b->data[b->len] = '\0';
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    if (b->data)
        b->data[0] = '\0';
}

char *buf_take(struct buf *b)
{
    buf_room(b, 0);
    b->data[b->len] = '\0';
    char *s = b->data;
    *b = (struct buf)BUF_INIT;
    return s;
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf)BUF_INIT;
}

/* Length of the valid UTF-8 sequence at p (n bytes left), or 0. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
    unsigned char c = p[0];
    size_t len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (len == 0 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) || (c == 0xf0 && p[1] < 0x90) ||
        (c == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

static void escape_one(struct buf *b, unsigned char c)
{
    static const char *const shortcut[] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f",
        ['\r'] = "\\r", ['"'] = "\\\"", ['\\'] = "\\\\"};
    if (c < sizeof(shortcut) / sizeof(shortcut[0]) && shortcut[c])
        buf_str(b, shortcut[c]);
    else
        buf_fmt(b, "\\u%04x", c);
}

void buf_json_str(struct buf *b, const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    buf_room(b, n + 2);
    buf_char(b, '"');
    for (size_t i = 0, start = 0;;) {
        /* Plain characters go in one piece. */
        while (i < n && p[i] >= 0x20 && p[i] < 0x7f && p[i] != '"' && p[i] != '\\')
            i++;
        buf_add(b, p + start, i - start);
        if (i == n)
            break;
        size_t len = p[i] >= 0x80 ? utf8_len(p + i, n - i) : 0;
        if (p[i] == 0x7f)
            buf_char(b, 0x7f);
        else if (p[i] < 0x80)
            escape_one(b, p[i]);
        else if (len)
            buf_add(b, p + i, len);
        else
            buf_str(b, "\xef\xbf\xbd");
        i += len ? len : 1;
        start = i;
    }
    buf_char(b, '"');
}
