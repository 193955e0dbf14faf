/* The orderly stop: final heartbeat, SIGTERM to every child's group as its user, ten seconds,
 * SIGKILL, out.  Bounded in any case. */
#ifndef SALLYPORT_MANAGER_MONITOR_STOP_H
#define SALLYPORT_MANAGER_MONITOR_STOP_H

#include "manager/monitor/monitor.h"

struct stop;

/* Ends loop_run() with the code when all is done. */
struct stop *stop_begin(struct monitor *m, int code);
void stop_child_gone(struct stop *s);
void stop_listener_gone(struct stop *s);
/* Is what remains of a child's group to be killed with it? */
bool stop_is_cleaning(const struct stop *s);
void stop_destroy(struct stop *s); /* NULL is fine */

#endif
