/* {placeholders} in `source` and `output` of an expression mapping. */
#ifndef SALLYPORT_IDMAP_INTERPOLATE_H
#define SALLYPORT_IDMAP_INTERPOLATE_H

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/idmap/pattern.h"

/* Appends text with each {name} replaced by that property of identity and, when captures is not
 * NULL, each {number} by that capture, counted from 0 (negative: from the end).  -1 with err as the
 * original words it, "(Type) text". */
int interpolate(struct buf *out, const char *text, size_t n, struct json_object *identity,
                const struct captures *captures, struct err *err);

#endif
