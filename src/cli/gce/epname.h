/* Which names an endpoint may have (spec: cli.md 4.5). */
#ifndef SALLYPORT_GCE_EPNAME_H
#define SALLYPORT_GCE_EPNAME_H

#include "lib/base/err.h"

int epname_check(const char *name, struct err *err);

#endif
