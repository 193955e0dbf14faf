/* One sentence about what went wrong, owned by the caller.
 *
 * Functions that can fail for a reason that a person will read take a `struct err *` as their last
 * parameter (NULL when nobody will read it), return 0 or -1 (or a pointer or NULL), and fill the
 * sentence with err_set(), which returns -1 so that failing is one line:
 *
 *     if (n > max)
 *         return err_set(err, "%s: %zu bytes, at most %zu are accepted", path, n, max);
 *
 * A sentence names the thing, the reason and, where there is one, the remedy.  No full stop. */
#ifndef SALLYPORT_BASE_ERR_H
#define SALLYPORT_BASE_ERR_H

#include <stddef.h>

struct err {
    int code;        /* 0, or what the caller may act on: an errno or a sysexits number */
    char text[1024]; /* never holds credentials */
};

#define ERR_INIT                                                                                   \
    {                                                                                              \
        .code = 0, .text = ""                                                                      \
    }

/* Sets the sentence (code 0).  Returns -1. */
int err_set(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Sets code and sentence.  Returns -1. */
int err_code(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Sentence + ": " + strerror(errno); code = errno; errno survives.  Returns -1. */
int err_errno(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Puts "<text>: " in front of the sentence.  Returns -1. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
