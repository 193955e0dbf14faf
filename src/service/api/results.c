/* Results on their way from the broker's queue to the ledger and to the SDK's stream.
 *
 *   came ──▶ read ──▶ batch ──▶ ledger ──▶ stream queue ──▶ acknowledged
 *
 * The message is acknowledged last, so whatever dies in between brings it back.  The ledger takes
 * the first result of a task, from its own user endpoint only; a later one is dropped, unless the
 * broker says that it was delivered before: then we may have died before the stream had it. */
#include <stdio.h>
#include <string.h>

#include "lib/wire/wire.h"
#include "service/api/private.h"

#define BATCH_MAX 500
#define BATCH_BYTES (32u << 20)
#define RETRY_US LOOP_S(1)
#define RESULT_BODY_MAX (48u << 20)

struct result {
    STAILQ_ENTRY(result) link;
    struct results *all;
    struct amqp_message *message; /* NULL: made by us */
    char *body;                   /* of one made by us */
    const char *bytes;
    size_t len;
    char task[UUID_TEXT], uep[UUID_TEXT];
    bool failed;
    enum { STORED, DUPLICATE, REFUSED } outcome;
    bool stream;
    char owner[UUID_TEXT], group[UUID_TEXT];
    char file[65]; /* "" or the name of its file */
};
STAILQ_HEAD(result_list, result);

struct batch {
    struct results *all;
    struct result_list list;
    size_t n;
};

struct results {
    struct api *api;
    struct result_list waiting;
    size_t bytes, n;
    bool scheduled;
    size_t under_way; /* batches and stream publishes */
    struct loop_timer *retry;
    struct result_list retries;
};

static void result_free(struct result *r)
{
    free(r->body);
    free(r);
}

/* ---- in the ledger ---- */

static int read_row(struct db *db, struct result *r, struct err *err)
{
    struct db_rows *rows =
        db_query(db, err, "SELECT uep, stream, owner, grp FROM tasks WHERE id = ?", "s", r->task);
    int rc = rows ? db_next(rows, err) : -1;
    r->outcome = REFUSED;
    if (rc == 1 && strcmp(db_text(rows, 0), r->uep) == 0) {
        r->outcome = DUPLICATE;
        r->stream = db_int(rows, 1);
        strncpy(r->owner, db_text(rows, 2), UUID_TEXT - 1);
        strncpy(r->group, db_text(rows, 3), UUID_TEXT - 1);
    }
    db_rows_end(rows);
    return rc < 0 ? -1 : 0;
}

/* A batch in the ledger: the results as a row, those that were stored first. */
struct storing {
    struct api *api;
    struct result **all, **stored;
    size_t n, n_stored;
    int64_t now;
};

static void bind_end(void *arg, size_t i, struct db_binder *b)
{
    struct storing *s = arg;
    const struct result *r = s->all[i];
    db_bind(b, "iiss", (int64_t)(r->failed ? TASK_FAILED : TASK_SUCCEEDED), s->now, r->task,
            r->uep);
}

static void take_end(void *arg, size_t i, struct db_rows *row)
{
    struct storing *s = arg;
    struct result *r = s->all[i];
    r->outcome = STORED;
    r->stream = db_int(row, 0);
    strncpy(r->owner, db_text(row, 1), UUID_TEXT - 1);
    strncpy(r->group, db_text(row, 2), UUID_TEXT - 1);
    s->stored[s->n_stored++] = r;
}

static void bind_body(void *arg, size_t i, struct db_binder *b)
{
    const struct result *r = ((struct storing *)arg)->stored[i];
    if (r->file[0])
        db_bind(b, "sns", r->task, r->file);
    else
        db_bind(b, "sbs", r->task, r->bytes, r->len, NULL);
}

static void bind_payload(void *arg, size_t i, struct db_binder *b)
{
    db_bind(b, "s", ((struct storing *)arg)->stored[i]->task);
}

static int keep_large(struct storing *s, struct err *err)
{
    for (size_t i = 0; i < s->n_stored; i++) {
        struct result *r = s->stored[i];
        if (r->len >= s->api->settings.payload_file_min &&
            files_put(s->api->files, r->bytes, r->len, r->file, err) < 0)
            return -1;
    }
    return 0;
}

/* Each task's end, if it has none yet; then what belongs to it. */
static int store_all(struct db *db, struct storing *s, struct err *err)
{
    if (db_query_many(db, err,
                      "UPDATE tasks SET state = ?, done_us = ? WHERE id = ? AND uep = ? AND "
                      "state < 2 RETURNING stream, owner, grp",
                      s->n, bind_end, take_end, s) < 0)
        return -1;
    for (size_t i = 0; i < s->n; i++)
        if (s->all[i]->outcome != STORED && read_row(db, s->all[i], err) < 0)
            return -1;
    return keep_large(s, err) < 0 ||
                   db_run_many(db, err,
                               "INSERT INTO results(task, body, file) VALUES (?, ?, ?) "
                               "ON CONFLICT(task) DO NOTHING",
                               s->n_stored, bind_body, s) < 0 ||
                   db_run_many(db, err, "DELETE FROM payloads WHERE task = ?", s->n_stored,
                               bind_payload, s) < 0
               ? -1
               : 0;
}

static int store_job(struct db *db, void *arg, struct err *err)
{
    struct batch *b = arg;
    struct result *r;
    struct storing s = {.api = b->all->api, .now = now_us()};
    s.all = xcalloc(2 * b->n, sizeof(struct result *));
    s.stored = s.all + b->n;
    STAILQ_FOREACH(r, &b->list, link)
    {
        r->outcome = REFUSED;
        s.all[s.n++] = r;
    }
    int rc = store_all(db, &s, err);
    free(s.all);
    return rc;
}

/* ---- the stream ---- */

static void end_result(struct result *r)
{
    if (r->message)
        broker_done(r->all->api->broker, r->message);
    result_free(r);
}

static void stream_outcome(void *arg, enum amqp_outcome outcome)
{
    struct result *r = arg;
    struct results *all = r->all;
    all->under_way--;
    if (outcome == AMQP_LOST || outcome == AMQP_NACKED) {
        STAILQ_INSERT_TAIL(&all->retries, r, link);
        loop_timer_set(all->retry, RETRY_US, LOOP_MS(100));
        return;
    }
    fault_point("result-streamed");
    /* RETURNED: nobody listens (any more); the ledger has it. */
    end_result(r);
}

static void to_stream(struct result *r)
{
    struct results *all = r->all;
    char queue[2 * UUID_TEXT + 8];
    amqp_basic_properties_t props = amqp_props("application/json", (int64_t)clock_unix(), NULL);
    snprintf(queue, sizeof(queue), "usr.%s.%s", r->owner, r->group);
    all->under_way++;
    broker_publish(all->api->broker, "", queue, xmemdup(r->bytes, r->len + 1), r->len, &props,
                   stream_outcome, r);
}

static void count(struct result *r)
{
    struct api *api = r->all->api;
    struct uep *u = ueps_find(api->ueps, r->uep);
    if (r->failed)
        api->counters.failed++;
    else
        api->counters.succeeded++;
    if (u)
        uep_open_add(u, -1);
}

static void settle(struct result *r)
{
    static struct log_rate rate = LOG_RATE(10, 60);
    struct api *api = r->all->api;
    bool forward = r->outcome == STORED;
    if (r->outcome == STORED) {
        count(r);
    } else if (r->outcome == DUPLICATE) {
        api->counters.duplicates++;
        forward = r->message && r->message->redelivered;
    } else {
        api->counters.refused_results++;
        if (log_rate_ok(&rate))
            log_warning("event=result-refused task=%s uep=%s: no task of that endpoint", r->task,
                        r->uep);
    }
    if (forward && r->stream)
        to_stream(r);
    else
        end_result(r);
}

/* ---- batches ---- */

static void flush(void *arg);

static void schedule(struct results *all)
{
    if (all->scheduled)
        return;
    all->scheduled = true;
    loop_defer(all->api->loop, flush, all);
}

static void stored(void *arg, int rc, const struct err *err)
{
    static struct log_rate rate = LOG_RATE(5, 60);
    struct batch *b = arg;
    struct results *all = b->all;
    struct result *r;
    all->under_way--;
    if (rc == 0)
        fault_point("result-stored");
    if (rc < 0 && log_rate_ok(&rate))
        log_error("results could not be stored and are tried again: %s", err->text);
    while ((r = STAILQ_FIRST(&b->list))) {
        STAILQ_REMOVE_HEAD(&b->list, link);
        if (rc == 0) {
            settle(r);
        } else {
            r->outcome = REFUSED; /* what the lost transaction found is not true */
            STAILQ_INSERT_TAIL(&all->retries, r, link);
        }
    }
    if (rc < 0)
        loop_timer_set(all->retry, RETRY_US, LOOP_MS(100));
    free(b);
}

static void flush(void *arg)
{
    struct results *all = arg;
    all->scheduled = false;
    if (STAILQ_EMPTY(&all->waiting))
        return;
    struct batch *b = xcalloc(1, sizeof(*b));
    b->all = all;
    STAILQ_INIT(&b->list);
    STAILQ_CONCAT(&b->list, &all->waiting);
    b->n = all->n;
    all->n = all->bytes = 0;
    all->under_way++;
    store_write(all->api->store, store_job, stored, b);
}

static void add(struct results *all, struct result *r)
{
    STAILQ_INSERT_TAIL(&all->waiting, r, link);
    all->n++;
    all->bytes += r->len;
    if (all->n >= BATCH_MAX || all->bytes >= BATCH_BYTES)
        flush(all);
    else
        schedule(all);
}

static void retry_cb(void *arg)
{
    struct results *all = arg;
    struct result_list list = STAILQ_HEAD_INITIALIZER(list);
    struct result *r;
    STAILQ_CONCAT(&list, &all->retries);
    while ((r = STAILQ_FIRST(&list))) {
        STAILQ_REMOVE_HEAD(&list, link);
        /* One that is in the ledger already (its stream failed) comes out as a duplicate. */
        if (r->outcome == STORED && r->stream && r->owner[0])
            to_stream(r);
        else
            add(all, r);
    }
}

void results_message(struct results *all, struct amqp_message *m)
{
    static struct log_rate rate = LOG_RATE(10, 60);
    struct wire_result w;
    struct err err = ERR_INIT;
    const char *dot = strchr(m->routing_key, '.');
    size_t n = dot ? (size_t)(dot - m->routing_key) : 0;
    if (m->body_len > RESULT_BODY_MAX)
        err_set(&err, "%zu bytes are too many", m->body_len);
    else if (n != UUID_TEXT - 1)
        err_set(&err, "the routing key names no endpoint");
    else
        wire_read_result(m->body, m->body_len, &w, &err);
    if (err.text[0]) {
        if (log_rate_ok(&rate))
            log_warning("event=bad-result key=%.80s: %s", m->routing_key, err.text);
        all->api->counters.refused_results++;
        broker_done(all->api->broker, m);
        return;
    }
    struct result *r = xcalloc(1, sizeof(*r));
    r->all = all;
    r->message = m;
    r->bytes = m->body;
    r->len = m->body_len;
    r->failed = w.is_error;
    strcpy(r->task, w.task_id);
    memcpy(r->uep, m->routing_key, n);
    add(all, r);
}

/* ---- failures made by us ---- */

struct fail_all {
    struct results *all;
    char uep[UUID_TEXT];
    char *code, *text;
    struct result_list list;
};

static int find_open(struct db *db, void *arg, struct err *err)
{
    struct fail_all *f = arg;
    struct result *r;
    int rc;
    while ((r = STAILQ_FIRST(&f->list))) {
        STAILQ_REMOVE_HEAD(&f->list, link);
        result_free(r);
    }
    struct db_rows *rows =
        db_query(db, err, "SELECT id FROM tasks WHERE uep = ? AND state < 2", "s", f->uep);
    if (!rows)
        return -1;
    while ((rc = db_next(rows, err)) == 1) {
        r = xcalloc(1, sizeof(*r));
        strncpy(r->task, db_text(rows, 0), UUID_TEXT - 1);
        STAILQ_INSERT_TAIL(&f->list, r, link);
    }
    db_rows_end(rows);
    return rc;
}

static void make_failure(struct result *r, const char *code, const char *text)
{
    struct buf b = BUF_INIT;
    struct wire_failure w = {.task_id = r->task, .text = text, .code = code, .user_message = text};
    wire_pack_failure(&b, &w);
    r->len = b.len;
    r->body = buf_take(&b);
    r->bytes = r->body;
    r->failed = true;
}

static void found_open(void *arg, int rc, const struct err *err)
{
    struct fail_all *f = arg;
    struct result *r;
    size_t n = 0;
    if (rc < 0)
        log_error("tasks of %s could not be ended: %s", f->uep, err->text);
    while ((r = STAILQ_FIRST(&f->list))) {
        STAILQ_REMOVE_HEAD(&f->list, link);
        r->all = f->all;
        strcpy(r->uep, f->uep);
        make_failure(r, f->code, f->text);
        add(f->all, r);
        n++;
    }
    if (n)
        log_info("event=tasks-failed uep=%s tasks=%zu: %.300s", f->uep, n, f->text);
    /* What still lies in its queue must not run after all. */
    broker_queue_purge(f->all->api->broker, BROKER_TASKS, f->uep);
    f->all->under_way--;
    free(f->code);
    free(f->text);
    free(f);
}

void results_fail_all(struct results *all, const char *uep, const char *code, const char *text)
{
    struct fail_all *f = xcalloc(1, sizeof(*f));
    f->all = all;
    strncpy(f->uep, uep, UUID_TEXT - 1);
    f->code = xstrdup(code);
    f->text = xstrdup(text);
    STAILQ_INIT(&f->list);
    all->under_way++;
    store_read(all->api->store, find_open, found_open, f);
}

void results_fail_task(struct results *all, const char *uep, const char *task, const char *code,
                       const char *text)
{
    struct result *r = xcalloc(1, sizeof(*r));
    r->all = all;
    strncpy(r->task, task, UUID_TEXT - 1);
    strncpy(r->uep, uep, UUID_TEXT - 1);
    make_failure(r, code, text);
    add(all, r);
}

bool results_is_idle(const struct results *all)
{
    return all->under_way == 0 && STAILQ_EMPTY(&all->waiting) && STAILQ_EMPTY(&all->retries);
}

struct results *results_create(struct api *a)
{
    struct results *all = xcalloc(1, sizeof(*all));
    all->api = a;
    STAILQ_INIT(&all->waiting);
    STAILQ_INIT(&all->retries);
    all->retry = loop_timer_create(a->loop, retry_cb, all);
    return all;
}

static void list_free(struct result_list *list)
{
    struct result *r;
    while ((r = STAILQ_FIRST(list))) {
        STAILQ_REMOVE_HEAD(list, link);
        if (r->message)
            amqp_message_free(r->message); /* not acknowledged: it comes again */
        result_free(r);
    }
}

void results_destroy(struct results *all)
{
    if (!all)
        return;
    list_free(&all->waiting);
    list_free(&all->retries);
    loop_timer_destroy(all->retry);
    free(all);
}
