/* What an authorize request asks of a sign-in beyond that it happened (step-up, auth.md 4.2). */
#ifndef SALLYPORT_AUTH_DEMANDS_H
#define SALLYPORT_AUTH_DEMANDS_H

#include <stdint.h>

#include "service/auth/auth.h"
#include "service/auth/params.h"

/* In a store job.  1 = met, 0 = not, with the sentence for the person in unmet; -1 with err. */
int demands_check(struct db *db, const struct params *p, const struct auth_who *who, int64_t now,
                  struct err *unmet, struct err *err);

#endif
