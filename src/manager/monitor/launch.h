/* The forked child of a start: account look-up, gate, descriptors, exec of the session. */
#ifndef SALLYPORT_MANAGER_MONITOR_LAUNCH_H
#define SALLYPORT_MANAGER_MONITOR_LAUNCH_H

#include "lib/handover/handover.h"
#include "manager/monitor/monitor.h"

struct launch {
    int fds[HANDOVER_END]; /* what becomes descriptor N of the session; -1 = closed (1: as 2) */
    int gate;
};

void launch_init(struct launch *l);
void launch_close(struct launch *l);
void launch_child(const struct monitor *m, const struct launch *l, const char *user)
    __attribute__((noreturn));
/* The limit on open files as it was before main() raised it for the monitor itself. */
void launch_keep_limits(void);

#endif
