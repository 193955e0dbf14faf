/* What needs the network, done by libexec/sallyport/remote so that this program stays light.
 *
 * A call is `remote FD VERB [ARG]`: the child writes one JSON object to FD,
 *     {"ok": true, "answer": ...}
 *     {"ok": false, "kind": "network"|"auth"|"compute"|"signin"|"answer"|"usage",
 *      "status": 404, "body": "...", "message": "..."}
 * Verbs are listed in remote_main.c. */
#ifndef SALLYPORT_GCE_REMOTE_H
#define SALLYPORT_GCE_REMOTE_H

#include <stdbool.h>

#include "lib/base/json.h"
#include "lib/config/config.h"

struct remote_result {
    bool ok;
    const char *kind; /* of a failure, or "" */
    int status;
    const char *body;
    const char *message;
    struct json_object *answer; /* borrowed from tree, NULL when there is none */
    struct json_object *tree;
};

/* config: chooses the host (environment, local_compute_services), NULL = by the environment.
 * input: a document for the child's standard input, or NULL: it inherits ours.  Always fills the
 * result. */
void remote_call(const struct config *config, const char *verb, const char *arg,
                 struct json_object *input, struct remote_result *r);
void remote_free(struct remote_result *r);

/* Prints what went wrong; the exit code that goes with it: 77 Auth, 75 network when asked, else 1.
 */
int remote_fail(const struct remote_result *r);

/* Sees to credentials, asking the person when there are none.  0, or an exit code; printed. */
int remote_signin(const struct config *config);

#endif
