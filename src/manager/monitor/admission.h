/* May one more user endpoint start now?  Policy only: whoever starts, counts.
 * Everything is off or generous by default. */
#ifndef SALLYPORT_MANAGER_MONITOR_ADMISSION_H
#define SALLYPORT_MANAGER_MONITOR_ADMISSION_H

#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"

struct admission;

struct admission_rules {
    int64_t max_total; /* 0 = no limit; so all */
    int64_t max_per_user;
    int64_t starts_per_minute; /* of one user */
    int64_t minimum_free_mib;
};

struct admission_now {
    uint64_t time_us;
    uid_t uid;
    unsigned total; /* live ones */
    unsigned of_user;
    int64_t free_mib; /* -1 = unknown */
};

struct admission *admission_create(const struct admission_rules *rules);
void admission_destroy(struct admission *a); /* NULL is fine */
/* 0 and the start is counted, or -1 with a sentence that the user may read. */
int admission_ask(struct admission *a, const struct admission_now *now, struct err *err);

#endif
