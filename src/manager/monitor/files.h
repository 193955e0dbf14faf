/* The administrator's files: opened by root, by the paths of config.yaml alone, and only when
 * nobody else can have written them. */
#ifndef SALLYPORT_MANAGER_MONITOR_FILES_H
#define SALLYPORT_MANAGER_MONITOR_FILES_H

#include "lib/base/err.h"
#include "manager/monitor/monitor.h"

/* Read-only, close-on-exec, at its start.  -1: err->code ENOENT = there is none. */
int files_open(const struct monitor *m, enum table_file which, struct err *err);
int files_open_environment(const struct monitor *m, struct err *err);
/* The path behind it, absolute; "" = none is configured. */
void files_path(const struct monitor *m, enum table_file which, char out[TABLE_PATH]);
/* An absolute path from one that may be relative to the endpoint directory. */
void files_resolve(const struct monitor *m, const char *path, char out[TABLE_PATH]);

#endif
