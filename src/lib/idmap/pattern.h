/* The `match` of an expression mapping: a small language on top of Python's `re`, compiled for
 * PCRE2.  Compilation refuses what the original refuses; matching has a step limit, so that no
 * expression can hold up its caller. */
#ifndef SALLYPORT_IDMAP_PATTERN_H
#define SALLYPORT_IDMAP_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"

struct pattern;

/* Captures of one match, views into the source. */
struct captures {
    size_t count; /* groups of the pattern, without the whole match */
    struct capture {
        const char *p; /* NULL: the group took no part */
        size_t n;
    } * at;
};

struct pattern *pattern_compile(const char *match, size_t n, bool literal, bool ignore_case,
                                struct err *err);
void pattern_free(struct pattern *p);
/* A `|` outside all groups: the original anchors only the first and last branch there. */
bool pattern_has_open_branch(const struct pattern *p);
/* 1 = matches, 0 = does not, -1 = gave up after too many steps (err says so).
 * captures stay valid until the next call with the same pattern. */
int pattern_match(struct pattern *p, const char *source, size_t n, struct captures *out,
                  struct err *err);

#endif
