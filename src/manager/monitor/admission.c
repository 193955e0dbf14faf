/* See admission.h.  The start rate is a window of a minute per user; the windows of the users that
 * started last are remembered, the oldest makes room. */
#include "manager/monitor/admission.h"

#include <stdlib.h>

#include "lib/base/alloc.h"

#define WINDOWS 512
#define MINUTE_US (60u * 1000000u)

struct window {
    uid_t uid;
    uint64_t since_us; /* 0 = unused */
    int64_t starts;
};

struct admission {
    struct admission_rules rules;
    struct window windows[WINDOWS];
};

struct admission *admission_create(const struct admission_rules *rules)
{
    struct admission *a = xcalloc(1, sizeof(*a));
    a->rules = *rules;
    return a;
}

void admission_destroy(struct admission *a)
{
    free(a);
}

static struct window *window_of(struct admission *a, const struct admission_now *now)
{
    struct window *oldest = &a->windows[0];
    for (size_t i = 0; i < WINDOWS; i++) {
        struct window *w = &a->windows[i];
        if (w->since_us && w->uid == now->uid) {
            if (now->time_us - w->since_us >= MINUTE_US)
                *w = (struct window){.uid = now->uid, .since_us = now->time_us};
            return w;
        }
        if (w->since_us < oldest->since_us)
            oldest = w;
    }
    *oldest = (struct window){.uid = now->uid, .since_us = now->time_us};
    return oldest;
}

int admission_ask(struct admission *a, const struct admission_now *now, struct err *err)
{
    const struct admission_rules *r = &a->rules;
    if (r->max_total && now->total >= r->max_total)
        return err_set(err,
                       "This endpoint runs %u user endpoints, which is its limit; try again later",
                       now->total);
    if (r->max_per_user && now->of_user >= r->max_per_user)
        return err_set(err,
                       "You have %u user endpoints here, which is the limit per user; wait until "
                       "one is idle, or use fewer different configurations",
                       now->of_user);
    if (r->minimum_free_mib && now->free_mib >= 0 && now->free_mib < r->minimum_free_mib)
        return err_set(err, "The host of this endpoint is short of memory; try again later");
    if (!r->starts_per_minute)
        return 0;
    struct window *w = window_of(a, now);
    if (w->starts >= r->starts_per_minute)
        return err_set(err,
                       "You have started %lld user endpoints within a minute, which is the limit; "
                       "try again in a minute",
                       (long long)w->starts);
    w->starts++;
    return 0;
}
