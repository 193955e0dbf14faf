/* What time does: tasks that nobody came for end, old results and files go, and tasks that a user
 * endpoint lost are sent again.
 *
 * Ids are ordered by time, so "old" is a range at the front of each table; work is done in chunks,
 * each a transaction of its own. */
#include <stdio.h>
#include <string.h>

#include "service/api/private.h"

#define FIRST_US LOOP_S(15)
#define EVERY_US LOOP_S(60)
#define FOLDERS_A_ROUND 4 /* all of them in about an hour */
#define CHUNK 1000
/* A task that was sent so long ago, while its user endpoint says that it has nothing, is lost. */
#define LOST_S 60
#define TRIES_MAX 3

struct old_task {
    char id[UUID_TEXT], uep[UUID_TEXT];
};

struct sweep {
    struct api *api;
    int64_t cutoff_us; /* older is old */
    char cutoff_id[UUID_TEXT];
    struct old_task expired[CHUNK];
    size_t n_expired, n_removed;
    unsigned folder;
};

struct maintenance {
    struct api *api;
    struct loop_timer *timer;
    unsigned round;
    bool running;
};

/* ---- old things ---- */

/* By the index of open tasks, which || '' leaves as the only way: among the ids, thousands of
 * finished tasks that wait for their removal would be read at each step. */
static int find_expired(struct db *db, struct sweep *s, struct err *err)
{
    int rc;
    struct db_rows *r = db_query(db, err,
                                 "SELECT id, uep FROM tasks WHERE state < 2 AND id || '' < ? "
                                 "LIMIT 1000",
                                 "s", s->cutoff_id);
    s->n_expired = 0;
    if (!r)
        return -1;
    while ((rc = db_next(r, err)) == 1) {
        struct old_task *t = &s->expired[s->n_expired++];
        snprintf(t->id, UUID_TEXT, "%s", db_text(r, 0));
        snprintf(t->uep, UUID_TEXT, "%s", db_text(r, 1));
    }
    db_rows_end(r);
    return rc;
}

static void bind_id(void *arg, size_t i, struct db_binder *b)
{
    db_bind(b, "s", ((struct old_task *)arg)[i].id);
}

static int remove_old(struct db *db, struct sweep *s, struct err *err)
{
    struct old_task *old = xcalloc(CHUNK, sizeof(*old));
    size_t n = 0;
    int rc;
    struct db_rows *r = db_query(db, err,
                                 "SELECT id FROM tasks WHERE id < ? AND state >= 2 AND "
                                 "done_us < ? ORDER BY id LIMIT 1000",
                                 "si", s->cutoff_id, s->cutoff_us);
    rc = r ? 0 : -1;
    while (rc == 0 && (rc = db_next(r, err)) == 1) {
        snprintf(old[n++].id, UUID_TEXT, "%s", db_text(r, 0));
        rc = 0;
    }
    db_rows_end(r);
    if (rc == 0 &&
        (db_run_many(db, err, "DELETE FROM results WHERE task = ?", n, bind_id, old) < 0 ||
         db_run_many(db, err, "DELETE FROM payloads WHERE task = ?", n, bind_id, old) < 0 ||
         db_run_many(db, err, "DELETE FROM tasks WHERE id = ?", n, bind_id, old) < 0))
        rc = -1;
    s->n_removed = n;
    free(old);
    return rc;
}

static int remove_rest(struct db *db, struct sweep *s, struct err *err)
{
    return db_run(db, err,
                  "DELETE FROM task_groups WHERE id IN (SELECT g.id FROM task_groups g "
                  "WHERE g.id < ? AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.grp = g.id) "
                  "LIMIT 1000)",
                  "s", s->cutoff_id) < 0 ||
                   db_run(db, err, "DELETE FROM presence WHERE seen_us < ?", "i",
                          s->cutoff_us - 90ll * 24 * 3600 * 1000000) < 0
               ? -1
               : 0;
}

static int sweep_job(struct db *db, void *arg, struct err *err)
{
    struct sweep *s = arg;
    return find_expired(db, s, err) < 0 || remove_old(db, s, err) < 0 || remove_rest(db, s, err) < 0
               ? -1
               : 0;
}

static int files_job(struct db *db, void *arg, struct err *err)
{
    struct sweep *s = arg;
    for (unsigned i = 0; i < FOLDERS_A_ROUND; i++)
        if (files_sweep(s->api->files, s->folder + i, db, err) < 0)
            return -1;
    return 0;
}

static void files_done(void *arg, int rc, const struct err *err)
{
    (void)rc;
    (void)err;
    free(arg);
}

static void sweep_done(void *arg, int rc, const struct err *err)
{
    struct sweep *s = arg;
    struct maintenance *m = s->api->maintenance;
    m->running = false;
    if (rc < 0)
        log_warning("old tasks could not be removed: %s", err->text);
    for (size_t i = 0; rc == 0 && i < s->n_expired; i++) {
        results_fail_task(s->api->results, s->expired[i].uep, s->expired[i].id, "TaskExpired",
                          "The endpoint did not run this task in the time that tasks are kept");
        s->api->counters.expired++;
    }
    if (rc == 0 && (s->n_expired || s->n_removed))
        log_info("event=clean-up expired=%zu removed=%zu", s->n_expired, s->n_removed);
    bool more = rc == 0 && (s->n_removed == CHUNK || s->n_expired == CHUNK);
    loop_timer_set(m->timer, more ? LOOP_MS(200) : EVERY_US, LOOP_MS(100));
    store_read(s->api->store, files_job, files_done, s);
}

static void tick(void *arg)
{
    struct maintenance *m = arg;
    if (!keeper_is_eldest(m->api->keeper)) {
        loop_timer_set(m->timer, EVERY_US, LOOP_S(1));
        return;
    }
    struct sweep *s = xcalloc(1, sizeof(*s));
    s->api = m->api;
    s->cutoff_us = now_us() - (int64_t)m->api->settings.task_days * 24 * 3600 * 1000000;
    id_at(s->cutoff_us, s->cutoff_id);
    s->folder = m->round++ * FOLDERS_A_ROUND % FILES_FOLDERS;
    m->running = true;
    store_write(m->api->store, sweep_job, sweep_done, s);
}

struct maintenance *maintenance_create(struct api *a)
{
    struct maintenance *m = xcalloc(1, sizeof(*m));
    m->api = a;
    m->timer = loop_timer_create(a->loop, tick, m);
    loop_timer_set(m->timer, FIRST_US, LOOP_S(1));
    return m;
}

void maintenance_stop(struct maintenance *m)
{
    loop_timer_cancel(m->timer);
}

void maintenance_destroy(struct maintenance *m)
{
    if (!m)
        return;
    loop_timer_destroy(m->timer);
    free(m);
}

/* ---- lost tasks ---- */

struct lost {
    struct api *api;
    char uep[UUID_TEXT];
    struct old_task given_up[CHUNK];
    size_t n_given_up;
    int64_t again;
};

static int lost_job(struct db *db, void *arg, struct err *err)
{
    struct lost *l = arg;
    int64_t before = now_us() - LOST_S * 1000000ll, me = keeper_id(l->api->keeper);
    int rc;
    l->again = db_run(db, err,
                      "UPDATE tasks SET state = 0, tries = tries + 1 WHERE uep = ? AND state = 1 "
                      "AND state < 2 AND sent_us < ? AND tries < ? AND keeper = ?",
                      "siii", l->uep, before, (int64_t)TRIES_MAX - 1, me);
    if (l->again < 0)
        return -1;
    struct db_rows *r = db_query(db, err,
                                 "SELECT id FROM tasks WHERE uep = ? AND state = 1 AND state < 2 "
                                 "AND sent_us < ? AND tries >= ? AND keeper = ? LIMIT 1000",
                                 "siii", l->uep, before, (int64_t)TRIES_MAX - 1, me);
    l->n_given_up = 0;
    if (!r)
        return -1;
    while ((rc = db_next(r, err)) == 1)
        snprintf(l->given_up[l->n_given_up++].id, UUID_TEXT, "%s", db_text(r, 0));
    db_rows_end(r);
    return rc;
}

static void lost_done(void *arg, int rc, const struct err *err)
{
    struct lost *l = arg;
    struct uep *u = ueps_find(l->api->ueps, l->uep);
    if (rc < 0)
        log_warning("lost tasks of %s: %s", l->uep, err->text);
    for (size_t i = 0; rc == 0 && i < l->n_given_up; i++)
        results_fail_task(l->api->results, l->uep, l->given_up[i].id, "UserEndpointLost",
                          "The user endpoint ended while it ran this task, three times");
    if (rc == 0 && l->again > 0) {
        log_warning("event=lost-tasks uep=%s tasks=%lld; they are sent again", l->uep,
                    (long long)l->again);
        l->api->counters.redelivered += (uint64_t)l->again;
        if (u)
            outbox_pump(l->api->outbox, u);
    }
    free(l);
}

static void looked(void *arg, const struct broker_queue_state *state, const struct err *err)
{
    struct lost *l = arg;
    (void)err;
    if (!state || (state->exists && state->messages > 0)) {
        free(l); /* they wait in its queue */
        return;
    }
    store_write(l->api->store, lost_job, lost_done, l);
}

void maintenance_lost(struct maintenance *m, const char *uep)
{
    struct lost *l = xcalloc(1, sizeof(*l));
    l->api = m->api;
    snprintf(l->uep, UUID_TEXT, "%s", uep);
    broker_queue_look(m->api->broker, BROKER_TASKS, uep, looked, l);
}
