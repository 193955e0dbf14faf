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

int ueps_load(struct db *db, void *arg, struct err *err)
{
    struct ueps *all = arg;
    struct db_rows *r =
        db_query(db, err,
                 "SELECT o.uep, o.n, u.endpoint, u.owner, u.start, o.endpoint, o.owner FROM "
                 "(SELECT uep, MIN(endpoint) AS endpoint, MIN(owner) AS owner, COUNT(*) AS n "
                 "FROM tasks WHERE state < 2 GROUP BY uep) o LEFT JOIN ueps u ON u.id = o.uep",
                 "");
    int rc;
    if (!r)
        return -1;
    while ((rc = db_next(r, err)) == 1) {
        bool legacy = db_is_null(r, 2);
        struct uep *u =
            uep_new(all, db_text(r, 0), db_text(r, legacy ? 5 : 2), db_text(r, legacy ? 6 : 3));
        u->legacy = legacy;
        u->open = db_int(r, 1);
        if (!legacy)
            load_start(u, db_text(r, 4));
        uep_make_busy(u);
    }
    db_rows_end(r);
    return rc;
}
