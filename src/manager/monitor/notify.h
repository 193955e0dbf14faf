/* What systemd hears of us (sd_notify): ready, stopping, how many user endpoints there are, and,
 * where the unit has WatchdogSec, that the loop still turns. */
#ifndef SALLYPORT_MANAGER_MONITOR_NOTIFY_H
#define SALLYPORT_MANAGER_MONITOR_NOTIFY_H

#include "manager/monitor/monitor.h"

struct notify;

/* NULL when nobody listens; all of the following take it. */
struct notify *notify_create(struct monitor *m);
void notify_destroy(struct notify *n);
void notify_ready(struct notify *n);
void notify_stopping(struct notify *n);
/* The number of user endpoints has changed. */
void notify_changed(struct notify *n);

#endif
