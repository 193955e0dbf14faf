/* Tells when the identity mapping has changed: at once by inotify on its folder, within seconds
 * where that doesn't see it (network file systems, links).  A file that is missing is an error in
 * the log every few seconds, and no change. */
#ifndef SALLYPORT_MANAGER_MONITOR_WATCH_H
#define SALLYPORT_MANAGER_MONITOR_WATCH_H

#include "lib/base/loop.h"

struct watch;

struct watch *watch_create(struct loop *l, const char *path, loop_f *changed_cb, void *arg);
void watch_destroy(struct watch *w); /* NULL is fine */

#endif
