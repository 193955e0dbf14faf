/* Several service processes on one ledger (PostgreSQL): who looks after which task.
 *
 * Each process has a row in `processes` that it renews every TICK, and each task names the process
 * that accepted it: its keeper.  The keeper alone publishes a task that waits, has its user
 * endpoint started, and sends it again when it was lost.  Results are taken by whoever gets them,
 * so a keeper learns from the ledger how many of its tasks are still open.
 *
 * A process that ends in order sets its row to 0; one that was killed lets it grow old, or its
 * successor in the same place says that it is gone (the place's lock proves it).  Whoever deletes
 * such a row first takes over its tasks in the same transaction.  Nobody is declared dead by one
 * who has just been unable to reach the ledger itself: the others may have been as well.
 *
 * With SQLite there is one process; its id is 0 and none of this happens. */
#include <string.h>

#include "service/api/private.h"

#define TICK_US LOOP_S(3)
#define DEAD_US 15000000ll
#define STABLE_TICKS 6 /* renewals without a gap before others are judged */
#define FULL_EVERY 100 /* ticks: look for tasks of nobody at all */
#define COUNT_SHARE 20 /* counting takes at most one part in so many of the time */
#define NOW "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT"

struct keeper {
    struct api *api;
    int64_t id;
    struct loop_timer *timer;
    size_t processes;
    bool eldest;
    unsigned stable, ticks;
    uint64_t renewed_us, began_us;
    bool stopped;
};

/* What a job finds, taken over on the loop. */
struct round {
    struct keeper *k;
    bool judge, full;
    size_t processes;
    bool eldest;
    int64_t taken;
    struct open_list open;
};

/* ---- in jobs ---- */

static int take_over(struct db *db, int64_t me, int64_t from, int64_t *taken, struct err *err)
{
    int64_t n = db_run(db, err, "UPDATE tasks SET keeper = ? WHERE state < 2 AND keeper = ?", "ii",
                       me, from);
    if (n < 0)
        return -1;
    *taken += n;
    return 0;
}

/* Deletes the rows of the dead and takes their tasks. */
static int bury(struct db *db, int64_t me, const char *place, int64_t *taken, struct err *err)
{
    int64_t dead[64];
    size_t n = 0;
    int rc = 0;
    struct db_rows *r = db_query(db, err,
                                 "DELETE FROM processes WHERE id <> ? AND (place = ? OR seen_us < "
                                 "" NOW " - ?) RETURNING id",
                                 "isi", me, place, DEAD_US);
    if (!r)
        return -1;
    while (n < 64 && (rc = db_next(r, err)) == 1)
        dead[n++] = db_int(r, 0);
    db_rows_end(r);
    for (size_t i = 0; rc >= 0 && i < n; i++)
        rc = take_over(db, me, dead[i], taken, err);
    return rc < 0 ? -1 : 0;
}

/* Tasks whose keeper has no row: of the time before there were keepers, or of one that was buried
 * while it accepted them and died before it came back. */
static int take_strays(struct db *db, int64_t me, int64_t *taken, struct err *err)
{
    int64_t n = db_run(db, err,
                       "UPDATE tasks SET keeper = ? WHERE state < 2 AND keeper <> ? AND NOT EXISTS "
                       "(SELECT 1 FROM processes p WHERE p.id = tasks.keeper)",
                       "ii", me, me);
    if (n < 0)
        return -1;
    *taken += n;
    return 0;
}

static int renew(struct db *db, const struct keeper *k, struct err *err)
{
    return db_run(db, err,
                  "INSERT INTO processes(id, place, seen_us) VALUES (?, ?, " NOW ") "
                  "ON CONFLICT(id) DO UPDATE SET seen_us = excluded.seen_us",
                  "is", k->id, k->api->settings.place) < 0
               ? -1
               : 0;
}

static int begin_job(struct db *db, void *arg, struct err *err)
{
    struct round *r = arg;
    r->taken = 0;
    /* One after the other: two that start at once must not both miss the other's row. */
    struct db_rows *lock = db_query(db, err, "SELECT pg_advisory_xact_lock(7236146)", "");
    if (!lock)
        return -1;
    db_rows_end(lock);
    return renew(db, r->k, err) < 0 ||
                   bury(db, r->k->id, r->k->api->settings.place, &r->taken, err) < 0 ||
                   take_strays(db, r->k->id, &r->taken, err) < 0
               ? -1
               : 0;
}

static int round_job(struct db *db, void *arg, struct err *err)
{
    struct round *r = arg;
    int64_t me = r->k->id;
    r->taken = 0;
    if (renew(db, r->k, err) < 0 || (r->judge && bury(db, me, "", &r->taken, err) < 0) ||
        (r->full && take_strays(db, me, &r->taken, err) < 0))
        return -1;
    struct db_rows *rows =
        db_query(db, err, "SELECT COUNT(*), MIN(id) FROM processes WHERE seen_us > 0", "");
    int rc = rows ? db_next(rows, err) : -1;
    if (rc == 1) {
        r->processes = (size_t)db_int(rows, 0);
        r->eldest = db_int(rows, 1) == me;
    }
    db_rows_end(rows);
    return rc < 0 ? -1 : 0;
}

static int leave_job(struct db *db, void *arg, struct err *err)
{
    return db_run(db, err, "UPDATE processes SET seen_us = 0 WHERE id = ?", "i", *(int64_t *)arg) <
                   0
               ? -1
               : 0;
}

static int count_job(struct db *db, void *arg, struct err *err)
{
    struct round *r = arg;
    return open_list_read(db, r->k->id, &r->open, err);
}

/* ---- on the loop ---- */

static void again(struct keeper *k)
{
    uint64_t took = (loop_now_us(k->api->loop) - k->began_us) * COUNT_SHARE;
    if (!k->stopped)
        loop_timer_set(k->timer, took > TICK_US ? took : TICK_US, LOOP_MS(200));
}

static void counted(void *arg, int rc, const struct err *err)
{
    struct round *r = arg;
    struct keeper *k = r->k;
    if (rc < 0)
        log_warning("open tasks could not be counted: %s", err->text);
    else if (!k->stopped)
        ueps_open_are(k->api->ueps, &r->open, r->taken > 0);
    open_list_clear(&r->open);
    again(k);
    free(r);
}

static void rounded(void *arg, int rc, const struct err *err)
{
    struct round *r = arg;
    struct keeper *k = r->k;
    uint64_t now = loop_now_us(k->api->loop);
    if (k->stopped) {
        free(r);
        return;
    }
    if (rc < 0) {
        log_warning("event=keeper the ledger does not know of this process: %s", err->text);
        k->stable = 0;
        again(k);
        free(r);
        return;
    }
    k->stable = now - k->renewed_us < DEAD_US ? k->stable + 1 : 0;
    k->renewed_us = now;
    if (k->processes != r->processes)
        log_info("event=processes n=%zu", r->processes);
    k->processes = r->processes ? r->processes : 1;
    k->eldest = r->eldest;
    if (r->taken)
        log_info("event=take-over tasks=%lld", (long long)r->taken);
    store_read(k->api->store, count_job, counted, r);
}

static void tick(void *arg)
{
    struct keeper *k = arg;
    struct round *r = xcalloc(1, sizeof(*r));
    r->k = k;
    r->judge = k->stable >= STABLE_TICKS;
    r->full = r->judge && ++k->ticks % FULL_EVERY == 0;
    k->began_us = loop_now_us(k->api->loop);
    store_write(k->api->store, round_job, rounded, r);
}

int64_t keeper_id(const struct keeper *k)
{
    return k->id;
}

size_t keeper_processes(const struct keeper *k)
{
    return k->processes;
}

bool keeper_is_eldest(const struct keeper *k)
{
    return k->eldest;
}

struct keeper *keeper_create(struct api *a, struct err *err)
{
    struct keeper *k = xcalloc(1, sizeof(*k));
    k->api = a;
    k->processes = 1;
    k->eldest = true;
    k->timer = loop_timer_create(a->loop, tick, k);
    if (!a->settings.place)
        return k;
    struct round r = {.k = k};
    k->id = now_us();
    k->renewed_us = loop_now_us(a->loop);
    if (store_now(a->store, begin_job, &r, err) < 0) {
        keeper_destroy(k);
        return NULL;
    }
    if (r.taken)
        log_info("event=take-over tasks=%lld", (long long)r.taken);
    loop_timer_set(k->timer, TICK_US / 3, LOOP_MS(200));
    return k;
}

void keeper_stop(struct keeper *k)
{
    k->stopped = true;
    loop_timer_cancel(k->timer);
    if (k->id)
        store_write(k->api->store, leave_job, NULL, &k->id);
}

void keeper_destroy(struct keeper *k)
{
    if (!k)
        return;
    loop_timer_destroy(k->timer);
    free(k);
}
