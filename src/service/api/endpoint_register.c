/* POST and PUT of endpoints: an endpoint's process says who it is and gets its place at the broker
 * (web-service.md 4.1).
 *
 *   checked ──▶ row in the ledger ──▶ queue and password ──▶ answer
 *
 * Credentials are stable over registrations, so one that runs is not cut off by a second. */
#include <stdlib.h>
#include <string.h>

#include "service/api/private.h"
#include "service/auth/policy.h"

#define ROTATE_S (30u * 24 * 3600)

struct registration {
    char id[UUID_TEXT];
    bool is_put;
    const char *name, *display_name; /* in the request's JSON */
    bool multi_user, is_public, high_assurance, is_template;
    char policy[UUID_TEXT], subscription[UUID_TEXT];
    struct json_object *admins, *allowed;
    struct buf metadata;
    char *admins_text, *allowed_text;
    char *password;
    struct call *call;
};

static void registration_free(void *arg)
{
    struct registration *e = arg;
    json_object_put(e->admins);
    json_object_put(e->allowed);
    buf_free(&e->metadata);
    free(e->admins_text);
    free(e->allowed_text);
    wipe_free(e->password);
    free(e);
}

static const char *or_null(const char *s)
{
    return s && *s ? s : NULL;
}

static char *text_of(struct json_object *o)
{
    struct buf b = BUF_INIT;
    if (!o)
        return NULL;
    json_write(&b, o);
    return buf_take(&b);
}

static int functions_exist(struct db *db, struct call *c, struct json_object *list, struct err *err)
{
    size_t n = list ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < n && !c->status; i++) {
        const char *id = json_object_get_string(json_object_array_get_idx(list, i));
        struct db_rows *r =
            db_query(db, err, "SELECT 1 FROM functions WHERE id = ? AND deleted = 0", "s", id);
        int rc = r ? db_next(r, err) : -1;
        db_rows_end(r);
        if (rc < 0)
            return -1;
        if (rc == 0)
            call_refuse(c, 404, "FUNCTION_NOT_FOUND",
                        "allowed_functions names function %s, which is not known", id);
    }
    return 0;
}

/* What is there already must be the caller's, not deleted, not locked. */
static int check_old(struct db *db, struct call *c, struct err *err)
{
    struct registration *e = c->state;
    struct endpoint *old = NULL;
    struct db_rows *r = db_query(db, err, "SELECT deleted FROM endpoints WHERE id = ?", "s", e->id);
    int rc = r ? db_next(r, err) : -1;
    bool deleted = rc == 1 && db_int(r, 0);
    db_rows_end(r);
    if (rc <= 0)
        return rc;
    if (deleted)
        return call_refuse(c, 404, "ENDPOINT_NOT_FOUND", "Endpoint %s was deleted", e->id);
    if (endpoint_load(db, e->id, &old, err) < 0)
        return -1;
    if (!old)
        return 0;
    if (endpoint_role(old, &c->caller) < ACCESS_CONFIGURE)
        call_refuse(c, 403, "ENDPOINT_ALREADY_REGISTERED",
                    "Endpoint %s is registered by somebody else", e->id);
    else if (old->locked_until_s > now_us() / 1000000)
        call_refuse(c, 423, "RESOURCE_LOCKED",
                    "Endpoint %s was stopped remotely and is locked for another %lld s", e->id,
                    (long long)(old->locked_until_s - now_us() / 1000000));
    else if (old->high_assurance != e->high_assurance)
        call_refuse(c, 422, "SEMANTICALLY_INVALID",
                    "Request payload failed validation: high_assurance can't be changed");
    endpoint_unref(old);
    return 0;
}

/* What high assurance rests on here is the policy: it is looked at with each submit. */
static int check_assurance(struct db *db, struct call *c, struct err *err)
{
    const struct registration *e = c->state;
    struct json_object *policy = NULL;
    int rc = policy_load(db, e->policy, &policy, err);
    bool strict = rc == 1 && json_object_get_boolean(json_at(policy, "high_assurance"));
    json_object_put(policy);
    if (rc == 0)
        call_refuse(c, 422, "SEMANTICALLY_INVALID",
                    "Request payload failed validation: authentication_policy %s is not known to "
                    "this service",
                    e->policy);
    else if (rc == 1 && !strict)
        call_refuse(c, 422, "SEMANTICALLY_INVALID",
                    "Request payload failed validation: authentication_policy %s was not made for "
                    "high assurance; make one with high_assurance: true",
                    e->policy);
    return rc < 0 ? -1 : 0;
}

static int save(struct db *db, void *arg, struct err *err)
{
    struct call *c = arg;
    const struct registration *e = c->state;
    int64_t now = now_us();
    c->status = 0;
    if ((e->is_put && check_old(db, c, err) < 0) || functions_exist(db, c, e->allowed, err) < 0 ||
        (!c->status && e->high_assurance && check_assurance(db, c, err) < 0))
        return -1;
    if (c->status)
        return 0;
    return db_run(db, err,
                  "INSERT INTO endpoints(id, owner, name, display_name, multi_user, public, "
                  "high_assurance, policy, subscription, admins, allowed, metadata, is_template, "
                  "created_us, registered_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                  "ON CONFLICT(id) DO UPDATE SET name = excluded.name, "
                  "display_name = excluded.display_name, multi_user = excluded.multi_user, "
                  "public = excluded.public, policy = excluded.policy, "
                  "subscription = excluded.subscription, admins = excluded.admins, "
                  "allowed = excluded.allowed, metadata = excluded.metadata, "
                  "is_template = excluded.is_template, registered_us = excluded.registered_us",
                  "ssssiiisssssiii", e->id, c->caller.sub, e->name, or_null(e->display_name),
                  (int64_t)e->multi_user, (int64_t)e->is_public, (int64_t)e->high_assurance,
                  or_null(e->policy), or_null(e->subscription), e->admins_text, e->allowed_text,
                  e->metadata.data, (int64_t)e->is_template, now, now) < 0
               ? -1
               : 0;
}

static void queues_made(void *arg, const struct broker_queue_state *state, const struct err *err)
{
    struct call *c = arg;
    struct registration *e = c->state;
    if (!state) {
        call_no_broker(c, err);
        return;
    }
    struct json_object *o =
        broker_queue_infos(c->api->broker, e->id, e->password, true, !e->is_template);
    json_add(o, "warnings", json_object_new_array());
    log_info("request=%s event=endpoint-registered endpoint=%s name=%s owner=%s multi_user=%d",
             req_id(c->req), e->id, e->name, c->caller.username, e->multi_user);
    call_reply(c, 200, o);
}

static void commands_made(void *arg, const struct broker_queue_state *state, const struct err *err)
{
    struct call *c = arg;
    struct registration *e = c->state;
    if (state && !e->is_template)
        broker_queue_make(c->api->broker, BROKER_TASKS, e->id, queues_made, c);
    else
        queues_made(c, state, err);
}

static void issued(void *arg, const char *password, const struct err *err)
{
    struct call *c = arg;
    struct registration *e = c->state;
    if (!password) {
        call_no_broker(c, err);
        return;
    }
    e->password = xstrdup(password);
    broker_queue_make(c->api->broker, BROKER_COMMANDS, e->id, commands_made, c);
}

static void saved(struct call *c)
{
    struct registration *e = c->state;
    autofree char *principal = xasprintf("ep.%s", e->id);
    rowcache_forget(c->api->cache, e->id);
    creds_issue(c->api->creds, principal, ROTATE_S, issued, c);
}

/* Releases as numbers between dots; what follows the third doesn't matter ("4.19.0.dev1"). */
static bool is_older(const char *version, const char *minimum)
{
    for (int i = 0; i < 3; i++) {
        char *after_v, *after_m;
        long v = strtol(version, &after_v, 10), m = strtol(minimum, &after_m, 10);
        if (v != m || after_v == version)
            return after_v != version && v < m;
        version = after_v + (*after_v == '.');
        minimum = after_m + (*after_m == '.');
    }
    return false;
}

static bool read_body(struct call *c, struct registration *e)
{
    struct json_object *o = call_json(c), *metadata;
    if (!o)
        return false;
    if (!field_str(c, o, "endpoint_name", 256, true, &e->name) ||
        !field_str(c, o, "display_name", 1024, false, &e->display_name) ||
        !field_bool(c, o, "multi_user", &e->multi_user) ||
        !field_bool(c, o, "public", &e->is_public) ||
        !field_bool(c, o, "high_assurance", &e->high_assurance) ||
        !field_uuid(c, o, "authentication_policy", false, e->policy) ||
        !field_uuid(c, o, "subscription_uuid", false, e->subscription) ||
        !field_obj(c, o, "metadata", true, &metadata) || !field_uuids(c, o, "admins", &e->admins) ||
        !field_uuids(c, o, "allowed_functions", &e->allowed))
        return false;
    if (e->high_assurance && !e->policy[0]) {
        call_error(c, 422, "SEMANTICALLY_INVALID",
                   "Request payload failed validation: high_assurance needs an "
                   "authentication_policy; `globus-compute-endpoint configure` makes one");
        return false;
    }
    const char *version = json_str_or(metadata, "endpoint_version", "");
    if (is_older(version, c->api->settings.min_endpoint)) {
        call_error(c, 400, "ENDPOINT_OUTDATED",
                   "This service needs release %s or later of the endpoint; this one is %.40s",
                   c->api->settings.min_endpoint, version);
        return false;
    }
    json_write(&e->metadata, metadata);
    e->is_template = json_str_or(metadata, "user_config_template", NULL) != NULL;
    e->admins_text = text_of(e->admins);
    e->allowed_text = text_of(e->allowed);
    return true;
}

static void register_it(struct call *c, bool is_put)
{
    struct registration *e = xcalloc(1, sizeof(*e));
    c->state = e;
    c->free_state = registration_free;
    e->is_put = is_put;
    if (is_put && !call_id(c, e->id))
        return;
    if (!is_put)
        uuid_random(e->id);
    if (read_body(c, e))
        call_job(c, true, save, saved);
}

static void post(struct call *c)
{
    register_it(c, false);
}

static void put(struct call *c)
{
    register_it(c, true);
}

void on_endpoint_register(struct req *r)
{
    call_begin(r, post);
}

void on_endpoint_put(struct req *r)
{
    call_begin(r, put);
}
