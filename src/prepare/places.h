/* Where things are: the endpoint's folder and log, and the program to exec. */
#ifndef SALLYPORT_PREPARE_PLACES_H
#define SALLYPORT_PREPARE_PLACES_H

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "prepare/environment.h"

/* Makes the endpoint's folder and the folder of its log (unless only_look), and sets
 * GLOBUS_COMPUTE_ENDPOINT_DIR and GLOBUS_COMPUTE_LOG_PATH.  paths: the member of the rendered
 * configuration, or NULL.  The log's path (caller frees), or NULL with err, code = errno or 0. */
char *places_make(struct environment *e, const char *name, struct json_object *paths,
                  bool only_look, struct err *err);

/* argv[0] on the PATH of the environment (caller frees), or NULL. */
char *places_find(const struct environment *e, const char *program);
/* A path that the administrator fixed: a regular file, of root (or of ours, when we never changed
 * the user), and nobody else may write to it or to its folder. */
int places_check_fixed(const char *path, bool privileged, struct err *err);

#endif
