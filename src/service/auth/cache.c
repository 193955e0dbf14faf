#include "service/auth/cache.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/loop.h"
#include "lib/base/map.h"
#include "service/auth/secret.h"

struct entry {
    struct entry *older, *newer; /* by last use */
    struct grant *grant;
    uint64_t until_us;
    char hash[SECRET_HASH_TEXT];
};

struct cache {
    struct map *entries;
    struct entry *oldest, *newest;
    size_t max;
};

struct cache *cache_create(size_t max)
{
    struct cache *c = xcalloc(1, sizeof *c);
    c->entries = map_create();
    c->max = max;
    return c;
}

static void unlink_entry(struct cache *c, struct entry *e)
{
    *(e->older != NULL ? &e->older->newer : &c->oldest) = e->newer;
    *(e->newer != NULL ? &e->newer->older : &c->newest) = e->older;
    e->older = e->newer = NULL;
}

static void link_newest(struct cache *c, struct entry *e)
{
    e->older = c->newest;
    *(c->newest != NULL ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static void drop(struct cache *c, struct entry *e)
{
    unlink_entry(c, e);
    map_del(c->entries, e->hash);
    grant_unref(e->grant);
    free(e);
}

void cache_destroy(struct cache *c)
{
    if (c == NULL)
        return;
    while (c->oldest != NULL)
        drop(c, c->oldest);
    map_destroy(c->entries, NULL);
    free(c);
}

bool cache_get(struct cache *c, const char *hash, uint64_t now_us, struct grant **out)
{
    struct entry *e = map_get(c->entries, hash);
    if (e == NULL)
        return false;
    if (now_us >= e->until_us) {
        drop(c, e);
        return false;
    }
    unlink_entry(c, e);
    link_newest(c, e);
    *out = e->grant;
    return true;
}

void cache_put(struct cache *c, const char *hash, struct grant *grant, uint64_t now_us)
{
    cache_forget(c, hash);
    while (c->oldest != NULL && map_count(c->entries) >= c->max)
        drop(c, c->oldest);
    struct entry *e = xcalloc(1, sizeof *e);
    memcpy(e->hash, hash, strnlen(hash, sizeof e->hash - 1));
    e->grant = grant == NULL ? NULL : grant_ref(grant);
    e->until_us = now_us + LOOP_S(CACHE_S);
    map_put(c->entries, e->hash, e);
    link_newest(c, e);
}

void cache_forget(struct cache *c, const char *hash)
{
    struct entry *e = map_get(c->entries, hash);
    if (e != NULL)
        drop(c, e);
}

void cache_forget_family(struct cache *c, const char *family, const char *identity)
{
    for (struct entry *e = c->oldest, *next; e != NULL; e = next) {
        next = e->newer;
        if (e->grant == NULL)
            continue;
        if ((family != NULL && strcmp(e->grant->family, family) == 0) ||
            (identity != NULL && strcmp(e->grant->who.sub, identity) == 0))
            drop(c, e);
    }
}

size_t cache_count(const struct cache *c)
{
    return map_count(c->entries);
}
