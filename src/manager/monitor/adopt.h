/* Children of a former monitor become ours, as far as a process that is no parent can have them:
 * their end is seen by pidfd, their exit code is not. */
#ifndef SALLYPORT_MANAGER_MONITOR_ADOPT_H
#define SALLYPORT_MANAGER_MONITOR_ADOPT_H

#include "manager/monitor/monitor.h"

/* The lines of a state file behind the first; the text is changed. */
void adopt_lines(struct monitor *m, char *text);

#endif
