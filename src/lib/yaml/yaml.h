/* YAML 1.1 as PyYAML's safe loader reads it, as a json-c tree.
 *
 * libyaml gives the events; typing of plain scalars is PyYAML's: `yes` is true, `1:00:00` is 3600
 * (base 60), `010` is 8, `1e3` is text, `.5` is a number, `<<` merges.  Dates and times become
 * {"!date": "<ISO text>"}, binary becomes {"!binary": "<base64>"}.  Keys keep their order; a key
 * that is not text becomes its Python text ("1", "True", "None"); a list or mapping as a key, an
 * unknown tag, a second document and a reference that would blow the tree up are errors. */
#ifndef SALLYPORT_YAML_YAML_H
#define SALLYPORT_YAML_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/base/json.h"

#define YAML_SIZE_MAX (16u << 20) /* bytes of a document */

/* what: the name used in errors.  NULL with err->text "" for an empty document or null; NULL with
 * a sentence that ends in line and column for an error. */
struct json_object *yaml_read(const char *text, size_t n, const char *what, struct err *err);

/* The type of one plain scalar, as the reader sees it. NULL for null (and *is_null is true). */
struct json_object *yaml_plain_scalar(const char *text, size_t n, bool *is_null);

#endif
