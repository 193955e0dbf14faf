/* Watches the manager: its user endpoints leave when it is gone (spec: user-endpoint.md 11). */
#ifndef SALLYPORT_ENDPOINT_PARENT_H
#define SALLYPORT_ENDPOINT_PARENT_H

#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/base/loop.h"

struct parent;

/* pid: what the manager said of itself.  NULL with err when our parent is another: it died before
 * we looked.  Nothing wakes up while it lives. */
struct parent *parent_watch(struct loop *l, pid_t pid, loop_f *gone, void *arg, struct err *err);
void parent_forget(struct parent *p);

#endif
