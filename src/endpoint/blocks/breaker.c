#include "endpoint/blocks/breaker.h"

#include "lib/base/alloc.h"
#include "lib/base/clock.h"

#define SECOND UINT64_C(1000000)
#define HOUR (3600 * SECOND)
#define PAUSE_FIRST (5 * SECOND)
#define PAUSE_LAST (300 * SECOND)

void breaker_init(struct breaker *b, unsigned failures_max, unsigned per_hour)
{
    *b = (struct breaker){.failures_max = failures_max > 0 ? failures_max : BREAKER_FAILURES_MAX,
                          .per_hour = per_hour > 0 ? per_hour : BREAKER_PER_HOUR};
    if (b->per_hour > 100000)
        b->per_hour = 100000;
    b->requests = xcalloc(b->per_hour, sizeof(*b->requests));
}

void breaker_free(struct breaker *b)
{
    free(b->requests);
    b->requests = NULL;
}

/* requests[next] is the oldest of the last per_hour ones. */
static uint64_t cap_wait(const struct breaker *b, uint64_t now)
{
    uint64_t oldest = b->requests[b->next];
    return oldest != 0 && now < oldest + HOUR ? oldest + HOUR - now : 0;
}

uint64_t breaker_wait_us(const struct breaker *b, uint64_t now)
{
    uint64_t cap = cap_wait(b, now), pause = now < b->not_before_us ? b->not_before_us - now : 0;
    return cap > pause ? cap : pause;
}

bool breaker_is_capped(const struct breaker *b, uint64_t now)
{
    return cap_wait(b, now) > 0;
}

void breaker_requested(struct breaker *b, uint64_t now)
{
    b->requests[b->next] = now > 0 ? now : 1;
    b->next = (b->next + 1) % b->per_hour;
}

void breaker_failed(struct breaker *b, uint64_t now)
{
    uint64_t pause = b->failures < 8 ? PAUSE_FIRST << b->failures : PAUSE_LAST;
    b->failures++;
    if (pause > PAUSE_LAST)
        pause = PAUSE_LAST;
    b->not_before_us = now + random_between(pause / 2, pause);
}

void breaker_worked(struct breaker *b)
{
    b->failures = 0;
    b->not_before_us = 0;
}

bool breaker_is_open(const struct breaker *b)
{
    return b->failures >= b->failures_max;
}
