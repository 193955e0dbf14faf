/* Requests that came in for a user endpoint that was already running.
 *
 * Should it end in order within the grace period, it was about to leave when the request came, and
 * the request would be lost: it is started anew with these arguments.  Bounded; the oldest go
 * first.  Time is loop_now_us(). */
#ifndef SALLYPORT_LISTENER_REVIVE_H
#define SALLYPORT_LISTENER_REVIVE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/loop.h"

#define REVIVE_MAX 32768

struct revive;

/* grace_us 0: nothing is ever kept. */
struct revive *revive_create(struct loop *l, uint64_t grace_us, size_t max,
                             void (*free_value)(void *));
void revive_destroy(struct revive *r); /* NULL is fine */

/* Keeps value (taken) for the grace period, in place of an older one of that key. */
void revive_put(struct revive *r, const char *key, void *value);
/* Hands it back (the caller's) when it is still fresh; NULL otherwise. */
void *revive_take(struct revive *r, const char *key);
size_t revive_count(const struct revive *r);

#endif
