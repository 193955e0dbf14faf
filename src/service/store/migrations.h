/* The lists of tables that migrations.c applies; each ends with name NULL.  A module that keeps
 * something declares its list here and is named in migrations.c. */
#ifndef SALLYPORT_SERVICE_MIGRATIONS_H
#define SALLYPORT_SERVICE_MIGRATIONS_H

#include "service/store/store.h"

extern const struct migration auth_migrations[];
extern const struct migration api_migrations[];
extern const struct migration broker_migrations[];

#endif
