/* Who this endpoint is, for itself and for people: endpoint.json, banners, process title. */
#ifndef SALLYPORT_MANAGER_MONITOR_IDENTITY_H
#define SALLYPORT_MANAGER_MONITOR_IDENTITY_H

#include "lib/base/err.h"
#include "manager/monitor/monitor.h"

/* m->asked_id from endpoint.json and --endpoint-uuid. */
int identity_load(struct monitor *m, struct err *err);
/* Writes endpoint.json. */
int identity_store(const struct monitor *m, struct err *err);
void identity_begins(struct monitor *m); /* banner, title */
void identity_stopping(const struct monitor *m);
void identity_ends(const struct monitor *m);

#endif
