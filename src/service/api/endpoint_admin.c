/* Locking (stop --remote) and deleting endpoints: both take the broker's credentials away. */
#include <string.h>

#include "service/api/private.h"

#define LOCK_S (15 * 60)

struct change {
    char id[UUID_TEXT];
    bool remove;
    int64_t locked_until_s;
    char (*ueps)[UUID_TEXT];
    size_t n;
};

static void change_free(void *arg)
{
    struct change *x = arg;
    free(x->ueps);
    free(x);
}

static int read_ueps(struct db *db, struct change *x, struct err *err)
{
    struct db_rows *r = db_query(db, err, "SELECT id FROM ueps WHERE endpoint = ?", "s", x->id);
    int rc;
    x->n = 0;
    if (!r)
        return -1;
    while ((rc = db_next(r, err)) == 1) {
        x->ueps = xrealloc(x->ueps, (x->n + 1) * sizeof(*x->ueps));
        strncpy(x->ueps[x->n], db_text(r, 0), UUID_TEXT);
        x->ueps[x->n++][UUID_TEXT - 1] = '\0';
    }
    db_rows_end(r);
    return rc;
}

static int job(struct db *db, void *arg, struct err *err)
{
    struct call *c = arg;
    struct change *x = c->state;
    struct endpoint *e;
    if (endpoint_load(db, x->id, &e, err) < 0)
        return -1;
    if (!e)
        return call_refuse(c, 404, "ENDPOINT_NOT_FOUND", "Endpoint %s is not known", x->id);
    enum access_role role = endpoint_role(e, &c->caller);
    endpoint_unref(e);
    if (role < (x->remove ? ACCESS_CONFIGURE : ACCESS_OPERATE))
        return call_refuse(c, 403, "ENDPOINT_ACCESS_FORBIDDEN", "Endpoint %s is not yours to %s",
                           x->id, x->remove ? "delete" : "stop");
    if (read_ueps(db, x, err) < 0)
        return -1;
    x->locked_until_s = now_us() / 1000000 + LOCK_S;
    return (x->remove ? db_run(db, err, "UPDATE endpoints SET deleted = 1 WHERE id = ?", "s", x->id)
                      : db_run(db, err, "UPDATE endpoints SET locked_until_s = ? WHERE id = ?",
                               "is", x->locked_until_s, x->id)) < 0
               ? -1
               : 0;
}

/* The queue goes with the credentials: whoever consumes it is cut off even where the broker keeps
 * connections of a revoked user open. */
static void cut_off(struct api *api, const char *id, bool command_queue)
{
    autofree char *principal = xasprintf("ep.%s", id);
    creds_revoke(api->creds, principal, NULL, NULL);
    if (command_queue)
        broker_queue_delete(api->broker, BROKER_COMMANDS, id);
    if (api->kick)
        api->kick(api->kick_arg, principal);
}

static void done(struct call *c)
{
    struct change *x = c->state;
    struct api *api = c->api;
    struct json_object *o = json_object_new_object();
    rowcache_forget(api->cache, x->id);
    cut_off(api, x->id, true);
    for (size_t i = 0; i < x->n; i++) {
        cut_off(api, x->ueps[i], false);
        if (!x->remove)
            continue;
        results_fail_all(api->results, x->ueps[i], "EndpointDeleted",
                         "The endpoint was deleted before this task had run");
        presence_forget(api->presence, x->ueps[i]);
    }
    log_info("request=%s event=endpoint-%s endpoint=%s by=%s", req_id(c->req),
             x->remove ? "deleted" : "locked", x->id, c->caller.username);
    if (x->remove) {
        presence_forget(api->presence, x->id);
        json_add_int(o, "result", 302);
    } else {
        char when[64];
        clock_iso_utc(x->locked_until_s * 1000000000, when, sizeof(when));
        json_add_str(o, "endpoint_id", x->id);
        json_add_str(o, "lock_expiration_timestamp", when);
    }
    call_reply(c, 200, o);
}

static void begin(struct call *c, bool remove)
{
    struct change *x = xcalloc(1, sizeof(*x));
    c->state = x;
    c->free_state = change_free;
    x->remove = remove;
    if (call_id(c, x->id))
        call_job(c, true, job, done);
}

static void lock(struct call *c)
{
    begin(c, false);
}

static void delete (struct call *c)
{
    begin(c, true);
}

void on_endpoint_lock(struct req *r)
{
    call_begin(r, lock);
}

void on_endpoint_delete(struct req *r)
{
    call_begin(r, delete);
}
