/* Which interpreter runs workers and `python-exec`: the one of the user's environment. */
#ifndef SALLYPORT_PYTHON_PYTHON_H
#define SALLYPORT_PYTHON_PYTHON_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/base/json.h"

#define PYTHON_RELEASE_TEXT 8

/* "3.11" of "3.11.2" or "3.11"; false when the text (or NULL) says nothing of the kind. */
bool python_release(const char *version, char out[PYTHON_RELEASE_TEXT]);
/* The interpreter that the table ({"3.12": path, "default": path}, or NULL) has for a user's
 * Python; python_find() without one.  Caller frees; NULL with err when it can't be run here. */
char *python_choose(struct json_object *table, const char *user, struct err *err);
/* Path or name for exec; caller frees; NULL with err when there is none. */
char *python_find(struct err *err);

#endif
