/* One question of a page to the ledger: who asks, the job, the reply. */
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "service/web/private.h"

#define ONLINE_MIN_S 20 /* as api/presence.c has it */

static void look_end(struct look *l)
{
    req_unref(l->r);
    buf_free(&l->mine);
    json_object_put(l->out);
    free(l);
}

void look_reply(struct look *l)
{
    if (l->out == NULL)
        reply_error(l->r, 404, "NOT_FOUND", "There is none of that id, or it is not yours");
    else
        reply_json(l->r, 200, json_object_get(l->out));
    look_end(l);
}

static int run_job(struct db *db, void *arg, struct err *err)
{
    struct look *l = arg;
    json_object_put(l->out);
    l->out = NULL;
    return l->job(l, db, err);
}

static void done(void *arg, int rc, const struct err *err)
{
    struct look *l = arg;
    if (rc == 0) {
        l->then(l);
        return;
    }
    static struct log_rate rate = LOG_RATE(5, 60);
    if (log_rate_ok(&rate))
        log_error("request=%s: the ledger did not answer the console: %s", req_id(l->r), err->text);
    reply_error(l->r, 503, "INTERNAL_ERROR", "The ledger does not answer; try again in a moment");
    look_end(l);
}

/* What the callbacks of auth_page() need is on the request: it has no other argument. */
struct pending {
    int (*job)(struct look *l, struct db *db, struct err *err);
    void (*then)(struct look *l);
};

static void known(struct req *r, const struct auth_who *who)
{
    struct pending *p = req_data(r);
    struct look *l = xcalloc(1, sizeof *l);
    const char *id = req_param(r, "id"), *mine = req_query(r, "mine");
    const char *before = req_query(r, "before");
    l->web = req_arg(r);
    l->r = req_ref(r);
    l->job = p->job;
    l->then = p->then;
    l->all = who->is_admin && (mine == NULL || strcmp(mine, "1") != 0);
    l->status = tasks_state(req_query(r, "status"));
    memcpy(l->sub, who->sub, UUID_TEXT);
    size_t n = json_object_array_length(who->identity_set);
    for (size_t i = 0; i < n; i++) {
        const char *sub = json_str_or(json_object_array_get_idx(who->identity_set, i), "sub", "");
        if (uuid_is_canonical(sub)) /* it goes into SQL as it is */
            buf_fmt(&l->mine, "%s'%s'", l->mine.len > 0 ? "," : "", sub);
    }
    if ((id != NULL && !uuid_parse(id, l->id)) ||
        (before != NULL && !uuid_parse(before, l->before))) {
        reply_error(r, 400, "INVALID_UUID", "\"%.64s\" is not a UUID", id != NULL ? id : before);
        look_end(l);
        return;
    }
    store_read(l->web->opts.store, run_job, done, l);
}

void look_begin(struct req *r, int (*job)(struct look *l, struct db *db, struct err *err),
                void (*then)(struct look *l))
{
    struct web *w = req_arg(r);
    struct pending *p = xcalloc(1, sizeof *p);
    p->job = job;
    p->then = then;
    req_set_data(r, p, free);
    auth_page(w->opts.auth, r, known);
}

bool look_may_see(const struct look *l, const char *owner)
{
    return l->all || (owner != NULL && uuid_is_canonical(owner) &&
                      strstr(l->mine.data == NULL ? "" : l->mine.data, owner) != NULL);
}

double look_seconds(struct db_rows *rows, int column)
{
    return (double)db_int(rows, column) / 1e6;
}

bool look_is_online(struct db_rows *rows, int seen, int period, int active)
{
    double age = clock_unix() - look_seconds(rows, seen), p = db_double(rows, period);
    double patience = 3 * p < ONLINE_MIN_S ? ONLINE_MIN_S : 3 * p;
    return db_int(rows, active) != 0 && p > 0 && age < patience + PRESENCE_LAG_S;
}
