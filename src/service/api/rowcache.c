/* What each submit looks up, kept for a moment.  Rows change rarely and elsewhere (another process,
 * an administrator's command), so an entry is believed for FRESH_US only; the functions' code is
 * what costs memory, so it is bounded. */
#include <string.h>

#include "service/api/private.h"

#define FRESH_US LOOP_S(3)
#define BYTES_MAX (64u << 20)
#define ENTRIES_MAX 50000

enum kind { FUNCTION, ENDPOINT, GROUP };

struct entry {
    enum kind kind;
    void *row;
    size_t bytes;
    uint64_t since_us;
};

struct rowcache {
    struct api *api;
    struct map *entries;
    size_t bytes;
};

struct rowcache *rowcache_create(struct api *a)
{
    struct rowcache *c = xcalloc(1, sizeof(*c));
    c->api = a;
    c->entries = map_create();
    return c;
}

static void entry_free(void *arg)
{
    struct entry *e = arg;
    if (!e)
        return;
    if (e->kind == FUNCTION)
        function_unref(e->row);
    else if (e->kind == ENDPOINT)
        endpoint_unref(e->row);
    else
        group_unref(e->row);
    free(e);
}

void rowcache_destroy(struct rowcache *c)
{
    if (!c)
        return;
    map_destroy(c->entries, entry_free);
    free(c);
}

static void *get(struct rowcache *c, const char *id, enum kind kind)
{
    struct entry *e = map_get(c->entries, id);
    if (!e || e->kind != kind)
        return NULL;
    /* A group never changes its owner; that its queue was made is known here only. */
    if (kind != GROUP && loop_now_us(c->api->loop) - e->since_us > FRESH_US)
        return NULL;
    return e->row;
}

static void put(struct rowcache *c, const char *id, enum kind kind, void *row, size_t bytes)
{
    if (c->bytes + bytes > BYTES_MAX || map_count(c->entries) >= ENTRIES_MAX) {
        map_destroy(c->entries, entry_free);
        c->entries = map_create();
        c->bytes = 0;
    }
    struct entry *e = xcalloc(1, sizeof(*e));
    *e = (struct entry){kind, row, bytes, loop_now_us(c->api->loop)};
    c->bytes += bytes;
    e = map_put(c->entries, id, e);
    c->bytes -= e ? e->bytes : 0;
    entry_free(e);
}

struct function *rowcache_function(struct rowcache *c, const char *id)
{
    struct function *f = get(c, id, FUNCTION);
    if (f)
        f->refs++;
    return f;
}

struct endpoint *rowcache_endpoint(struct rowcache *c, const char *id)
{
    struct endpoint *e = get(c, id, ENDPOINT);
    if (e)
        e->refs++;
    return e;
}

struct group *rowcache_group(struct rowcache *c, const char *id)
{
    struct group *g = get(c, id, GROUP);
    if (g)
        g->refs++;
    return g;
}

void rowcache_put_function(struct rowcache *c, struct function *f)
{
    f->refs++;
    put(c, f->id, FUNCTION, f, f->prefix_len + 256);
}

void rowcache_put_endpoint(struct rowcache *c, struct endpoint *e)
{
    e->refs++;
    put(c, e->id, ENDPOINT, e, 1024);
}

void rowcache_put_group(struct rowcache *c, struct group *g)
{
    g->refs++;
    put(c, g->id, GROUP, g, 256);
}

void rowcache_forget(struct rowcache *c, const char *id)
{
    struct entry *e = map_del(c->entries, id);
    c->bytes -= e ? e->bytes : 0;
    entry_free(e);
}
