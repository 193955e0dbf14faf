/* From the ledger to the broker.
 *
 * A task is WAITING in the ledger from the moment it was accepted.  It is published when its user
 * endpoint is up, and becomes SENT when the broker has confirmed it.  What was accepted while the
 * endpoint is up goes straight from the request's memory; everything else, and what a confirm was
 * lost for, is read back in order by the pump.  A crash between the confirm and SENT publishes a
 * task twice: its second result is ignored. */
#include <stdio.h>
#include <string.h>

#include "lib/wire/wire.h"
#include "service/api/private.h"

#define CHUNK 200
#define CHUNK_BYTES (8u << 20)
#define UNCONFIRMED_MAX 20000
#define MARK_US LOOP_MS(50)
#define MARK_MAX 2000
#define RETRY_US LOOP_S(2)

struct flight {
    struct outbox *outbox;
    char id[UUID_TEXT];
    char uep[UUID_TEXT];
};

/* Reading one user endpoint's waiting tasks. */
struct pump {
    struct outbox *outbox;
    char uep[UUID_TEXT];
    char after[UUID_TEXT];
    bool again; /* more came meanwhile */
    bool running;
    /* Marked as sent while the rows were read: they may be among them as waiting. */
    char (*marked)[UUID_TEXT];
    size_t n_marked;
    struct row {
        struct task_out task;
        char *prefix, *args, *opts;
    } * rows;
    size_t n;
};

struct outbox {
    struct api *api;
    struct map *flights; /* task id -> flight: published, not yet SENT in the ledger */
    struct map *pumps;   /* uep id -> pump: has tasks in the ledger that wait */
    char (*sent)[UUID_TEXT];
    size_t n_sent;
    size_t marking; /* jobs under way */
    struct loop_timer *mark, *retry;
};

/* ---- marking as sent ---- */

struct marks {
    struct outbox *outbox;
    char (*ids)[UUID_TEXT];
    size_t n;
    int64_t now;
};

static void bind_mark(void *arg, size_t i, struct db_binder *b)
{
    struct marks *m = arg;
    db_bind(b, "is", m->now, m->ids[i]);
}

/* Another process may be storing the task's result just now: what it holds needs no mark, and one
 * who never waits here is in no deadlock. */
#define MARK "UPDATE tasks SET state = 1, sent_us = ? WHERE id = ? AND state = 0"
#define MARK_SHARED                                                                                \
    "UPDATE tasks SET state = 1, sent_us = ? WHERE id = (SELECT id FROM tasks WHERE id = ? AND "   \
    "state = 0 FOR UPDATE SKIP LOCKED)"

static int mark_job(struct db *db, void *arg, struct err *err)
{
    struct marks *m = arg;
    return db_run_many(db, err, db_is_postgres(db) ? MARK_SHARED : MARK, m->n, bind_mark, m) < 0
               ? -1
               : 0;
}

static void landed(struct outbox *o, const char *id)
{
    struct flight *f = map_get(o->flights, id);
    struct pump *p = f ? map_get(o->pumps, f->uep) : NULL;
    if (p && p->running) {
        p->marked = xrealloc(p->marked, (p->n_marked + 1) * sizeof(*p->marked));
        strcpy(p->marked[p->n_marked++], id);
        return;
    }
    free(map_del(o->flights, id));
}

static void mark_done(void *arg, int rc, const struct err *err)
{
    struct marks *m = arg;
    struct outbox *o = m->outbox;
    if (rc < 0)
        log_warning("%zu tasks could not be marked as sent and may be sent again: %s", m->n,
                    err->text);
    for (size_t i = 0; i < m->n; i++)
        landed(o, m->ids[i]);
    o->marking--;
    free(m->ids);
    free(m);
}

static void mark_cb(void *arg)
{
    struct outbox *o = arg;
    if (o->n_sent == 0)
        return;
    struct marks *m = xcalloc(1, sizeof(*m));
    *m = (struct marks){o, o->sent, o->n_sent, now_us()};
    o->sent = NULL;
    o->n_sent = 0;
    o->marking++;
    store_write(o->api->store, mark_job, mark_done, m);
}

static void was_sent(struct outbox *o, const char *id)
{
    if (!o->sent)
        o->sent = xmalloc(MARK_MAX * sizeof(*o->sent));
    strcpy(o->sent[o->n_sent++], id);
    o->api->counters.published++;
    if (o->n_sent == MARK_MAX)
        mark_cb(o);
    else if (o->n_sent == 1)
        loop_timer_set(o->mark, MARK_US, LOOP_MS(20));
}

/* ---- publishing ---- */

static void must_pump(struct outbox *o, const char *uep);

static void outcome(void *arg, enum amqp_outcome what)
{
    static struct log_rate rate = LOG_RATE(5, 60);
    struct flight *f = arg;
    struct outbox *o = f->outbox;
    if (what == AMQP_ACKED) {
        fault_point("task-confirmed");
        was_sent(o, f->id);
        return; /* the flight ends with the mark */
    }
    if (log_rate_ok(&rate))
        log_warning("event=publish task=%s outcome=%s; it is sent again", f->id,
                    what == AMQP_LOST       ? "lost"
                    : what == AMQP_RETURNED ? "no queue"
                                            : "refused");
    if (what == AMQP_RETURNED)
        ueps_queue_missing(o->api->ueps, f->uep);
    must_pump(o, f->uep);
    loop_timer_set(o->retry, RETRY_US, LOOP_MS(100));
    free(map_del(o->flights, f->id));
}

static size_t add_options(const char *opts, amqp_table_entry_t *headers, size_t n,
                          amqp_field_value_t **list, struct json_object **keep)
{
    struct json_object *o = opts ? json_read(opts, strlen(opts), 1 << 20, "options", NULL) : NULL;
    struct json_object *spec = json_at(o, "resource_specification");
    struct json_object *names = json_at(o, "result_serializers");
    const char *text = spec ? json_object_to_json_string_ext(spec, JSON_C_TO_STRING_PLAIN) : "null";
    *keep = o;
    headers[n++] = (amqp_table_entry_t){
        .key = amqp_cstring_bytes("resource_specification"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(text)}};
    size_t count = names ? json_object_array_length(names) : 0;
    if (count == 0)
        return n;
    *list = xcalloc(count, sizeof(**list));
    for (size_t i = 0; i < count; i++)
        (*list)[i] = (amqp_field_value_t){.kind = AMQP_FIELD_KIND_UTF8,
                                          .value.bytes = amqp_cstring_bytes(json_object_get_string(
                                              json_object_array_get_idx(names, i)))};
    headers[n++] = (amqp_table_entry_t){
        .key = amqp_cstring_bytes("result_serializers"),
        .value = {.kind = AMQP_FIELD_KIND_ARRAY,
                  .value.array = {.num_entries = (int)count, .entries = *list}}};
    return n;
}

static void publish(struct outbox *o, const char *uep, const struct task_out *t)
{
    struct buf body = BUF_INIT, buffer = BUF_INIT;
    amqp_table_entry_t headers[4] = {
        {.key = amqp_cstring_bytes("function_uuid"),
         .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(t->function)}},
        {.key = amqp_cstring_bytes("task_uuid"),
         .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(t->id)}},
    };
    amqp_field_value_t *list = NULL;
    struct json_object *keep = NULL;
    size_t n = add_options(t->opts, headers, 2, &list, &keep);
    amqp_basic_properties_t props = amqp_props("application/json", (int64_t)clock_unix(), NULL);
    props._flags |= AMQP_BASIC_CONTENT_ENCODING_FLAG | AMQP_BASIC_HEADERS_FLAG;
    props.content_encoding = amqp_cstring_bytes("utf-8");
    props.headers = (amqp_table_t){.num_entries = (int)n, .entries = headers};
    buf_add(&buffer, t->prefix, t->prefix_len);
    buf_add(&buffer, t->args, t->args_len);
    wire_pack_task(&body, t->id, buffer.data, buffer.len);
    struct flight *f = xcalloc(1, sizeof(*f));
    f->outbox = o;
    strcpy(f->id, t->id);
    strcpy(f->uep, uep);
    free(map_put(o->flights, f->id, f));
    char key[UUID_TEXT + 8];
    snprintf(key, sizeof(key), "%s.tasks", uep);
    size_t len = body.len;
    broker_publish(o->api->broker, "tasks", key, buf_take(&body), len, &props, outcome, f);
    fault_point("task-published");
    buf_free(&buffer);
    free(list);
    json_object_put(keep);
}

/* ---- the pump ---- */

static void rows_free(struct pump *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->rows[i].prefix);
        free(p->rows[i].args);
        free(p->rows[i].opts);
    }
    free(p->rows);
    p->rows = NULL;
    p->n = 0;
}

static void pump_free(void *arg)
{
    struct pump *p = arg;
    rows_free(p);
    free(p->marked);
    free(p);
}

static int read_args(struct api *api, struct db_rows *r, struct row *row, struct err *err)
{
    struct buf b = BUF_INIT;
    size_t n;
    const char *file = db_text(r, 4);
    if (file && files_get(api->files, file, &b, err) < 0)
        return -1;
    if (!file) {
        const void *args = db_blob(r, 3, &n);
        buf_add(&b, args ? args : "", n);
    }
    row->task.args_len = b.len;
    row->args = buf_take(&b);
    row->task.args = row->args;
    return 0;
}

/* A function's prefix, once for a run of tasks of the same function. */
static int read_prefix(struct db *db, struct pump *p, struct row *row, struct err *err)
{
    struct function *f = NULL;
    if (p->n > 0 && strcmp(p->rows[p->n - 1].task.function, row->task.function) == 0) {
        const struct row *last = &p->rows[p->n - 1];
        row->prefix = xmemdup(last->prefix, last->task.prefix_len + 1);
        row->task.prefix_len = last->task.prefix_len;
    } else {
        /* A deleted function still runs the tasks that were accepted. */
        if (function_load_any(db, row->task.function, &f, err) < 0)
            return -1;
        row->prefix = f ? xmemdup(f->prefix, f->prefix_len + 1) : xstrdup("");
        row->task.prefix_len = f ? f->prefix_len : 0;
        function_unref(f);
    }
    row->task.prefix = row->prefix;
    return 0;
}

static int pump_job(struct db *db, void *arg, struct err *err)
{
    struct pump *p = arg;
    size_t bytes = 0;
    int rc;
    rows_free(p);
    p->rows = xcalloc(CHUNK, sizeof(*p->rows));
    /* "state < 2" says to SQLite that the index of open tasks will do. */
    struct db_rows *r = db_query(db, err,
                                 "SELECT t.id, t.function, t.opts, p.args, p.file FROM tasks t "
                                 "LEFT JOIN payloads p ON p.task = t.id "
                                 "WHERE t.uep = ? AND t.state = 0 AND t.state < 2 AND t.id > ? AND "
                                 "t.keeper = ? "
                                 "ORDER BY t.id LIMIT 200",
                                 "ssi", p->uep, p->after, keeper_id(p->outbox->api->keeper));
    if (!r)
        return -1;
    while (bytes < CHUNK_BYTES && (rc = db_next(r, err)) == 1) {
        struct row *row = &p->rows[p->n];
        strncpy(row->task.id, db_text(r, 0), UUID_TEXT - 1);
        strncpy(row->task.function, db_text(r, 1), UUID_TEXT - 1);
        row->opts = xstrdup(db_text(r, 2));
        row->task.opts = row->opts;
        if (read_args(p->outbox->api, r, row, err) < 0 || read_prefix(db, p, row, err) < 0) {
            p->n++;
            db_rows_end(r);
            return -1;
        }
        bytes += row->task.args_len + row->task.prefix_len;
        p->n++;
        rc = 0;
    }
    db_rows_end(r);
    return rc < 0 ? -1 : 0;
}

static void pump_step(struct pump *p);

static void pump_done(void *arg, int rc, const struct err *err)
{
    struct pump *p = arg;
    struct outbox *o = p->outbox;
    struct uep *u = ueps_find(o->api->ueps, p->uep);
    p->running = false;
    if (rc < 0) {
        p->again = true;
        log_error("waiting tasks of %s could not be read: %s", p->uep, err->text);
        loop_timer_set(o->retry, RETRY_US, LOOP_MS(100));
        return;
    }
    bool up = u && uep_is_up(u);
    size_t n = p->n;
    for (size_t i = 0; up && i < n; i++)
        if (!map_get(o->flights, p->rows[i].task.id))
            publish(o, p->uep, &p->rows[i].task);
    if (up && n)
        strcpy(p->after, p->rows[n - 1].task.id);
    rows_free(p);
    for (size_t i = 0; i < p->n_marked; i++)
        free(map_del(o->flights, p->marked[i]));
    p->n_marked = 0;
    if (!up)
        return; /* its check-in begins anew */
    if (n == 0 && !p->again) {
        map_del(o->pumps, p->uep);
        pump_free(p);
        return;
    }
    if (n == 0) {
        p->again = false;
        p->after[0] = '\0';
    }
    pump_step(p);
}

/* What the broker can't take now stays in the ledger, not in our memory. */
static bool may_send(const struct outbox *o)
{
    return broker_is_up(o->api->broker) && broker_unconfirmed(o->api->broker) <= UNCONFIRMED_MAX;
}

static void pump_step(struct pump *p)
{
    struct outbox *o = p->outbox;
    if (p->running)
        return;
    if (!may_send(o)) {
        loop_timer_set(o->retry, LOOP_MS(200), LOOP_MS(50));
        return;
    }
    p->running = true;
    store_read(o->api->store, pump_job, pump_done, p);
}

static struct pump *pump_of(struct outbox *o, const char *uep)
{
    struct pump *p = map_get(o->pumps, uep);
    if (!p) {
        p = xcalloc(1, sizeof(*p));
        p->outbox = o;
        strcpy(p->uep, uep);
        map_put(o->pumps, p->uep, p);
    }
    return p;
}

static void must_pump(struct outbox *o, const char *uep)
{
    pump_of(o, uep)->again = true;
}

void outbox_pump(struct outbox *o, struct uep *u)
{
    if (uep_open(u) == 0 && !map_get(o->pumps, uep_id(u)))
        return;
    struct pump *p = pump_of(o, uep_id(u));
    p->again = true;
    p->after[0] = '\0';
    pump_step(p);
}

static void retry_cb(void *arg)
{
    struct outbox *o = arg;
    const char *key;
    void *value;
    for (size_t it = 0; map_next(o->pumps, &it, &key, &value);) {
        struct pump *p = value;
        struct uep *u = ueps_find(o->api->ueps, p->uep);
        if (p->running || !u || !uep_is_up(u))
            continue;
        p->after[0] = '\0';
        pump_step(p);
    }
}

void outbox_accepted(struct outbox *o, struct uep *u, const struct task_out *tasks, size_t n)
{
    const char *id = uep_id(u);
    bool direct = uep_is_up(u) && !map_get(o->pumps, id) && may_send(o);
    uep_open_add(u, (int64_t)n);
    for (size_t i = 0; direct && i < n; i++)
        publish(o, id, &tasks[i]);
    if (direct)
        return;
    must_pump(o, id);
    if (uep_is_up(u))
        pump_step(pump_of(o, id));
}

bool outbox_is_idle(const struct outbox *o)
{
    return o->n_sent == 0 && o->marking == 0 && map_count(o->flights) == 0;
}

struct outbox *outbox_create(struct api *a)
{
    struct outbox *o = xcalloc(1, sizeof(*o));
    o->api = a;
    o->flights = map_create();
    o->pumps = map_create();
    o->mark = loop_timer_create(a->loop, mark_cb, o);
    o->retry = loop_timer_create(a->loop, retry_cb, o);
    return o;
}

void outbox_destroy(struct outbox *o)
{
    if (!o)
        return;
    loop_timer_destroy(o->mark);
    loop_timer_destroy(o->retry);
    map_destroy(o->flights, free);
    map_destroy(o->pumps, pump_free);
    free(o->sent);
    free(o);
}
