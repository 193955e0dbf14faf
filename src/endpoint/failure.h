/* Error results that the endpoint itself writes: the user reads them on the future
 * (spec: user-endpoint.md section 10).
 *
 * Engine-side failures have a frame of 68 signs around a traceback, one frame an attempt. */
#ifndef SALLYPORT_ENDPOINT_FAILURE_H
#define SALLYPORT_ENDPOINT_FAILURE_H

#include <stdint.h>

#include "lib/base/buf.h"

/* text: one or more lines, the last of them "<class>: <words>". */
struct failure {
    char **attempts; /* what happened at each, the last one last */
    unsigned count;
};
void failure_add(struct failure *f, const char *text);
void failure_clear(struct failure *f);
/* The packed result.  began_ns: when the endpoint took the task. */
void failure_pack(struct buf *out, const char *task_id, const struct failure *f, int64_t began_ns);
/* "Failed to start task: <text>", with no states. */
void failure_pack_refused(struct buf *out, const char *task_id, const char *text);
void failure_pack_forbidden(struct buf *out, const char *task_id, const char *function_id,
                            const char *endpoint_id);

#define FAILURE_ATTEMPTS_MAX 50

#endif
