/* A growable run of bytes.  `data` always has a NUL behind `len` once anything was appended, so
 * text can be used as a C string.  Zero-initialise (or BUF_INIT), end with buf_free(). */
#ifndef SALLYPORT_BASE_BUF_H
#define SALLYPORT_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data;
    size_t len;
    size_t cap;
};

#define BUF_INIT                                                                                   \
    {                                                                                              \
        .data = NULL, .len = 0, .cap = 0                                                           \
    }
#define autobuf __attribute__((cleanup(buf_free)))

void buf_add(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_fmt(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vfmt(struct buf *b, const char *fmt, va_list ap);
/* Room for n more bytes at the returned place; buf_grew() then says how many were written. */
void *buf_room(struct buf *b, size_t n);
void buf_grew(struct buf *b, size_t n);
/* Drops n bytes from the front. */
void buf_drop(struct buf *b, size_t n);
void buf_clear(struct buf *b);
/* Hands the bytes (NUL-terminated, never NULL) to the caller, who frees them; b is empty after. */
char *buf_take(struct buf *b);
void buf_free(struct buf *b);
/* Appends s as a JSON string with its quotes; UTF-8 is kept as it is, invalid bytes become U+FFFD.
 */
void buf_json_str(struct buf *b, const char *s, size_t n);

#endif
