/* Shared by the files of lib/render only. */
#ifndef SALLYPORT_RENDER_PRIVATE_H
#define SALLYPORT_RENDER_PRIVATE_H

#include "lib/render/render.h"

/* The names that a user can't set, NULL-terminated: the first three are the deprecated ones. */
extern const char *const render_reserved[];

/* A copy in which each text is a JSON string literal with its quotes, null is the text `null`, and
 * a float that JSON can't hold is {"!float": "inf"}; the rest is as it was. */
struct json_object *render_sanitise(struct json_object *value);
/* The first name, at any depth, that could leave its place when a template prints it, or NULL. */
const char *render_bad_key(struct json_object *value);

/* Fills the error.  Returns -1. */
int render_fail(struct render_error *err, const char *kind, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
