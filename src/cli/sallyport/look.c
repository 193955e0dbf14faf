/* endpoint list, task list: what the ledger has, for administrators. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/sallyport/commands.h"
#include "cli/sallyport/ledger.h"
#include "cli/sallyport/show.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/cli/show.h"

#define ROWS_MAX "1000"

struct look {
    const char *state; /* NULL = any that is not finished */
    struct json_object *out;
};

static int take(struct look *w, struct db_rows *r, const char *const *keys, struct err *err)
{
    int rc;
    json_object_put(w->out);
    w->out = json_object_new_array();
    while ((rc = db_next(r, err)) == 1) {
        struct json_object *o = json_object_new_object();
        for (int i = 0; keys[i]; i++) {
            const char *text = db_text(r, i);
            if (strcmp(keys[i], "created") == 0 || strcmp(keys[i], "seen") == 0)
                json_add_int(o, keys[i], db_int(r, i));
            else
                json_add_str(o, keys[i], text ? text : "");
        }
        json_object_array_add(w->out, o);
    }
    db_rows_end(r);
    return rc;
}

static int endpoints_job(struct db *db, void *arg, struct err *err)
{
    static const char *const keys[] = {"endpoint_id", "name", "owner", "kind", "seen", NULL};
    struct db_rows *r = db_query(
        db, err,
        "SELECT e.id, COALESCE(e.display_name, e.name), COALESCE(i.username, e.owner), "
        "CASE WHEN e.is_template = 1 THEN 'manager' ELSE 'endpoint' END, "
        "COALESCE(p.seen_us, 0) / 1000000 FROM endpoints e LEFT JOIN presence p ON p.id = e.id "
        "LEFT JOIN auth_identities i ON i.id = e.owner WHERE e.deleted = 0 ORDER BY e.created_us "
        "LIMIT " ROWS_MAX,
        "");
    return r ? take(arg, r, keys, err) : -1;
}

int cmd_endpoint_list(const struct args *a)
{
    static const struct show_column columns[] = {{"ENDPOINT", "endpoint_id"},
                                                 {"NAME", "name"},
                                                 {"OWNER", "owner"},
                                                 {"KIND", "kind"},
                                                 {"LAST SEEN", "seen", SHOW_TIME},
                                                 {0}};
    struct look w = {0};
    int rc = ledger_run(a, endpoints_job, &w, NULL);
    return show_list(a, rc, w.out, columns, "No endpoint is registered.");
}

static int tasks_job(struct db *db, void *arg, struct err *err)
{
    static const char *const keys[] = {"task_id", "owner", "endpoint_id", "state", "created", NULL};
    static const struct {
        const char *word, *condition;
    } states[] = {{"open", "t.state < 2"},
                  {"waiting", "t.state = 0"},
                  {"sent", "t.state = 1"},
                  {"succeeded", "t.state = 2"},
                  {"failed", "t.state = 3"}};
    struct look *w = arg;
    const char *condition = NULL;
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (strcmp(w->state, states[i].word) == 0)
            condition = states[i].condition;
    if (!condition)
        return err_set(err, "--state %s: it is open, waiting, sent, succeeded or failed", w->state);
    autofree char *sql = xasprintf(
        "SELECT t.id, COALESCE(i.username, t.owner), t.endpoint, CASE t.state WHEN 0 THEN "
        "'waiting' WHEN 1 THEN 'sent' WHEN 2 THEN 'succeeded' ELSE 'failed' END, "
        "t.created_us / 1000000 FROM tasks t LEFT JOIN auth_identities i ON i.id = t.owner "
        "WHERE %s ORDER BY t.id DESC LIMIT " ROWS_MAX,
        condition);
    struct db_rows *r = db_query(db, err, sql, "");
    return r ? take(w, r, keys, err) : -1;
}

int cmd_task_list(const struct args *a)
{
    static const struct show_column columns[] = {{"TASK", "task_id"},
                                                 {"USER", "owner"},
                                                 {"ENDPOINT", "endpoint_id"},
                                                 {"STATE", "state"},
                                                 {"SINCE", "created", SHOW_TIME},
                                                 {0}};
    const char *state = args_get(a, "--state");
    struct look w = {.state = state ? state : "open"};
    int rc = ledger_run(a, tasks_job, &w, NULL);
    return show_list(a, rc, w.out, columns, "There is no such task.");
}
