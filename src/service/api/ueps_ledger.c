/* What the ledger keeps of user endpoints, so that those with unfinished tasks can be started by a
 * service that has just been started itself. */
#include <string.h>

#include "service/api/ueps.h"

static struct json_object *copy_of(struct json_object *o)
{
    return o ? json_object_get(o) : NULL;
}

char *uep_unsaved(const struct uep *u)
{
    struct buf b = BUF_INIT;
    autojson struct json_object *o = json_object_new_object();
    if (u->legacy)
        return NULL;
    json_add_str(o, "username", u->username);
    json_add(o, "config", copy_of(u->config));
    json_add(o, "runtime", copy_of(u->runtime));
    json_add(o, "identity_set", copy_of(u->identity_set));
    json_write(&b, o);
    char *text = buf_take(&b);
    if (u->saved && strcmp(u->saved, text) == 0) {
        free(text);
        return NULL;
    }
    return text;
}

void uep_saved(struct uep *u, const char *text)
{
    free(u->saved);
    u->saved = xstrdup(text);
}

int uep_save(struct db *db, const char *id, const char *endpoint, const char *owner,
             const char *text, struct err *err)
{
    return db_run(db, err,
                  "INSERT INTO ueps(id, endpoint, owner, start, created_us, used_us) "
                  "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET "
                  "start = excluded.start, used_us = excluded.used_us",
                  "ssssii", id, endpoint, owner, text, now_us(), now_us()) < 0
               ? -1
               : 0;
}

static void load_start(struct uep *u, const char *text)
{
    autojson struct json_object *o = json_read(text, strlen(text), 4 << 20, "start", NULL);
    const char *username = json_str_or(o, "username", NULL);
    u->config = copy_of(json_at(o, "config"));
    u->runtime = copy_of(json_at(o, "runtime"));
    u->identity_set = copy_of(json_at(o, "identity_set"));
    u->username = username ? xstrdup(username) : NULL;
    uuid_random(u->request_id);
}

static struct uep *counted(struct ueps *all, const struct open_row *row)
{
    struct uep *u = map_get(all->by_id, row->uep);
    if (!u) {
        u = uep_new(all, row->uep, row->endpoint, row->owner);
        u->legacy = !row->start;
    }
    if (row->start && !u->identity_set)
        load_start(u, row->start);
    return u;
}

void ueps_open_are(struct ueps *all, const struct open_list *list, bool pump)
{
    const char *key;
    void *value;
    all->round++;
    for (size_t i = 0; i < list->n; i++) {
        struct uep *u = counted(all, &list->rows[i]);
        u->round = all->round;
        u->open = list->rows[i].n;
        if (u->state != UEP_UP)
            uep_make_busy(u);
        uep_watch(u);
        if (pump && uep_is_up(u))
            outbox_pump(all->api->outbox, u);
    }
    for (size_t it = 0; map_next(all->by_id, &it, &key, &value);) {
        struct uep *u = value;
        if (u->round != all->round)
            u->open = 0;
    }
}

static int load_job(struct db *db, void *arg, struct err *err)
{
    struct ueps *all = arg;
    return open_list_read(db, keeper_id(all->api->keeper), &all->loaded, err);
}

void ueps_load(struct ueps *all)
{
    struct err err = ERR_INIT;
    if (store_now(all->api->store, load_job, all, &err) < 0)
        log_error("what was not finished could not be read: %s", err.text);
    else
        ueps_open_are(all, &all->loaded, false);
    open_list_clear(&all->loaded);
}
