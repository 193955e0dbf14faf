/* Token buckets, one pair a person: requests and tasks. */
#include "service/api/private.h"

#define PEOPLE_MAX 20000

struct bucket {
    double requests, tasks; /* what may still be taken */
    uint64_t at_us;
};

struct limits {
    struct api *api;
    struct map *people;
};

struct limits *limits_create(struct api *a)
{
    struct limits *l = xcalloc(1, sizeof(*l));
    l->api = a;
    l->people = map_create();
    return l;
}

void limits_destroy(struct limits *l)
{
    if (!l)
        return;
    map_destroy(l->people, free);
    free(l);
}

static struct bucket *bucket_of(struct limits *l, const char *sub)
{
    struct bucket *b = map_get(l->people, sub);
    const struct api_settings *s = &l->api->settings;
    uint64_t now = loop_now_us(l->api->loop);
    if (!b) {
        if (map_count(l->people) >= PEOPLE_MAX) { /* a full bucket is as good as none */
            map_destroy(l->people, free);
            l->people = map_create();
        }
        b = xcalloc(1, sizeof(*b));
        *b = (struct bucket){s->rate_burst, s->tasks_burst, now};
        map_put(l->people, sub, b);
    }
    /* Each of several processes gives out its share. */
    double passed = (double)(now - b->at_us) / 1e6 / (double)keeper_processes(l->api->keeper);
    b->at_us = now;
    b->requests += passed * s->rate_per_s;
    b->tasks += passed * s->tasks_per_s;
    if (b->requests > s->rate_burst)
        b->requests = s->rate_burst;
    if (b->tasks > s->tasks_burst)
        b->tasks = s->tasks_burst;
    return b;
}

unsigned limits_take(struct limits *l, const char *sub, bool tasks, unsigned n)
{
    struct bucket *b = bucket_of(l, sub);
    double *have = tasks ? &b->tasks : &b->requests;
    double per_s = tasks ? l->api->settings.tasks_per_s : l->api->settings.rate_per_s;
    if (per_s <= 0)
        return 0; /* no limit */
    /* A full bucket lets any request through, however large, and then owes. */
    if (*have >= n ||
        *have >= (tasks ? l->api->settings.tasks_burst : l->api->settings.rate_burst)) {
        *have -= n;
        return 0;
    }
    double wait = (n - *have) / per_s;
    return wait < 1 ? 1 : wait > 30 ? 30 : (unsigned)(wait + 0.5);
}
