/* Rows of functions, endpoints and task groups as structs; loaded in jobs, used on the loop. */
#include <stdio.h>
#include <string.h>

#include "service/api/private.h"

static void copy_id(char out[UUID_TEXT], const char *text)
{
    snprintf(out, UUID_TEXT, "%s", text ? text : "");
}

static struct json_object *list_of(const char *text)
{
    return text ? json_read(text, strlen(text), 1 << 20, "a list of the ledger", NULL) : NULL;
}

/* web-service.md 3.2: what stands in front of the arguments. */
static void make_prefix(struct function *f, const char *name, const char *code, bool serialized)
{
    struct buf b = BUF_INIT;
    if (serialized) {
        buf_str(&b, code);
    } else {
        size_t points = 0;
        autofree char *body = xasprintf("st\n%s:%s", name, code);
        for (const char *p = body; *p; p++)
            points += (*p & 0xc0) != 0x80;
        buf_fmt(&b, "%zu\n%s", points, body);
    }
    f->prefix_len = b.len;
    f->prefix = buf_take(&b);
}

static int load(struct db *db, const char *id, bool any, struct function **out, struct err *err)
{
    struct db_rows *r =
        db_query(db, err,
                 "SELECT owner, name, code, serialized, public, grp, ha_endpoint, deleted "
                 "FROM functions WHERE id = ?",
                 "s", id);
    int rc = r ? db_next(r, err) : -1;
    *out = NULL;
    if (rc == 1 && db_int(r, 7) && !any)
        rc = 0;
    if (rc == 1) {
        struct function *f = xcalloc(1, sizeof(*f));
        f->refs = 1;
        copy_id(f->id, id);
        copy_id(f->owner, db_text(r, 0));
        make_prefix(f, db_text(r, 1), db_text(r, 2), db_int(r, 3));
        f->is_public = db_int(r, 4);
        copy_id(f->group, db_text(r, 5));
        copy_id(f->ha_endpoint, db_text(r, 6));
        *out = f;
    }
    db_rows_end(r);
    if (rc != 1 || !(*out)->group[0])
        return rc;
    (*out)->members = access_of_group(db, (*out)->group, err);
    if ((*out)->members)
        return 1;
    function_unref(*out);
    *out = NULL;
    return -1;
}

int function_load(struct db *db, const char *id, struct function **out, struct err *err)
{
    return load(db, id, false, out, err);
}

int function_load_any(struct db *db, const char *id, struct function **out, struct err *err)
{
    return load(db, id, true, out, err);
}

void function_unref(struct function *f)
{
    if (!f || --f->refs)
        return;
    json_object_put(f->members);
    free(f->prefix);
    free(f);
}

/* The largest number that the object has for an identity of the caller's. */
static int64_t highest(struct json_object *of, const struct caller *who)
{
    struct json_object *v;
    int64_t found = json_object_object_get_ex(of, who->sub, &v) ? json_object_get_int64(v) : 0;
    size_t n = who->identity_set ? json_object_array_length(who->identity_set) : 0;
    for (size_t i = 0; i < n; i++) {
        struct json_object *one = json_object_array_get_idx(who->identity_set, i);
        if (json_object_object_get_ex(of, json_str_or(one, "sub", ""), &v) &&
            json_object_get_int64(v) > found)
            found = json_object_get_int64(v);
    }
    return found;
}

bool function_may_run(const struct function *f, const struct caller *who)
{
    return f->is_public || caller_is(who, f->owner) || (f->members && highest(f->members, who));
}

int endpoint_load(struct db *db, const char *id, struct endpoint **out, struct err *err)
{
    struct db_rows *r =
        db_query(db, err,
                 "SELECT owner, policy, is_template, multi_user, public, high_assurance, "
                 "locked_until_s, admins, allowed, registered_us FROM endpoints WHERE id = ? AND "
                 "deleted = 0",
                 "s", id);
    int rc = r ? db_next(r, err) : -1;
    *out = NULL;
    if (rc == 1) {
        struct endpoint *e = xcalloc(1, sizeof(*e));
        e->refs = 1;
        copy_id(e->id, id);
        copy_id(e->owner, db_text(r, 0));
        copy_id(e->policy, db_text(r, 1));
        e->is_template = db_int(r, 2);
        e->multi_user = db_int(r, 3);
        e->is_public = db_int(r, 4);
        e->high_assurance = db_int(r, 5);
        e->locked_until_s = db_int(r, 6);
        e->registered_us = db_int(r, 9);
        e->admins = list_of(db_text(r, 7));
        e->allowed = list_of(db_text(r, 8));
        *out = e;
    }
    db_rows_end(r);
    if (rc != 1)
        return rc;
    (*out)->access = access_of_endpoint(db, id, &(*out)->restricted, err);
    if ((*out)->access)
        return 1;
    endpoint_unref(*out);
    *out = NULL;
    return -1;
}

void endpoint_unref(struct endpoint *e)
{
    if (!e || --e->refs)
        return;
    json_object_put(e->admins);
    json_object_put(e->allowed);
    json_object_put(e->access);
    free(e);
}

enum access_role endpoint_role(const struct endpoint *e, const struct caller *who)
{
    if (who->is_admin || caller_is(who, e->owner))
        return ACCESS_CONFIGURE;
    size_t n = e->admins ? json_object_array_length(e->admins) : 0;
    for (size_t i = 0; i < n; i++) {
        const char *id = json_object_get_string(json_object_array_get_idx(e->admins, i));
        if (id && caller_is(who, id))
            return ACCESS_CONFIGURE;
    }
    return (enum access_role)highest(e->access, who);
}

bool endpoint_may_use(const struct endpoint *e, const struct caller *who)
{
    return !e->restricted || endpoint_role(e, who) >= ACCESS_USE;
}

int group_load(struct db *db, const char *id, struct group **out, struct err *err)
{
    struct db_rows *r =
        db_query(db, err, "SELECT owner, stream FROM task_groups WHERE id = ?", "s", id);
    int rc = r ? db_next(r, err) : -1;
    *out = NULL;
    if (rc == 1) {
        struct group *g = xcalloc(1, sizeof(*g));
        g->refs = 1;
        copy_id(g->id, id);
        copy_id(g->owner, db_text(r, 0));
        /* Whether the broker still has the queue is asked once by each process. */
        g->stream = false;
        *out = g;
    }
    db_rows_end(r);
    return rc;
}

void group_unref(struct group *g)
{
    if (g && --g->refs == 0)
        free(g);
}
