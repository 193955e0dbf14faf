/* What became of tasks: GET of one, batch_status of many (web-service.md 7).
 *
 * A document is written as text: the value of a result is found in the stored message and copied as
 * it is, never decoded. */
#include <stdio.h>
#include <string.h>

#include "lib/wire/wire.h"
#include "service/api/private.h"

#define BATCH_IDS_MAX 10000
#define ANSWER_MAX (256u << 20)

struct ask {
    char (*ids)[UUID_TEXT];
    size_t n;
    bool single;
    struct buf out;
};

static void ask_free(void *arg)
{
    struct ask *a = arg;
    buf_free(&a->out);
    free(a->ids);
    free(a);
}

static const char *state_name(int64_t state)
{
    switch (state) {
    case TASK_WAITING:
        return "waiting-for-ep";
    case TASK_SENT:
        return "waiting-for-nodes";
    case TASK_SUCCEEDED:
        return "success";
    default:
        return "failed";
    }
}

/* {state: seconds} of the message's transitions, and ours. */
static void add_transitions(struct json_object *details, const struct wire_result *w,
                            int64_t created_us, int64_t done_us)
{
    struct json_object *o = json_object_new_object();
    struct json_object *list = wire_span_json(w->task_statuses, "task_statuses", NULL);
    size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
    json_add_double(o, "received", (double)created_us / 1e6);
    for (size_t i = 0; i < n && i < 64; i++) {
        struct json_object *t = json_object_array_get_idx(list, i);
        const char *state = json_str_or(t, "state", NULL);
        int64_t ns;
        if (state && json_get_int(t, "timestamp", &ns, NULL) == 0)
            json_add_double(o, state, (double)ns / 1e9);
    }
    json_add_double(o, "result-received", (double)done_us / 1e6);
    json_object_put(list);
    json_add(details, "task_transitions", o);
}

static void add_final(struct buf *out, const void *body, size_t n, int64_t created_us,
                      int64_t done_us)
{
    struct wire_result w;
    struct err err = ERR_INIT;
    buf_fmt(out, ",\"completion_t\":\"%.6f\"", (double)done_us / 1e6);
    if (!body || wire_read_result(body, n, &w, &err) < 0) {
        buf_str(out, ",\"exception\":\"The result is no longer kept\"");
        return;
    }
    buf_str(out, w.is_error ? ",\"exception\":" : ",\"result\":");
    buf_add(out, w.data.p, w.data.n);
    autojson struct json_object *details = wire_span_json(w.details, "details", NULL);
    /* Details of another Python make the SDK warn: none are made up where there were none. */
    if (!json_object_is_type(details, json_type_object))
        return;
    add_transitions(details, &w, created_us, done_us);
    buf_str(out, ",\"details\":");
    json_write(out, details);
}

/* 1 written, 0 unknown, 2 somebody else's. */
static int add_document(struct db *db, struct call *c, struct buf *out, const char *id,
                        struct err *err)
{
    struct db_rows *r = db_query(db, err,
                                 "SELECT t.owner, t.state, t.created_us, t.done_us, r.body, r.file "
                                 "FROM tasks t LEFT JOIN results r ON r.task = t.id "
                                 "WHERE t.id = ?",
                                 "s", id);
    int rc = r ? db_next(r, err) : -1;
    if (rc == 1 && !caller_is(&c->caller, db_text(r, 0)))
        rc = 2;
    if (rc == 1) {
        int64_t state = db_int(r, 1);
        buf_fmt(out, "{\"task_id\":\"%s\",\"status\":\"%s\"", id, state_name(state));
        if (state >= TASK_SUCCEEDED) {
            autobuf struct buf file = BUF_INIT;
            const char *name = db_text(r, 5);
            size_t n = 0;
            const void *body = name ? NULL : db_blob(r, 4, &n);
            if (name && files_get(c->api->files, name, &file, NULL) == 0) {
                body = file.data;
                n = file.len;
            }
            add_final(out, body, n, db_int(r, 2), db_int(r, 3));
        }
        buf_char(out, '}');
    }
    db_rows_end(r);
    return rc;
}

static int job(struct db *db, void *arg, struct err *err)
{
    struct call *c = arg;
    struct ask *a = c->state;
    buf_clear(&a->out);
    if (!a->single)
        buf_str(&a->out, "{\"response\":\"batch\",\"results\":{");
    for (size_t i = 0, written = 0; i < a->n; i++) {
        size_t before = a->out.len;
        if (!a->single)
            buf_fmt(&a->out, "%s\"%s\":", written ? "," : "", a->ids[i]);
        int rc = add_document(db, c, &a->out, a->ids[i], err);
        if (rc < 0)
            return -1;
        if (rc == 1) {
            written++;
        } else if (a->single) {
            return call_refuse(
                c, rc == 0 ? 404 : 403, rc == 0 ? "TASK_NOT_FOUND" : "TASK_ACCESS_FORBIDDEN",
                rc == 0 ? "Task %s is not known" : "Task %s is not yours", a->ids[i]);
        } else {
            a->out.len = before; /* unknown ones are left out */
        }
        if (a->out.len > ANSWER_MAX)
            return call_refuse(c, 413, "BATCH_RUN_TOO_LARGE",
                               "These results have more than %u bytes; ask for fewer at once",
                               ANSWER_MAX);
    }
    if (!a->single)
        buf_str(&a->out, "}}");
    return 0;
}

static void answer(struct call *c)
{
    struct ask *a = c->state;
    reply_text(c->req, 200, "application/json", a->out.data, a->out.len);
    call_end(c);
}

static struct ask *ask_new(struct call *c, size_t n)
{
    struct ask *a = xcalloc(1, sizeof(*a));
    a->ids = xcalloc(n + 1, sizeof(*a->ids));
    c->state = a;
    c->free_state = ask_free;
    return a;
}

static void get(struct call *c)
{
    struct ask *a = ask_new(c, 1);
    a->single = true;
    a->n = 1;
    if (call_id(c, a->ids[0]))
        call_job(c, false, job, answer);
}

void on_task_get(struct req *r)
{
    call_begin(r, get);
}

static void batch(struct call *c)
{
    struct json_object *o = call_json(c), *list = NULL;
    if (!o)
        return;
    json_object_object_get_ex(o, "task_ids", &list);
    if (!json_object_is_type(list, json_type_array)) {
        call_error(c, 400, "REQUEST_KEY_ERROR", "The request body lacks the list task_ids");
        return;
    }
    size_t n = json_object_array_length(list);
    if (n > BATCH_IDS_MAX) {
        call_error(c, 413, "BATCH_RUN_TOO_LARGE", "At most %d tasks can be asked for at once",
                   BATCH_IDS_MAX);
        return;
    }
    struct ask *a = ask_new(c, n);
    for (size_t i = 0; i < n; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        const char *id =
            json_object_is_type(item, json_type_string) ? json_object_get_string(item) : NULL;
        if (!id || !uuid_parse(id, a->ids[a->n])) {
            call_error(c, 400, "INVALID_UUID", "task_ids: %.60s is not a UUID",
                       id ? id : json_kind(item));
            return;
        }
        a->n++;
    }
    call_job(c, false, job, answer);
}

void on_batch_status(struct req *r)
{
    call_begin(r, batch);
}
