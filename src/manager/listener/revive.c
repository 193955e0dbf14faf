/* See revive.h.  Entries expire in the order in which they came, so one list and one timer do. */
#include "manager/listener/revive.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "lib/base/alloc.h"
#include "lib/base/map.h"

#define SLACK_US LOOP_S(1)

struct kept {
    TAILQ_ENTRY(kept) link;
    char *key;
    void *value;
    uint64_t until_us;
};

struct revive {
    struct loop *loop;
    struct loop_timer *timer;
    uint64_t grace_us;
    size_t max;
    void (*free_value)(void *);
    struct map *by_key;
    TAILQ_HEAD(, kept) oldest;
};

static void *forget(struct revive *r, struct kept *k)
{
    void *value = k->value;
    TAILQ_REMOVE(&r->oldest, k, link);
    map_del(r->by_key, k->key);
    free(k->key);
    free(k);
    return value;
}

static void expire_cb(void *arg)
{
    struct revive *r = arg;
    uint64_t now = loop_now_us(r->loop);
    struct kept *k;
    while ((k = TAILQ_FIRST(&r->oldest)) && k->until_us <= now)
        r->free_value(forget(r, k));
    if (k)
        loop_timer_set(r->timer, k->until_us - now, SLACK_US);
}

struct revive *revive_create(struct loop *l, uint64_t grace_us, size_t max,
                             void (*free_value)(void *))
{
    struct revive *r = xcalloc(1, sizeof(*r));
    *r = (struct revive){.loop = l, .grace_us = grace_us, .max = max, .free_value = free_value};
    r->timer = loop_timer_create(l, expire_cb, r);
    r->by_key = map_create();
    TAILQ_INIT(&r->oldest);
    return r;
}

void revive_destroy(struct revive *r)
{
    if (!r)
        return;
    for (struct kept *k; (k = TAILQ_FIRST(&r->oldest));)
        r->free_value(forget(r, k));
    loop_timer_destroy(r->timer);
    map_destroy(r->by_key, NULL);
    free(r);
}

void revive_put(struct revive *r, const char *key, void *value)
{
    struct kept *old = map_get(r->by_key, key);
    if (old)
        r->free_value(forget(r, old));
    if (r->grace_us == 0) {
        r->free_value(value);
        return;
    }
    if (map_count(r->by_key) >= r->max)
        r->free_value(forget(r, TAILQ_FIRST(&r->oldest)));
    struct kept *k = xcalloc(1, sizeof(*k));
    *k = (struct kept){
        .key = xstrdup(key), .value = value, .until_us = loop_now_us(r->loop) + r->grace_us};
    TAILQ_INSERT_TAIL(&r->oldest, k, link);
    map_put(r->by_key, key, k);
    if (!loop_timer_is_set(r->timer))
        loop_timer_set(r->timer, r->grace_us, SLACK_US);
}

void *revive_take(struct revive *r, const char *key)
{
    struct kept *k = map_get(r->by_key, key);
    if (!k)
        return NULL;
    bool fresh = k->until_us > loop_now_us(r->loop);
    void *value = forget(r, k);
    if (fresh)
        return value;
    r->free_value(value);
    return NULL;
}

size_t revive_count(const struct revive *r)
{
    return map_count(r->by_key);
}
