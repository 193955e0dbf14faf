/* Open addressing with linear probing; deleted places are tombstones until the next growth. */
#include "lib/base/map.h"

#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/alloc.h"

struct slot {
    char *key; /* NULL = free, TOMB = deleted */
    uint64_t hash;
    void *value;
};

struct map {
    struct slot *slots;
    size_t size; /* power of two */
    size_t live;
    size_t used; /* live + tombstones */
    uint64_t seed;
};

static char tomb_mark;
#define TOMB (&tomb_mark)

/* FNV-1a with a random start: keys come from outside, and nobody should choose the collisions. */
static uint64_t hash_of(const struct map *m, const char *key)
{
    uint64_t h = m->seed;
    for (const unsigned char *p = (const unsigned char *)key; *p; p++)
        h = (h ^ *p) * 1099511628211u;
    return h ^ (h >> 29);
}

struct map *map_create(void)
{
    struct map *m = xcalloc(1, sizeof(*m));
    m->size = 16;
    m->slots = xcalloc(m->size, sizeof(*m->slots));
    m->seed = 14695981039346656037u;
    uint64_t r;
    if (getrandom(&r, sizeof(r), GRND_NONBLOCK) == sizeof(r))
        m->seed ^= r;
    return m;
}

void map_destroy(struct map *m, void (*free_value)(void *))
{
    if (!m)
        return;
    for (size_t i = 0; i < m->size; i++) {
        if (!m->slots[i].key || m->slots[i].key == TOMB)
            continue;
        if (free_value)
            free_value(m->slots[i].value);
        free(m->slots[i].key);
    }
    free(m->slots);
    free(m);
}

static struct slot *find(const struct map *m, const char *key, uint64_t hash)
{
    for (size_t i = hash & (m->size - 1);; i = (i + 1) & (m->size - 1)) {
        struct slot *s = &m->slots[i];
        if (!s->key)
            return NULL;
        if (s->key != TOMB && s->hash == hash && strcmp(s->key, key) == 0)
            return s;
    }
}

void *map_get(const struct map *m, const char *key)
{
    struct slot *s = find(m, key, hash_of(m, key));
    return s ? s->value : NULL;
}

static void place(struct map *m, struct slot what)
{
    size_t i = what.hash & (m->size - 1);
    while (m->slots[i].key)
        i = (i + 1) & (m->size - 1);
    m->slots[i] = what;
    m->used++;
}

static void grow(struct map *m)
{
    struct slot *old = m->slots;
    size_t n = m->size;
    if (m->live * 2 >= m->size)
        m->size *= 2;
    m->slots = xcalloc(m->size, sizeof(*m->slots));
    m->used = 0;
    for (size_t i = 0; i < n; i++)
        if (old[i].key && old[i].key != TOMB)
            place(m, old[i]);
    free(old);
}

void *map_put(struct map *m, const char *key, void *value)
{
    uint64_t hash = hash_of(m, key);
    struct slot *s = find(m, key, hash);
    if (s) {
        void *was = s->value;
        s->value = value;
        return was;
    }
    if ((m->used + 1) * 4 > m->size * 3)
        grow(m);
    place(m, (struct slot){.key = xstrdup(key), .hash = hash, .value = value});
    m->live++;
    return NULL;
}

void *map_del(struct map *m, const char *key)
{
    struct slot *s = find(m, key, hash_of(m, key));
    if (!s)
        return NULL;
    void *was = s->value;
    free(s->key);
    *s = (struct slot){.key = TOMB};
    m->live--;
    return was;
}

size_t map_count(const struct map *m)
{
    return m->live;
}

bool map_next(const struct map *m, size_t *it, const char **key, void **value)
{
    for (; *it < m->size; (*it)++) {
        struct slot *s = &m->slots[*it];
        if (!s->key || s->key == TOMB)
            continue;
        if (key)
            *key = s->key;
        if (value)
            *value = s->value;
        (*it)++;
        return true;
    }
    return false;
}
