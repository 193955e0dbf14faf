/* The table of engine options and the checks on one value. */
#ifndef SALLYPORT_ENDPOINT_ENGINE_OPTIONS_H
#define SALLYPORT_ENDPOINT_ENGINE_OPTIONS_H

#include "endpoint/engine.h"

/* Checks the mapping's keys against the table of that kind and fills `out` with a copy that has
 * the defaults; nulls are dropped. */
int engine_options_read(enum engine_kind kind, const char *type, struct json_object *o,
                        struct json_object **out, struct err *err);

#endif
