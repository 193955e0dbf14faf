/* Runs libexec/sallyport/settings on config.yaml, before anything else happens. */
#ifndef SALLYPORT_MANAGER_MONITOR_SETTINGS_RUN_H
#define SALLYPORT_MANAGER_MONITOR_SETTINGS_RUN_H

#include "lib/base/err.h"
#include "manager/monitor/monitor.h"

/* Fills m->set.  The sentence of a bad configuration may have several lines. */
int settings_run(struct monitor *m, struct err *err);

#endif
