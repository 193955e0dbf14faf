/* See err.h. */
#include "lib/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fill(struct err *err, int code, const char *fmt, va_list ap)
{
    if (!err)
        return;
    /* The arguments may point into err->text (a caller that rewords): write aside first. */
    char text[sizeof(err->text)];
    vsnprintf(text, sizeof(text), fmt, ap);
    memcpy(err->text, text, sizeof(text));
    err->code = code;
}

int err_set(struct err *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err, 0, fmt, ap);
    va_end(ap);
    return -1;
}

int err_code(struct err *err, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err, code, fmt, ap);
    va_end(ap);
    return -1;
}

int err_errno(struct err *err, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;
    va_start(ap, fmt);
    fill(err, saved, fmt, ap);
    va_end(ap);
    if (err) {
        size_t n = strlen(err->text);
        snprintf(err->text + n, sizeof(err->text) - n, ": %s", strerror(saved));
    }
    errno = saved;
    return -1;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
    if (!err)
        return -1;
    char was[sizeof(err->text)];
    memcpy(was, err->text, sizeof(was));
    va_list ap;
    va_start(ap, fmt);
    fill(err, err->code, fmt, ap);
    va_end(ap);
    size_t n = strlen(err->text);
    snprintf(err->text + n, sizeof(err->text) - n, ": %s", was);
    return -1;
}
