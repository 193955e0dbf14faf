/* See fair.h. */
#include "manager/listener/fair.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/base/alloc.h"
#include "lib/base/map.h"

struct entry {
    STAILQ_ENTRY(entry) link;
    void *item;
};

/* Lives while something of the user waits or runs. */
struct user {
    TAILQ_ENTRY(user) turn; /* in the round while something waits and he may run more */
    STAILQ_HEAD(, entry) line;
    char *name;
    size_t waiting;
    unsigned running;
    bool in_round;
};

struct fair {
    struct fair_limits limits;
    struct map *users;
    TAILQ_HEAD(, user) round;
    size_t waiting;
};

struct fair *fair_create(const struct fair_limits *limits)
{
    struct fair *f = xcalloc(1, sizeof(*f));
    f->limits = *limits;
    f->users = map_create();
    TAILQ_INIT(&f->round);
    return f;
}

/* In the round if and only if it could be his turn; a user with nothing left is forgotten. */
static void settle(struct fair *f, struct user *u)
{
    bool may = u->waiting > 0 && u->running < f->limits.running_max;
    if (may && !u->in_round)
        TAILQ_INSERT_TAIL(&f->round, u, turn);
    if (!may && u->in_round)
        TAILQ_REMOVE(&f->round, u, turn);
    u->in_round = may;
    if (u->waiting || u->running)
        return;
    map_del(f->users, u->name);
    free(u->name);
    free(u);
}

enum fair_room fair_push(struct fair *f, const char *user, void *item)
{
    struct user *u = map_get(f->users, user);
    if (f->waiting >= f->limits.total)
        return FAIR_ALL_FULL;
    if (u && u->waiting >= f->limits.per_user)
        return FAIR_USER_FULL;
    if (!u) {
        u = xcalloc(1, sizeof(*u));
        u->name = xstrdup(user);
        STAILQ_INIT(&u->line);
        map_put(f->users, user, u);
    }
    struct entry *e = xmalloc(sizeof(*e));
    e->item = item;
    STAILQ_INSERT_TAIL(&u->line, e, link);
    u->waiting++;
    f->waiting++;
    settle(f, u);
    return FAIR_OK;
}

void *fair_take(struct fair *f)
{
    struct user *u = TAILQ_FIRST(&f->round);
    if (!u)
        return NULL;
    struct entry *e = STAILQ_FIRST(&u->line);
    STAILQ_REMOVE_HEAD(&u->line, link);
    void *item = e->item;
    free(e);
    u->waiting--;
    f->waiting--;
    u->running++;
    TAILQ_REMOVE(&f->round, u, turn); /* to the end of the round, if anywhere */
    u->in_round = false;
    settle(f, u);
    return item;
}

void fair_done(struct fair *f, const char *user)
{
    struct user *u = map_get(f->users, user);
    assert(u && u->running > 0);
    u->running--;
    settle(f, u);
}

size_t fair_waiting(const struct fair *f)
{
    return f->waiting;
}

static void user_free(struct user *u, void (*free_item)(void *))
{
    for (struct entry *e; (e = STAILQ_FIRST(&u->line));) {
        STAILQ_REMOVE_HEAD(&u->line, link);
        if (free_item)
            free_item(e->item);
        free(e);
    }
    free(u->name);
    free(u);
}

void fair_destroy(struct fair *f, void (*free_item)(void *))
{
    const char *key;
    void *value;
    if (!f)
        return;
    for (size_t it = 0; map_next(f->users, &it, &key, &value);)
        user_free(value, free_item);
    map_destroy(f->users, NULL);
    free(f);
}
