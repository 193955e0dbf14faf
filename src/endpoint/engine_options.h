/* The table of engine options and the checks on one value. */
#ifndef SALLYPORT_ENDPOINT_ENGINE_OPTIONS_H
#define SALLYPORT_ENDPOINT_ENGINE_OPTIONS_H

#include "endpoint/engine.h"

/* Checks the mapping's keys against the table of that kind and fills `out` with a copy that has
 * the defaults; nulls are dropped. */
int engine_options_read(enum engine_kind kind, const char *type, struct json_object *o,
                        struct json_object **out, struct err *err);
/* A line for each option of the mapping, or of its provider, that has no effect. */
void engine_note_unused(struct buf *out, const char *type, struct json_object *given);
/* engine_nodes.c: -1 when launch_cmd can't be used; its parts without effect go to e->warnings. */
int engine_check_launch_cmd(struct engine *e, struct err *err);

#endif
