/* Tells open pages that something has changed, by server-sent events.
 *
 * While anybody looks, a read job asks the ledger every two seconds for a fingerprint that is cheap
 * to get: the newest task, how many are open, the newest sign of life.  When it differs, every
 * stream gets "change"; the pages then ask for what they show.  Nobody looks: nothing is asked. */
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "service/web/private.h"

#define PERIOD LOOP_S(2)
#define STREAMS_MAX 500
#define LIFE LOOP_S(900) /* a stream ends; the page opens another, and is asked again who it is */
#define TICK_EVERY 15    /* periods: a stream that can't be written to has lost its page */
#define COUNTED_MAX 10000

struct stream {
    LIST_ENTRY(stream) link;
    struct sse *sse;
    uint64_t end_us;
};

struct events {
    struct web *web;
    struct loop_timer *timer;
    LIST_HEAD(, stream) streams;
    size_t n;
    bool asking;
    unsigned periods;
    char now[128], last[128];
};

static void arm(struct events *e)
{
    if (!LIST_EMPTY(&e->streams) && !loop_timer_is_set(e->timer) && !e->asking)
        loop_timer_set(e->timer, PERIOD, LOOP_MS(200));
}

static void drop(struct events *e, struct stream *s)
{
    LIST_REMOVE(s, link);
    e->n--;
    sse_end(s->sse);
    free(s);
}

static int fingerprint_job(struct db *db, void *arg, struct err *err)
{
    struct events *e = arg;
    char sql[512];
    snprintf(sql, sizeof sql,
             "SELECT (SELECT MAX(id) FROM tasks), (SELECT COUNT(*) FROM (SELECT 1 FROM tasks WHERE "
             "state < 2 LIMIT %d) o), (SELECT SUM(state) FROM (SELECT state FROM tasks WHERE state "
             "< 2 LIMIT %d) s), (SELECT MAX(seen_us) FROM presence), (SELECT MAX(used_us) FROM "
             "ueps)",
             COUNTED_MAX, COUNTED_MAX);
    struct db_rows *rows = db_query(db, err, sql, "");
    if (rows == NULL)
        return -1;
    int rc = db_next(rows, err);
    if (rc == 1)
        snprintf(e->now, sizeof e->now, "%.36s %lld %lld %lld %lld",
                 db_text(rows, 0) == NULL ? "-" : db_text(rows, 0), (long long)db_int(rows, 1),
                 (long long)db_int(rows, 2), (long long)db_int(rows, 3),
                 (long long)db_int(rows, 4));
    db_rows_end(rows);
    return rc < 0 ? -1 : 0;
}

static void tell(struct events *e, const char *event)
{
    uint64_t now = loop_now_us(e->web->opts.loop);
    for (struct stream *s = LIST_FIRST(&e->streams), *next; s != NULL; s = next) {
        next = LIST_NEXT(s, link);
        if (now >= s->end_us || (event != NULL && sse_send(s->sse, event, "{}") != 0))
            drop(e, s);
    }
}

static void asked(void *arg, int rc, const struct err *err)
{
    struct events *e = arg;
    e->asking = false;
    bool changed = rc == 0 && strcmp(e->now, e->last) != 0;
    memcpy(e->last, e->now, sizeof e->last);
    tell(e, changed ? "change" : ++e->periods % TICK_EVERY == 0 ? "tick" : NULL);
    arm(e);
}

static void tick(void *arg)
{
    struct events *e = arg;
    e->asking = true;
    store_read(e->web->opts.store, fingerprint_job, asked, e);
}

struct events *events_create(struct web *w)
{
    struct events *e = xcalloc(1, sizeof *e);
    e->web = w;
    e->timer = loop_timer_create(w->opts.loop, tick, e);
    LIST_INIT(&e->streams);
    return e;
}

void events_stop(struct events *e)
{
    while (!LIST_EMPTY(&e->streams))
        drop(e, LIST_FIRST(&e->streams));
    loop_timer_cancel(e->timer);
}

void events_destroy(struct events *e)
{
    loop_timer_destroy(e->timer);
    free(e);
}

void events_open(struct events *e, struct req *r)
{
    if (e->n >= STREAMS_MAX) {
        reply_header(r, "Retry-After", "30");
        reply_error(r, 503, "BUSY", "%d pages are open already; reload this one later",
                    STREAMS_MAX);
        return;
    }
    reply_header(r, "X-Accel-Buffering", "no"); /* a proxy in front must not hold it back */
    struct stream *s = xcalloc(1, sizeof *s);
    s->sse = reply_sse(r);
    s->end_us = loop_now_us(e->web->opts.loop) + LIFE;
    if (s->sse == NULL) {
        free(s);
        return;
    }
    LIST_INSERT_HEAD(&e->streams, s, link);
    e->n++;
    sse_send(s->sse, "hello", "{}");
    arm(e);
}
