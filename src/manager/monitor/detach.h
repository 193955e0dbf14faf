/* --detach: the caller's process waits until the endpoint is registered, then it leaves and the
 * manager goes on without a terminal. */
#ifndef SALLYPORT_MANAGER_MONITOR_DETACH_H
#define SALLYPORT_MANAGER_MONITOR_DETACH_H

#include "manager/monitor/monitor.h"

/* Returns in the manager only; the caller's process ends here with the code of what became of it.
 * -1 with errno. */
int detach_begin(struct monitor *m);
/* Registered: let the caller go, leave the terminal. */
void detach_done(struct monitor *m);

#endif
