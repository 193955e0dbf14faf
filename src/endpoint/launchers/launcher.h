/* Launchers: from the command of one node to the shell text that runs it on all nodes of a block
 * (spec: engines.md section 7).  Overrides of a site are inserted verbatim. */
#ifndef SALLYPORT_ENDPOINT_LAUNCHER_H
#define SALLYPORT_ENDPOINT_LAUNCHER_H

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"

/* launcher: typed mapping {"type": "SrunLauncher", ...} or NULL for `otherwise`.  -1 with a
 * sentence that names the wrong key or lists the known types. */
int launcher_check(struct json_object *launcher, const char *otherwise, struct err *err);
const char *launcher_type(struct json_object *launcher, const char *otherwise);

struct launch {
    const char *command; /* one line */
    int tasks_per_node, nodes;
    const char *script_dir; /* where files of the job may lie */
};
/* Appends the shell text; launcher must have passed launcher_check(). */
void launcher_write(struct buf *out, struct json_object *launcher, const char *otherwise,
                    const struct launch *l);

#endif
