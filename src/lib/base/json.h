/* JSON through json-c, with limits and with errors that name the path.
 *
 * Trees are json-c's `struct json_object *` (reference counted: json_object_put()).  Foreign bytes
 * are parsed with json_read(): strict, one document, bounded depth, size and duplicate-safe (last
 * key wins).  Getters take a key of an object; a dotted path ("kwargs.name") walks down. */
#ifndef SALLYPORT_BASE_JSON_H
#define SALLYPORT_BASE_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

#define JSON_DEPTH_MAX 64

/* what: the name used in errors, e.g. "start command".  NULL on error. */
struct json_object *json_read(const char *p, size_t n, size_t max, const char *what,
                              struct err *err);

/* Each returns 0, or -1 with err "<path> is missing" / "<path> is not a string (it is a list)". */
int json_get_obj(struct json_object *o, const char *path, struct json_object **out,
                 struct err *err);
int json_get_list(struct json_object *o, const char *path, struct json_object **out,
                  struct err *err);
int json_get_str(struct json_object *o, const char *path, const char **out, struct err *err);
int json_get_int(struct json_object *o, const char *path, int64_t *out, struct err *err);
int json_get_bool(struct json_object *o, const char *path, bool *out, struct err *err);
/* NULL when absent, null or not a string. */
const char *json_str_or(struct json_object *o, const char *path, const char *otherwise);
/* The member, or NULL when absent (a JSON null is NULL too, as in json-c). */
struct json_object *json_at(struct json_object *o, const char *path);
/* "a list", "a number", ... for messages. */
const char *json_kind(struct json_object *o);

/* Compact text, "/" and non-ASCII unescaped; NaN and Infinity become null. */
void json_write(struct buf *b, struct json_object *o);
/* Same, every non-ASCII character as \uXXXX (as Python's json.dumps does). */
void json_write_ascii(struct buf *b, struct json_object *o);
/* Canonical: keys sorted bytewise, compact: equal documents give equal text. */
void json_write_canonical(struct buf *b, struct json_object *o);

/* Adders that read well: json_add_str(o, "k", NULL) adds null. */
void json_add_str(struct json_object *o, const char *key, const char *value);
void json_add_int(struct json_object *o, const char *key, int64_t value);
void json_add_bool(struct json_object *o, const char *key, bool value);
void json_add_double(struct json_object *o, const char *key, double value);
void json_add(struct json_object *o, const char *key, struct json_object *value /* taken */);

#define autojson __attribute__((cleanup(json_cleanup_cb)))
static inline void json_cleanup_cb(struct json_object **o)
{
    json_object_put(*o);
}

#endif
