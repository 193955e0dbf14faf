/* JSON Schema (drafts 4, 6, 7, 2019-09, 2020-12), checked by the Rust crate in rust/ (boon).
 *
 * No `$schema`, or an unknown one, means 2020-12.  `format` is not enforced, nothing is fetched: a
 * reference that leaves the document is an error.  One error is reported, the one nearest to the
 * root, in the words of Python's jsonschema. */
#ifndef SALLYPORT_SCHEMA_SCHEMA_H
#define SALLYPORT_SCHEMA_SCHEMA_H

#include <stddef.h>

#include "lib/base/err.h"
#include "lib/base/json.h"

#define SCHEMA_SIZE_MAX (1u << 20)

struct schema_error {
    char kind[32]; /* "schema" (the instance is refused), "schema-invalid", "internal" */
    char *message; /* first line: what is wrong; then the keyword, schema part and value */
};

/* text: the schema document.  A document that Python calls false ({}, null, [], 0) checks nothing;
 * the schema `false` refuses everything.  0, or -1 with the error filled. */
int schema_check(const char *text, size_t len, struct json_object *instance,
                 struct schema_error *err);
void schema_error_free(struct schema_error *err);

#endif
