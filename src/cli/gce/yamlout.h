/* A JSON tree as block-style YAML that YAML 1.1 readers take for the same values. */
#ifndef SALLYPORT_GCE_YAMLOUT_H
#define SALLYPORT_GCE_YAMLOUT_H

#include "lib/base/json.h"

/* tree: a mapping; its dates ({"!date": ...}) are written plain. */
void yaml_write(struct buf *b, struct json_object *tree);

#endif
