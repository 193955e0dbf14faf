/* Looking at endpoints: lists, metadata, status, allowed functions (web-service.md 4). */
#include <string.h>

#include "service/api/private.h"

struct view {
    char id[UUID_TEXT];
    bool any; /* of the list: public ones too */
    struct json_object *answer;
    char parent[UUID_TEXT]; /* of a user endpoint */
};

static void view_free(void *arg)
{
    struct view *v = arg;
    json_object_put(v->answer);
    free(v);
}

static void answer(struct call *c)
{
    struct view *v = c->state;
    struct json_object *o = v->answer;
    v->answer = NULL;
    call_reply(c, 200, o);
}

static void begin(struct call *c, store_job_f *job, call_f *next)
{
    struct view *v = xcalloc(1, sizeof(*v));
    c->state = v;
    c->free_state = view_free;
    if (call_id(c, v->id))
        call_job(c, false, job, next);
}

static int not_known(struct call *c)
{
    return call_refuse(c, 404, "ENDPOINT_NOT_FOUND", "Endpoint %s is not known",
                       ((struct view *)c->state)->id);
}

/* ---- list ---- */

enum listed { LIST_OWNED, LIST_SHARED, LIST_PUBLIC };

/* identity: whose, or with whom they are shared. */
static int list_some(struct db *db, struct json_object *list, struct map *seen, enum listed what,
                     const char *identity, struct err *err)
{
#define COLUMNS "SELECT id, name, display_name, owner FROM endpoints WHERE "
#define ORDER " AND deleted = 0 ORDER BY created_us LIMIT 10000"
    struct db_rows *r =
        what == LIST_OWNED ? db_query(db, err, COLUMNS "owner = ?" ORDER, "s", identity)
        : what == LIST_PUBLIC
            ? db_query(db, err, COLUMNS "public = 1" ORDER, "")
            : db_query(db, err,
                       COLUMNS "id IN (SELECT a.endpoint FROM endpoint_access a LEFT JOIN "
                               "group_members m ON m.grp = a.who WHERE a.who = ? OR "
                               "m.identity = ?)" ORDER,
                       "ss", identity, identity);
#undef COLUMNS
#undef ORDER
    int rc;
    if (!r)
        return -1;
    while ((rc = db_next(r, err)) == 1) {
        if (map_get(seen, db_text(r, 0)))
            continue;
        map_put(seen, db_text(r, 0), seen);
        struct json_object *o = json_object_new_object();
        json_add_str(o, "uuid", db_text(r, 0));
        json_add_str(o, "name", db_text(r, 1));
        json_add_str(o, "display_name", db_text(r, 2) ? db_text(r, 2) : db_text(r, 1));
        json_add_str(o, "owner", db_text(r, 3));
        json_object_array_add(list, o);
    }
    db_rows_end(r);
    return rc;
}

static int list_of(struct db *db, struct view *v, struct map *seen, const char *identity,
                   struct err *err)
{
    int rc = list_some(db, v->answer, seen, LIST_OWNED, identity, err);
    return rc == 0 && v->any ? list_some(db, v->answer, seen, LIST_SHARED, identity, err) : rc;
}

static int list_job(struct db *db, void *arg, struct err *err)
{
    struct call *c = arg;
    struct view *v = c->state;
    struct map *seen = map_create();
    size_t n = c->caller.identity_set ? json_object_array_length(c->caller.identity_set) : 0;
    json_object_put(v->answer);
    v->answer = json_object_new_array();
    int rc = list_of(db, v, seen, c->caller.sub, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct json_object *o = json_object_array_get_idx(c->caller.identity_set, i);
        const char *sub = json_str_or(o, "sub", NULL);
        if (sub)
            rc = list_of(db, v, seen, sub, err);
    }
    if (rc == 0 && v->any)
        rc = list_some(db, v->answer, seen, LIST_PUBLIC, NULL, err);
    map_destroy(seen, NULL);
    return rc;
}

static void list(struct call *c)
{
    struct view *v = xcalloc(1, sizeof(*v));
    const char *role = req_query(c->req, "role");
    c->state = v;
    c->free_state = view_free;
    v->any = role && strcmp(role, "any") == 0;
    if (role && !v->any && strcmp(role, "owner") != 0) {
        call_error(c, 422, "SEMANTICALLY_INVALID", "role is owner or any, not %.40s", role);
        return;
    }
    call_job(c, false, list_job, answer);
}

void on_endpoint_list(struct req *r)
{
    call_begin(r, list);
}

/* ---- one ---- */

static void add_text(struct json_object *to, const char *key, struct json_object *metadata,
                     const char *from)
{
    const char *s = json_str_or(metadata, from, NULL);
    json_add_str(to, key, s);
}

static struct json_object *describe(struct db_rows *r, const char *id, bool admin)
{
    struct json_object *o = json_object_new_object();
    const char *text = db_text(r, 6);
    autojson struct json_object *m = json_read(text, strlen(text), 8 << 20, "metadata", NULL);
    struct json_object *schema = json_at(m, "user_config_schema");
    json_add_str(o, "uuid", id);
    json_add_str(o, "name", db_text(r, 0));
    json_add_str(o, "display_name", db_text(r, 1) ? db_text(r, 1) : db_text(r, 0));
    json_add_str(o, "owner", db_text(r, 2));
    json_add_bool(o, "multi_user", db_int(r, 3));
    json_add_bool(o, "public", db_int(r, 4));
    json_add_str(o, "subscription_uuid", db_text(r, 5));
    json_add_str(o, "description", "");
    /* Template and schema are the documentation of the variables that users may set; how the site
     * runs the endpoint is its administrators' business. */
    add_text(o, "user_config_template", m, "user_config_template");
    json_add(o, "user_config_schema", schema ? json_object_get(schema) : NULL);
    add_text(o, "hostname", m, "hostname");
    add_text(o, "endpoint_version", m, "endpoint_version");
    add_text(o, "sdk_version", m, "endpoint_version");
    json_add_str(o, "ip_address", NULL);
    if (admin) {
        add_text(o, "endpoint_config", m, "endpoint_config");
        add_text(o, "local_user", m, "local_user");
        json_add(o, "metadata", json_object_get(m));
    }
    return o;
}

static int get_job(struct db *db, void *arg, struct err *err)
{
    struct call *c = arg;
    struct view *v = c->state;
    struct endpoint *e;
    if (endpoint_load(db, v->id, &e, err) < 0)
        return -1;
    if (!e)
        return not_known(c);
    bool admin = endpoint_role(e, &c->caller) >= ACCESS_VIEW;
    endpoint_unref(e);
    struct db_rows *r =
        db_query(db, err,
                 "SELECT name, display_name, owner, multi_user, public, subscription, metadata "
                 "FROM endpoints WHERE id = ?",
                 "s", v->id);
    int rc = r ? db_next(r, err) : -1;
    if (rc == 1) {
        json_object_put(v->answer);
        v->answer = describe(r, v->id, admin);
    }
    db_rows_end(r);
    return rc < 0 ? -1 : 0;
}

static void get(struct call *c)
{
    begin(c, get_job, answer);
}

void on_endpoint_get(struct req *r)
{
    call_begin(r, get);
}

/* ---- status ---- */

/* An endpoint of anybody, or a user endpoint of the caller or of an endpoint that is the caller's.
 */
static int status_job(struct db *db, void *arg, struct err *err)
{
    struct call *c = arg;
    struct view *v = c->state;
    struct endpoint *e = NULL;
    if (endpoint_load(db, v->id, &e, err) < 0)
        return -1;
    if (e) {
        endpoint_unref(e);
        return 0;
    }
    struct db_rows *r =
        db_query(db, err, "SELECT endpoint, owner FROM ueps WHERE id = ?", "s", v->id);
    int rc = r ? db_next(r, err) : -1;
    bool own = rc == 1 && caller_is(&c->caller, db_text(r, 1));
    if (rc == 1)
        strncpy(v->parent, db_text(r, 0), UUID_TEXT - 1);
    db_rows_end(r);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return not_known(c);
    if (own)
        return 0;
    if (endpoint_load(db, v->parent, &e, err) < 0)
        return -1;
    bool admin = e && endpoint_role(e, &c->caller) >= ACCESS_VIEW;
    endpoint_unref(e);
    return admin ? 0
                 : call_refuse(c, 403, "ENDPOINT_ACCESS_FORBIDDEN", "Endpoint %s is not yours",
                               v->id);
}

static void status(struct call *c)
{
    static const char *const shown[] = {"total_workers",     "idle_workers", "pending_tasks",
                                        "outstanding_tasks", "managers",     "active_managers"};
    struct view *v = c->state;
    struct json_object *o = json_object_new_object(), *details = json_object_new_object();
    struct json_object *state = presence_details(c->api->presence, v->id), *value;
    bool online = presence_is_online(c->api->presence, v->id);
    for (size_t i = 0; online && i < sizeof(shown) / sizeof(shown[0]); i++)
        if (json_object_object_get_ex(state, shown[i], &value))
            json_add(details, shown[i], json_object_get(value));
    json_add_str(o, "status", online ? "online" : "offline");
    json_add(o, "details", details);
    call_reply(c, 200, o);
}

static void get_status(struct call *c)
{
    begin(c, status_job, status);
}

void on_endpoint_status(struct req *r)
{
    call_begin(r, get_status);
}

/* ---- allowed functions ---- */

static int allowed_job(struct db *db, void *arg, struct err *err)
{
    struct call *c = arg;
    struct view *v = c->state;
    struct endpoint *e;
    if (endpoint_load(db, v->id, &e, err) < 0)
        return -1;
    if (!e)
        return not_known(c);
    json_object_put(v->answer);
    v->answer = json_object_new_object();
    json_add_str(v->answer, "endpoint_id", v->id);
    json_add_bool(v->answer, "restricted", e->allowed != NULL);
    json_add(v->answer, "functions",
             e->allowed ? json_object_get(e->allowed) : json_object_new_array());
    endpoint_unref(e);
    return 0;
}

static void allowed(struct call *c)
{
    begin(c, allowed_job, answer);
}

void on_endpoint_allowed(struct req *r)
{
    call_begin(r, allowed);
}
