/* Constructors for explicit tags (!!int ...): NULL when the text does not fit. */
#ifndef SALLYPORT_YAML_PRIVATE_H
#define SALLYPORT_YAML_PRIVATE_H

#include "lib/base/json.h"

struct json_object *yaml_int(const char *text);
struct json_object *yaml_float(const char *text);
struct json_object *yaml_bool(const char *text);
struct json_object *yaml_timestamp(const char *text);

#endif
