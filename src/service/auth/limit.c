#include "service/auth/limit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/map.h"

struct bucket {
    struct bucket *older, *newer; /* by last use */
    char *key;
    uint64_t
        empty_until_us; /* the bucket's level as a time: full when it lies burst periods back */
};

struct limit {
    struct map *buckets;
    struct bucket *oldest, *newest;
    unsigned burst;
    uint64_t period_us;
    size_t keys_max;
};

struct limit *limit_create(unsigned burst, uint64_t period_us, size_t keys_max)
{
    struct limit *l = xcalloc(1, sizeof *l);
    l->buckets = map_create();
    l->burst = burst;
    l->period_us = period_us;
    l->keys_max = keys_max;
    return l;
}

static void unlink_bucket(struct limit *l, struct bucket *b)
{
    *(b->older != NULL ? &b->older->newer : &l->oldest) = b->newer;
    *(b->newer != NULL ? &b->newer->older : &l->newest) = b->older;
    b->older = b->newer = NULL;
}

static void link_newest(struct limit *l, struct bucket *b)
{
    b->older = l->newest;
    *(l->newest != NULL ? &l->newest->newer : &l->oldest) = b;
    l->newest = b;
}

static void drop(struct limit *l, struct bucket *b)
{
    unlink_bucket(l, b);
    map_del(l->buckets, b->key);
    free(b->key);
    free(b);
}

void limit_destroy(struct limit *l)
{
    if (l == NULL)
        return;
    while (l->oldest != NULL)
        drop(l, l->oldest);
    map_destroy(l->buckets, NULL);
    free(l);
}

/* With `spent` tries not yet earned back, the time at which all are earned is `empty_until_us`; one
 * more fits while that time is less than burst periods away. */
static unsigned wait_s(const struct limit *l, uint64_t level_us, uint64_t now_us)
{
    uint64_t room = (uint64_t)(l->burst - 1) * l->period_us;
    if (level_us <= now_us + room)
        return 0;
    return (unsigned)((level_us - now_us - room + 999999) / 1000000);
}

unsigned limit_look(struct limit *l, const char *key, uint64_t now_us)
{
    struct bucket *b = map_get(l->buckets, key);
    return b == NULL ? 0 : wait_s(l, b->empty_until_us, now_us);
}

unsigned limit_take(struct limit *l, const char *key, uint64_t now_us)
{
    struct bucket *b = map_get(l->buckets, key);
    if (b == NULL) {
        while (l->oldest != NULL && map_count(l->buckets) >= l->keys_max)
            drop(l, l->oldest);
        b = xcalloc(1, sizeof *b);
        b->key = xstrdup(key);
        map_put(l->buckets, key, b);
    } else {
        unlink_bucket(l, b);
    }
    link_newest(l, b);
    if (b->empty_until_us < now_us)
        b->empty_until_us = now_us;
    unsigned wait = wait_s(l, b->empty_until_us, now_us);
    if (wait == 0)
        b->empty_until_us += l->period_us;
    return wait;
}

void limit_give(struct limit *l, const char *key)
{
    struct bucket *b = map_get(l->buckets, key);
    if (b != NULL && b->empty_until_us >= l->period_us)
        b->empty_until_us -= l->period_us;
}

void limit_forget(struct limit *l, const char *key)
{
    struct bucket *b = map_get(l->buckets, key);
    if (b != NULL)
        drop(l, b);
}
