/* Where a user endpoint lives: its directory, found from a name or an id
 * (spec: user-endpoint.md section 1). */
#ifndef SALLYPORT_ENDPOINT_HOME_H
#define SALLYPORT_ENDPOINT_HOME_H

#include "lib/base/err.h"

/* Absolute, existing; caller frees.  NULL with the sentence that the original prints. */
char *home_find(const char *name, struct err *err);
/* Puts GLOBUS_COMPUTE_ENDPOINT_DIR and GLOBUS_COMPUTE_LOG_PATH into the environment: local tasks
 * see them.  Returns the log's path (caller frees). */
char *home_export(const char *dir);

#endif
