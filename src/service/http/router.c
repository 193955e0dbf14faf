#include "service/http/router.h"

#include <assert.h>
#include <string.h>

#include "lib/base/alloc.h"

struct segment {
    const char *text; /* without the braces */
    size_t len;
    bool is_param;
};

struct entry {
    const struct route *route;
    void *arg;
    struct segment segment[TARGET_SEGMENTS];
    size_t segments;
    size_t params;
};

struct router {
    struct entry *entries;
    size_t n;
};

struct router *router_create(void)
{
    return xcalloc(1, sizeof(struct router));
}

void router_destroy(struct router *r)
{
    if (!r)
        return;
    free(r->entries);
    free(r);
}

static void entry_fill(struct entry *e, const struct route *route, void *arg)
{
    e->route = route;
    e->arg = arg;
    for (const char *p = route->path; *p;) {
        p += *p == '/';
        size_t n = strcspn(p, "/");
        if (n) {
            assert(e->segments < TARGET_SEGMENTS);
            bool is_param = p[0] == '{';
            e->segment[e->segments++] = (struct segment){
                .text = p + is_param, .len = n - (is_param ? 2 : 0), .is_param = is_param};
            e->params += is_param;
            assert(e->params <= ROUTE_PARAMS);
        }
        p += n;
    }
}

void router_add(struct router *r, const struct route *routes, void *arg)
{
    for (; routes->method; routes++) {
        r->entries = xrealloc(r->entries, (r->n + 1) * sizeof(*r->entries));
        memset(&r->entries[r->n], 0, sizeof(*r->entries));
        entry_fill(&r->entries[r->n++], routes, arg);
    }
}

static bool fits(const struct entry *e, const struct target *t)
{
    if (e->segments != t->segments)
        return false;
    for (size_t i = 0; i < e->segments; i++) {
        const struct segment *s = &e->segment[i];
        if (!s->is_param && (strncmp(s->text, t->segment[i], s->len) != 0 || t->segment[i][s->len]))
            return false;
    }
    return true;
}

void router_find(const struct router *r, const char *method, const struct target *t,
                 struct router_hit *hit)
{
    const struct entry *best = NULL;
    memset(hit, 0, sizeof(*hit));
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (size_t i = 0; i < r->n; i++) {
        const struct entry *e = &r->entries[i];
        if ((best && best->params <= e->params) || !fits(e, t))
            continue;
        if (strcmp(e->route->method, method) == 0)
            best = e;
        else
            hit->other_method = true;
    }
    if (!best)
        return;
    hit->route = best->route;
    hit->arg = best->arg;
    for (size_t i = 0; i < best->segments; i++) {
        if (!best->segment[i].is_param)
            continue;
        hit->name[hit->params] = best->segment[i].text;
        hit->name_len[hit->params] = best->segment[i].len;
        hit->value[hit->params++] = t->segment[i];
    }
}

void router_allow(const struct router *r, const struct target *t, struct buf *out)
{
    for (size_t i = 0; i < r->n; i++) {
        const char *method = r->entries[i].route->method;
        if (!fits(&r->entries[i], t) || (out->len && strstr(out->data, method)))
            continue;
        buf_fmt(out, "%s%s%s", out->len ? ", " : "", method,
                strcmp(method, "GET") == 0 ? ", HEAD" : "");
    }
}
