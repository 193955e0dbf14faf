/* Tasks: the newest ones, and one with its way from submit to result.
 *
 * The ledger may hold ten million finished tasks, and it has no index by owner: a person's tasks
 * are found through the person's newest task groups, an administrator's list by the ids, which are
 * ordered by time.  Both look at a bounded number of rows. */
#include <string.h>

#include "lib/wire/wire.h"
#include "service/web/private.h"

#define PAGE 50
#define GROUPS_MAX 30
#define SCAN_MAX 20000 /* rows that a filter looks at */
#define ERROR_SHOWN (16u << 10)

enum { WAITING, SENT, SUCCEEDED, FAILED, STATES };
static const char *const states[STATES] = {"waiting-for-ep", "waiting-for-nodes", "success",
                                           "failed"};

#define COLUMNS                                                                                    \
    "t.id, t.state, t.created_us, t.done_us, t.owner, " OWNER_NAME ", f.name, t.uep, t.endpoint, " \
    "t.grp"
#define JOINS                                                                                      \
    " LEFT JOIN auth_identities i ON i.id = t.owner LEFT JOIN functions f ON f.id = t.function"

static struct json_object *make(struct db_rows *rows)
{
    struct json_object *o = json_object_new_object();
    int64_t state = db_int(rows, 1);
    json_add_str(o, "id", db_text(rows, 0));
    json_add_str(o, "status", state >= 0 && state < STATES ? states[state] : "failed");
    json_add_double(o, "submitted", look_seconds(rows, 2));
    if (!db_is_null(rows, 3))
        json_add_double(o, "finished", look_seconds(rows, 3));
    json_add_str(o, "owner_id", db_text(rows, 4));
    json_add_str(o, "owner", db_is_null(rows, 5) ? db_text(rows, 4) : db_text(rows, 5));
    json_add_str(o, "function_name", db_is_null(rows, 6) ? "(deleted)" : db_text(rows, 6));
    json_add_str(o, "uep_id", db_text(rows, 7));
    json_add_str(o, "endpoint_id", db_text(rows, 8));
    json_add_str(o, "task_group_id", db_text(rows, 9));
    return o;
}

/* " AND ..." for endpoint, state, and what comes before. All of it is ours or canonical. */
static char *filter(const char *endpoint, int status, const char *before)
{
    struct buf b = BUF_INIT;
    buf_str(&b, "");
    if (*endpoint != '\0')
        buf_fmt(&b, " AND (uep = '%s' OR endpoint = '%s')", endpoint, endpoint);
    if (status >= 0)
        buf_fmt(&b, " AND state = %d", status);
    if (*before != '\0')
        buf_fmt(&b, " AND id < '%s'", before);
    return buf_take(&b);
}

/* The person's newest task groups: "'id','id'". */
static int groups(struct look *l, struct db *db, struct buf *out, struct err *err)
{
    autofree char *sql = xasprintf("SELECT id FROM task_groups WHERE owner IN (%s) ORDER BY "
                                   "created_us DESC LIMIT %d",
                                   l->mine.data, GROUPS_MAX);
    struct db_rows *rows = db_query(db, err, sql, "");
    if (rows == NULL)
        return -1;
    int rc;
    while ((rc = db_next(rows, err)) == 1)
        if (uuid_is_canonical(db_text(rows, 0)))
            buf_fmt(out, "%s'%s'", out->len > 0 ? "," : "", db_text(rows, 0));
    db_rows_end(rows);
    return rc;
}

struct json_object *tasks_newest(struct look *l, struct db *db, const char *endpoint, int status,
                                 const char *before, int most, struct err *err)
{
    struct buf in = BUF_INIT;
    if (!l->all && groups(l, db, &in, err) < 0) {
        buf_free(&in);
        return NULL;
    }
    if (!l->all && in.len == 0)
        return json_object_new_array();
    autofree char *older = filter("", -1, before), *wanted = filter(endpoint, status, "");
    autofree char *whose = l->all ? xstrdup("1 = 1") : xasprintf("grp IN (%s)", in.data);
    autofree char *sql =
        xasprintf("SELECT " COLUMNS " FROM (SELECT * FROM (SELECT * FROM tasks WHERE %s%s ORDER BY "
                  "id DESC LIMIT %d) recent WHERE 1 = 1%s ORDER BY id DESC LIMIT %d) t" JOINS
                  " ORDER BY t.id DESC",
                  whose, older, SCAN_MAX, wanted, most);
    buf_free(&in);
    return db_list(db_query(db, err, sql, ""), make, err);
}

/* ---- the list -------------------------------------------------------------------------------- */

static int list_job(struct look *l, struct db *db, struct err *err)
{
    struct json_object *list = tasks_newest(l, db, "", l->status, l->before, PAGE + 1, err);
    if (list == NULL)
        return -1;
    size_t n = json_object_array_length(list);
    l->out = json_object_new_object();
    json_add(l->out, "tasks", list);
    if (n > PAGE) {
        json_object_array_del_idx(list, PAGE, n - PAGE);
        json_add_str(l->out, "next",
                     json_str_or(json_object_array_get_idx(list, PAGE - 1), "id", ""));
    }
    return 0;
}

int tasks_state(const char *name)
{
    for (int i = 0; name != NULL && i < STATES; i++)
        if (strcmp(name, states[i]) == 0)
            return i;
    return -1;
}

void web_tasks(struct req *r)
{
    look_begin(r, list_job, look_reply);
}

/* ---- one of them ----------------------------------------------------------------------------- */

static void add_step(struct json_object *steps, const char *name, double at)
{
    struct json_object *o = json_object_new_object();
    json_add_str(o, "name", name);
    if (at > 0)
        json_add_double(o, "at", at);
    json_object_array_add(steps, o);
}

/* What the user endpoint wrote down on the way. */
static void add_transitions(struct json_object *steps, const struct wire_result *w)
{
    struct json_object *list = wire_span_json(w->task_statuses, "task_statuses", NULL);
    size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < n && i < 32; i++) {
        struct json_object *t = json_object_array_get_idx(list, i);
        const char *state = json_str_or(t, "state", NULL);
        int64_t ns;
        if (state != NULL && json_get_int(t, "timestamp", &ns, NULL) == 0)
            add_step(steps, state, (double)ns / 1e9);
    }
    json_object_put(list);
}

static int by_time(const void *a, const void *b)
{
    double x = json_object_get_double(json_at(*(struct json_object *const *)a, "at"));
    double y = json_object_get_double(json_at(*(struct json_object *const *)b, "at"));
    return (x > y) - (x < y);
}

static void add_result(struct json_object *o, struct json_object *steps, const void *body, size_t n)
{
    struct wire_result w;
    if (body == NULL || n == 0 || wire_read_result(body, n, &w, NULL) != 0)
        return;
    json_add_int(o, "result_bytes", (int64_t)n);
    add_transitions(steps, &w);
    if (!w.is_error)
        return;
    struct buf text = BUF_INIT;
    if (wire_span_string(w.data, &text, NULL) == 0 && text.len > 0) {
        if (text.len > ERROR_SHOWN)
            text.data[ERROR_SHOWN] = '\0';
        json_add_str(o, "error", text.data);
    }
    buf_free(&text);
}

/* Steps by time; those that have none come last while the task is under way.  Afterwards they are
 * of no interest: a fast result is there before the ledger has written that the task was sent. */
static struct json_object *in_order(struct json_object *steps, bool under_way)
{
    struct json_object *list = json_object_new_array(), *open = json_object_new_array();
    size_t n = json_object_array_length(steps);
    for (size_t i = 0; i < n; i++) {
        struct json_object *s = json_object_array_get_idx(steps, i);
        json_object_array_add(json_at(s, "at") != NULL ? list : open, json_object_get(s));
    }
    json_object_array_sort(list, by_time);
    n = under_way ? json_object_array_length(open) : 0;
    for (size_t i = 0; i < n; i++)
        json_object_array_add(list, json_object_get(json_object_array_get_idx(open, i)));
    json_object_put(open);
    return list;
}

static int one_job(struct look *l, struct db *db, struct err *err)
{
    struct db_rows *rows =
        db_query(db, err,
                 "SELECT " COLUMNS ", t.sent_us, t.tries, e.name, r.body, r.file, e.owner FROM "
                 "tasks t" JOINS " LEFT JOIN endpoints e ON e.id = t.endpoint LEFT JOIN results r "
                 "ON r.task = t.id WHERE t.id = ?",
                 "s", l->id);
    if (rows == NULL)
        return -1;
    int rc = db_next(rows, err);
    /* A task is its owner's alone; the endpoint's owner sees that it is there, not what it is. */
    if (rc == 1 && look_may_see(l, db_text(rows, 4))) {
        struct json_object *o = l->out = make(rows), *steps = json_object_new_array();
        const struct web_opts *opts = &l->web->opts;
        struct buf file = BUF_INIT;
        size_t n = 0;
        const void *body = db_blob(rows, 13, &n);
        const char *name = db_text(rows, 14);
        json_add_str(o, "endpoint_name", db_text(rows, 12));
        json_add_int(o, "tries", db_int(rows, 11));
        add_step(steps, "accepted", look_seconds(rows, 2));
        add_step(steps, "given to the broker", look_seconds(rows, 10));
        if (name != NULL && opts->read_file != NULL &&
            opts->read_file(opts->file_arg, name, &file) == 0) {
            body = file.data;
            n = file.len;
        }
        add_result(o, steps, body, n);
        add_step(steps, "result kept", look_seconds(rows, 3));
        json_add(o, "steps", in_order(steps, db_is_null(rows, 3)));
        json_object_put(steps);
        buf_free(&file);
    }
    db_rows_end(rows);
    return rc < 0 ? -1 : 0;
}

void web_task(struct req *r)
{
    look_begin(r, one_job, look_reply);
}
