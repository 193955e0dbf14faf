/* Task groups, and the address of their result streams (web-service.md 7.2). */
#include <string.h>

#include "service/api/private.h"

#define GROUP_TASKS_MAX 200000
#define ROTATE_S (24u * 3600)

struct lookup {
    char id[UUID_TEXT];
    char owner[UUID_TEXT];
    struct buf out;
};

static void lookup_free(void *arg)
{
    struct lookup *l = arg;
    buf_free(&l->out);
    free(l);
}

static int list_tasks(struct db *db, struct lookup *l, struct err *err)
{
    int rc;
    struct db_rows *r =
        db_query(db, err, "SELECT id, created_us FROM tasks WHERE grp = ? ORDER BY id LIMIT ?",
                 "si", l->id, (int64_t)GROUP_TASKS_MAX);
    if (!r)
        return -1;
    for (bool first = true; (rc = db_next(r, err)) == 1; first = false) {
        char when[64];
        clock_iso_utc(db_int(r, 1) * 1000, when, sizeof(when));
        buf_fmt(&l->out, "%s{\"id\":\"%s\",\"created_at\":\"%s\"}", first ? "" : ",", db_text(r, 0),
                when);
    }
    db_rows_end(r);
    return rc;
}

static int job(struct db *db, void *arg, struct err *err)
{
    struct call *c = arg;
    struct lookup *l = c->state;
    struct group *g;
    if (group_load(db, l->id, &g, err) < 0)
        return -1;
    if (!g)
        return call_refuse(c, 404, "TASK_GROUP_NOT_FOUND", "Task group %s is not known", l->id);
    bool own = caller_is(&c->caller, g->owner);
    strcpy(l->owner, g->owner);
    group_unref(g);
    if (!own)
        return call_refuse(c, 403, "TASK_GROUP_ACCESS_FORBIDDEN", "Task group %s is not yours",
                           l->id);
    buf_clear(&l->out);
    buf_fmt(&l->out, "{\"taskgroup_id\":\"%s\",\"create_websockets_queue\":true,\"tasks\":[",
            l->id);
    if (list_tasks(db, l, err) < 0)
        return -1;
    buf_str(&l->out, "]}");
    return 0;
}

static void queue_made(void *arg, const struct broker_queue_state *state, const struct err *err)
{
    struct call *c = arg;
    struct lookup *l = c->state;
    if (!state) {
        call_no_broker(c, err);
        return;
    }
    reply_text(c->req, 200, "application/json", l->out.data, l->out.len);
    call_end(c);
}

/* The client reads the stream next: it has to be there, even if it had expired. */
static void found(struct call *c)
{
    struct lookup *l = c->state;
    autofree char *name = xasprintf("%s.%s", l->owner, l->id);
    broker_queue_make(c->api->broker, BROKER_STREAM, name, queue_made, c);
}

static void get(struct call *c)
{
    struct lookup *l = xcalloc(1, sizeof(*l));
    c->state = l;
    c->free_state = lookup_free;
    if (call_id(c, l->id))
        call_job(c, false, job, found);
}

void on_group_get(struct req *r)
{
    call_begin(r, get);
}

/* ---- the address ---- */

static void issued(void *arg, const char *password, const struct err *err)
{
    struct call *c = arg;
    if (!password) {
        log_warning("request=%s: %s", req_id(c->req), err->text);
        call_error(c, 503, "LEDGER_UNAVAILABLE",
                   "The service can't reach its ledger at the moment; please try again");
        return;
    }
    autofree char *principal = xasprintf("usr.%s", c->caller.sub);
    autofree char *prefix = xasprintf("usr.%s.", c->caller.sub);
    char *url = broker_url(c->api->broker, principal, password);
    struct json_object *o = json_object_new_object();
    json_add_str(o, "queue_prefix", prefix);
    json_add_str(o, "connection_url", url);
    wipe_free(url);
    call_reply(c, 200, o);
}

static void result_url(struct call *c)
{
    autofree char *principal = xasprintf("usr.%s", c->caller.sub);
    creds_issue(c->api->creds, principal, ROTATE_S, issued, c);
}

void on_result_url(struct req *r)
{
    call_begin(r, result_url);
}
