/* How often somebody may try: a token bucket for each key (an address, a user name, a client id).
 *
 * Keys come from outside, so the table is bounded; when it is full, the one that has been quiet for
 * longest goes. */
#ifndef SALLYPORT_AUTH_LIMIT_H
#define SALLYPORT_AUTH_LIMIT_H

#include <stddef.h>
#include <stdint.h>

struct limit;

/* burst tries at once, then one every period_us. */
struct limit *limit_create(unsigned burst, uint64_t period_us, size_t keys_max);
void limit_destroy(struct limit *l); /* NULL is fine */
/* 0 = go on (one try is used up), else the seconds until the next try is allowed. */
unsigned limit_take(struct limit *l, const char *key, uint64_t now_us);
/* As limit_take() without using anything up. */
unsigned limit_look(struct limit *l, const char *key, uint64_t now_us);
void limit_give(struct limit *l, const char *key);   /* the last try doesn't count */
void limit_forget(struct limit *l, const char *key); /* after a success */

#endif
