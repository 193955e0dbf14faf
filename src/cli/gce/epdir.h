/* Where endpoints live: <base>/<name>, and what is in there. */
#ifndef SALLYPORT_GCE_EPDIR_H
#define SALLYPORT_GCE_EPDIR_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/config/config.h"

/* -c DIR or GLOBUS_COMPUTE_USER_DIR, else $HOME/.globus_compute; absolute.  Static memory. */
const char *epdir_base(void);
/* Every command makes it (0700) before it looks at its own arguments. */
int epdir_base_make(struct err *err);

/* The directory that NAME_OR_UUID means (spec: cli.md 2.1).  Caller frees; NULL when it is absent.
 */
char *epdir_find(const char *name_or_uuid, struct err *err);
/* Last part of the path. */
const char *epdir_name(const char *epdir);

/* Id of endpoint.json: caller frees; NULL when never registered (err->code 0 and no text) or when
 * the file is broken (with text). */
char *epdir_id(const char *epdir, struct err *err);

enum ep_status { EP_INITIALIZED, EP_RUNNING, EP_DISCONNECTED, EP_STOPPED };
const char *ep_status_text(enum ep_status s);
/* From endpoint.json and daemon.pid, whichever host the manager runs on. */
enum ep_status epdir_status(const char *epdir);
#define EPDIR_FRESH_S 30 /* a PID file touched within means: running */
/* By the PID file alone. */
bool epdir_is_active(const char *epdir);

/* All endpoints of the base, in directory order; paths, NULL-terminated; epdir_list_free(). */
char **epdir_list(void);
void epdir_list_free(char **list);

#endif
