/* 16 bytes an id: a ring for their order, an open-addressing table of ring positions to find them.
 * Both grow with use: an endpoint with ten tasks pays for ten. */
#include "endpoint/ids.h"

#include <stdint.h>
#include <string.h>

#include "lib/base/alloc.h"

struct key {
    uint64_t hi, lo;
};

struct ids {
    struct key *ring;
    uint32_t *table; /* ring position + 1; 0 = free */
    size_t cap;      /* of the ring; the table has twice as many */
    size_t count, next;
};

static unsigned digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

static struct key key_of(const char *id)
{
    struct key k = {0, 0};
    unsigned n = 0;
    for (; *id != '\0' && n < 32; id++) {
        if (*id == '-')
            continue;
        uint64_t *half = n < 16 ? &k.hi : &k.lo;
        *half = *half << 4 | (digit(*id) & 15);
        n++;
    }
    return k;
}

static size_t home_of(const struct ids *s, struct key k)
{
    uint64_t h = (k.hi ^ (k.lo * 0x9e3779b97f4a7c15u)) * 0xbf58476d1ce4e5b9u;
    return (size_t)(h >> 32) & (2 * s->cap - 1);
}

static bool same(struct key a, struct key b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

/* The place of k in the table, or the free one where it would go. */
static size_t place_of(const struct ids *s, struct key k)
{
    size_t i = home_of(s, k);
    while (s->table[i] != 0 && !same(s->ring[s->table[i] - 1], k))
        i = (i + 1) & (2 * s->cap - 1);
    return i;
}

static void unlink_key(struct ids *s, struct key k)
{
    size_t mask = 2 * s->cap - 1, hole = place_of(s, k);
    if (s->table[hole] == 0)
        return;
    /* Entries behind the hole move up when the hole lies between their home and them. */
    for (size_t i = (hole + 1) & mask; s->table[i] != 0; i = (i + 1) & mask) {
        size_t home = home_of(s, s->ring[s->table[i] - 1]);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            s->table[hole] = s->table[i];
            hole = i;
        }
    }
    s->table[hole] = 0;
}

static void grow(struct ids *s)
{
    size_t cap = s->cap > 0 ? 2 * s->cap : 64;
    s->ring = xrealloc(s->ring, cap * sizeof(*s->ring));
    free(s->table);
    s->table = xcalloc(2 * cap, sizeof(*s->table));
    s->cap = cap;
    for (size_t i = 0; i < s->count; i++)
        s->table[place_of(s, s->ring[i])] = (uint32_t)i + 1;
    s->next = s->count;
}

struct ids *ids_create(void)
{
    return xcalloc(1, sizeof(struct ids));
}

void ids_destroy(struct ids *s)
{
    if (s == NULL)
        return;
    free(s->ring);
    free(s->table);
    free(s);
}

void ids_add(struct ids *s, const char *id)
{
    struct key k = key_of(id);
    if (s->count == s->cap && s->cap < IDS_MAX)
        grow(s);
    if (s->table[place_of(s, k)] != 0)
        return;
    if (s->count == s->cap)
        unlink_key(s, s->ring[s->next]);
    else
        s->count++;
    s->ring[s->next] = k;
    s->table[place_of(s, k)] = (uint32_t)s->next + 1;
    s->next = (s->next + 1) % s->cap;
}

bool ids_has(const struct ids *s, const char *id)
{
    return s->count > 0 && s->table[place_of(s, key_of(id))] != 0;
}
