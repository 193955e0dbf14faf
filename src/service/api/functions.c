/* Functions: registered once, run by id (web-service.md 3). */
#include <string.h>

#include "service/api/private.h"

struct registration {
    char id[UUID_TEXT];
    const char *name, *code, *description; /* in the request's JSON */
    char *meta;
    bool serialized, is_public;
    char group[UUID_TEXT], ha_endpoint[UUID_TEXT];
};

static void registration_free(void *arg)
{
    struct registration *f = arg;
    free(f->meta);
    free(f);
}

static const char *or_null(const char *s)
{
    return s && *s ? s : NULL;
}

static int check_ha_endpoint(struct db *db, struct call *c, struct err *err)
{
    const struct registration *f = c->state;
    struct endpoint *e;
    if (!f->ha_endpoint[0])
        return 0;
    if (endpoint_load(db, f->ha_endpoint, &e, err) < 0)
        return -1;
    if (!e)
        return call_refuse(c, 404, "ENDPOINT_NOT_FOUND", "Endpoint %s is not known",
                           f->ha_endpoint);
    if (!e->high_assurance)
        call_refuse(c, 422, "SEMANTICALLY_INVALID",
                    "Request payload failed validation: endpoint %s of ha_endpoint_id is no "
                    "high-assurance endpoint",
                    f->ha_endpoint);
    endpoint_unref(e);
    return 0;
}

static int insert(struct db *db, void *arg, struct err *err)
{
    struct call *c = arg;
    const struct registration *f = c->state;
    c->status = 0;
    int known = f->group[0] ? access_group_exists(db, f->group, err) : 1;
    if (known < 0)
        return -1;
    if (known == 0)
        return call_refuse(c, 404, "AUTH_GROUP_NOT_FOUND", "Group %s is not known", f->group);
    if (check_ha_endpoint(db, c, err) < 0)
        return -1;
    if (c->status)
        return 0;
    return db_run(db, err,
                  "INSERT INTO functions(id, owner, name, code, serialized, description, meta, "
                  "public, grp, ha_endpoint, created_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                  "ON CONFLICT(id) DO NOTHING",
                  "ssssississi", f->id, c->caller.sub, f->name, f->code, (int64_t)f->serialized,
                  f->description, f->meta, (int64_t)f->is_public, or_null(f->group),
                  or_null(f->ha_endpoint), now_us()) < 0
               ? -1
               : 0;
}

static void inserted(struct call *c)
{
    struct registration *f = c->state;
    struct json_object *o = json_object_new_object();
    json_add_str(o, "function_uuid", f->id);
    if (f->ha_endpoint[0])
        json_add_str(
            o, "ha_warning",
            "This function runs on its high-assurance endpoint only; what it handles there "
            "is your responsibility");
    call_reply(c, 200, o);
}

/* A packed buffer is "<n>\n<2-character id>\n<payload>" whose n counts code points. */
static bool is_packed(const char *code)
{
    size_t digits = strspn(code, "0123456789");
    return digits > 0 && digits < 10 && code[digits] == '\n' && code[digits + 1] &&
           code[digits + 2] && code[digits + 3] == '\n';
}

static void register_it(struct call *c)
{
    struct registration *f = xcalloc(1, sizeof(*f));
    c->state = f;
    c->free_state = registration_free;
    f->serialized = true; /* SDKs before 4 don't name it, and pack the code always */
    struct json_object *o = call_json(c), *meta;
    if (!o)
        return; /* and c has gone */
    if (!field_str(c, o, "function_name", 1024, true, &f->name) ||
        !field_str(c, o, "function_code", BODY_FUNCTION_MAX, true, &f->code) ||
        !field_str(c, o, "description", 64 << 10, false, &f->description) ||
        !field_bool(c, o, "serialized", &f->serialized) ||
        !field_bool(c, o, "public", &f->is_public) || !field_uuid(c, o, "group", false, f->group) ||
        !field_uuid(c, o, "ha_endpoint_id", false, f->ha_endpoint) ||
        !field_obj(c, o, "meta", false, &meta))
        return;
    if (f->ha_endpoint[0] && (f->is_public || f->group[0])) {
        call_error(c, 422, "SEMANTICALLY_INVALID",
                   "Request payload failed validation: a high-assurance function (ha_endpoint_id) "
                   "can be neither public nor a group's");
        return;
    }
    if (f->serialized && !is_packed(f->code)) {
        call_error(c, 422, "SEMANTICALLY_INVALID",
                   "Request payload failed validation: function_code is not a packed buffer");
        return;
    }
    if (meta) {
        struct buf b = BUF_INIT;
        json_write(&b, meta);
        f->meta = buf_take(&b);
    }
    uuid_random(f->id);
    call_job(c, true, insert, inserted);
}

void on_function_register(struct req *r)
{
    call_begin(r, register_it);
}

/* ---- reading and deleting ---- */

struct lookup {
    char id[UUID_TEXT];
    struct json_object *answer;
};

static void lookup_free(void *arg)
{
    struct lookup *l = arg;
    json_object_put(l->answer);
    free(l);
}

static void begin_lookup(struct call *c, bool write, store_job_f *job, call_f *next)
{
    struct lookup *l = xcalloc(1, sizeof(*l));
    c->state = l;
    c->free_state = lookup_free;
    if (call_id(c, l->id))
        call_job(c, write, job, next);
}

static int read_one(struct db *db, void *arg, struct err *err)
{
    struct call *c = arg;
    struct lookup *l = c->state;
    struct function f = {0};
    struct db_rows *r = db_query(db, err,
                                 "SELECT owner, public, grp, name, code, description, meta "
                                 "FROM functions WHERE id = ? AND deleted = 0",
                                 "s", l->id);
    int rc = r ? db_next(r, err) : -1;
    if (rc == 1) {
        strcpy(f.owner, db_text(r, 0));
        f.is_public = db_int(r, 1);
        strcpy(f.group, db_text(r, 2) ? db_text(r, 2) : "");
        f.members = f.group[0] ? access_of_group(db, f.group, err) : NULL;
        bool may = function_may_run(&f, &c->caller);
        json_object_put(f.members);
        if (!may) {
            call_refuse(c, 403, "FUNCTION_ACCESS_FORBIDDEN", "Function %s is not yours", l->id);
        } else {
            const char *meta = db_text(r, 6);
            json_object_put(l->answer);
            l->answer = json_object_new_object();
            json_add_str(l->answer, "function_uuid", l->id);
            json_add_str(l->answer, "function_name", db_text(r, 3));
            json_add_str(l->answer, "function_code", db_text(r, 4));
            json_add_str(l->answer, "description", db_text(r, 5) ? db_text(r, 5) : "");
            json_add(l->answer, "metadata",
                     meta ? json_read(meta, strlen(meta), 1 << 20, "meta", NULL)
                          : json_object_new_object());
        }
    } else if (rc == 0) {
        call_refuse(c, 404, "FUNCTION_NOT_FOUND", "Function %s is not known", l->id);
    }
    db_rows_end(r);
    return rc < 0 ? -1 : 0;
}

static void answer(struct call *c)
{
    struct lookup *l = c->state;
    struct json_object *o = l->answer;
    l->answer = NULL;
    call_reply(c, 200, o);
}

static void get(struct call *c)
{
    begin_lookup(c, false, read_one, answer);
}

void on_function_get(struct req *r)
{
    call_begin(r, get);
}

static int delete_one(struct db *db, void *arg, struct err *err)
{
    struct call *c = arg;
    struct lookup *l = c->state;
    struct function *f;
    int rc = function_load(db, l->id, &f, err);
    if (rc < 0)
        return -1;
    if (!f)
        return call_refuse(c, 404, "FUNCTION_NOT_FOUND", "Function %s is not known", l->id);
    bool own = caller_is(&c->caller, f->owner);
    function_unref(f);
    if (!own)
        return call_refuse(c, 403, "FUNCTION_ACCESS_FORBIDDEN", "Function %s is not yours", l->id);
    return db_run(db, err, "UPDATE functions SET deleted = 1 WHERE id = ?", "s", l->id) < 0 ? -1
                                                                                            : 0;
}

static void deleted(struct call *c)
{
    struct lookup *l = c->state;
    struct json_object *o = json_object_new_object();
    rowcache_forget(c->api->cache, l->id);
    json_add_int(o, "result", 302);
    call_reply(c, 200, o);
}

static void delete (struct call *c)
{
    begin_lookup(c, true, delete_one, deleted);
}

void on_function_delete(struct req *r)
{
    call_begin(r, delete);
}
