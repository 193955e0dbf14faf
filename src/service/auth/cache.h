/* Tokens that were checked a moment ago, so that a request costs no SQL.
 *
 * Keys are hashes of tokens, never tokens.  An entry lives CACHE_S seconds: that is how long a
 * token that another process (or the command line) revoked may still pass here; what this process
 * revokes is taken out at once.  Unknown tokens are remembered as well, so that a client that
 * insists costs little.  At CACHE_MAX entries the one that was unused for longest goes. */
#ifndef SALLYPORT_AUTH_CACHE_H
#define SALLYPORT_AUTH_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "service/auth/grant.h"

#define CACHE_MAX 10000
#define CACHE_S 10

struct cache;

struct cache *cache_create(size_t max);
void cache_destroy(struct cache *c); /* NULL is fine */
/* True when known at now_us; *out is a borrowed grant, or NULL for a token known to be bad. */
bool cache_get(struct cache *c, const char *hash, uint64_t now_us, struct grant **out);
/* Takes a reference of its own; grant NULL = bad. */
void cache_put(struct cache *c, const char *hash, struct grant *grant, uint64_t now_us);
void cache_forget(struct cache *c, const char *hash);
/* Forgets what belongs to a sign-in, or to an identity; NULL matches nothing. */
void cache_forget_family(struct cache *c, const char *family, const char *identity);
size_t cache_count(const struct cache *c);

#endif
