/* Request targets, queries and forms, decoded under limits; no state, no I/O.
 *
 * Both forms of RFC 9112 3.2 are taken: "/v2/tasks/x?y=z" and "http://host:5000/v2/tasks/x?y=z"
 * (what a client behind http_proxy sends).  Empty segments are skipped, so "//v2/version/" is
 * "/v2/version"; dots are ordinary text, no path here names a file. */
#ifndef SALLYPORT_SERVICE_TARGET_H
#define SALLYPORT_SERVICE_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"

#define TARGET_MAX 8192
#define TARGET_SEGMENTS 16
#define PAIRS_MAX 128

struct target {
    char *text;      /* one allocation that the rest points into */
    char *scheme;    /* "http", "https", or NULL in origin form */
    char *authority; /* "localhost:5000", or NULL in origin form */
    char *path;      /* decoded, "/" at least */
    char *segment[TARGET_SEGMENTS];
    size_t segments;
    char *query; /* raw, NULL when absent */
};

/* 0, or -1 with a sentence: too long, a bad escape, a NUL, not a target. */
int target_parse(const char *raw, struct target *out, struct err *err);
void target_clear(struct target *t);

/* name=value&... decoded ("+" is a space); more than PAIRS_MAX or a bad escape is an error. */
struct pairs {
    char *text; /* wiped at the end: passwords come in forms */
    size_t len;
    size_t n;
    struct {
        const char *name, *value;
    } at[PAIRS_MAX];
};
struct pairs *pairs_parse(const char *text, size_t n, struct err *err);
const char *pairs_get(const struct pairs *p, const char *name); /* NULL when absent */
void pairs_free(struct pairs *p);

/* "user:password" of what follows "Basic " in Authorization: one allocation that begins with the
 * user, NUL, the password at *password; NULL when it is not base64 of such a pair. */
#define BASIC_MAX 4096
char *basic_decode(const char *text, char **password);

#endif
