/* The monitor's command line; only `globus-compute-endpoint start` writes one. */
#ifndef SALLYPORT_MANAGER_MONITOR_OPTIONS_H
#define SALLYPORT_MANAGER_MONITOR_OPTIONS_H

#include "manager/monitor/monitor.h"

/* 0, or -1 after saying what is wrong. */
int options_parse(struct options *o, int argc, char **argv);

#endif
