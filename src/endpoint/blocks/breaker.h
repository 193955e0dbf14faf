/* The circuit breaker of submissions: when a job may be requested, and when trying is pointless.
 *
 *  - A block that ends without a worker having come, and a submission that is refused, is a
 * failure; each one in a row makes the pause before the next request longer (5 s ... 5 min).
 *  - `failures_max` in a row: nothing is requested any more.
 *  - Not more than `per_hour` jobs in any hour: a loop of jobs that die young costs a site's
 *    scheduler and a user's allocation.
 * Plain arithmetic; times are those of the loop. */
#ifndef SALLYPORT_ENDPOINT_BREAKER_H
#define SALLYPORT_ENDPOINT_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BREAKER_FAILURES_MAX 5
#define BREAKER_PER_HOUR 240

struct breaker {
    unsigned failures_max;
    unsigned per_hour;
    unsigned failures;      /* in a row */
    uint64_t not_before_us; /* pause after a failure */
    uint64_t *requests;     /* ring of per_hour times, 0 = none */
    size_t next;
};

/* 0 = the defaults above. */
void breaker_init(struct breaker *b, unsigned failures_max, unsigned per_hour);
void breaker_free(struct breaker *b);

/* How long until a job may be requested; 0 = now. */
uint64_t breaker_wait_us(const struct breaker *b, uint64_t now_us);
/* The present wait is because of per_hour. */
bool breaker_is_capped(const struct breaker *b, uint64_t now_us);
void breaker_requested(struct breaker *b, uint64_t now_us);
void breaker_failed(struct breaker *b, uint64_t now_us);
void breaker_worked(struct breaker *b); /* a worker came */
bool breaker_is_open(const struct breaker *b);

#endif
