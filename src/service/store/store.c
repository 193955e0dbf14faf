/* Threads and transactions of store.h.
 *
 * One writer takes everything that waits (up to BATCH_MAX jobs) into one transaction: while a
 * commit is synced to the disk, the next batch gathers.  READERS threads take one read job each.
 * Finished jobs go on a list that one post to the loop empties, in the order of their commits. */
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "service/store/engine.h"

#define READERS 2
#define BATCH_MAX 1024
#define TRIES_MAX 8
#define PAUSE_US 20000
#define PAUSE_MAX_US 2000000

struct job {
    STAILQ_ENTRY(job) link;
    store_job_f *f;
    store_done_f *done;
    void *arg;
    int rc;
    struct err *err; /* of a job that failed */
};
STAILQ_HEAD(job_list, job);

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct job_list jobs;
    size_t n; /* waiting or running */
    bool stop;
};

/* Outlives the store for as long as a post is under way. */
struct finished {
    pthread_mutex_t lock;
    struct job_list jobs;
    bool posted;
    bool closed;
};

struct store {
    struct loop *loop;
    const struct db_engine *engine;
    char *url;
    struct queue writes, reads;
    struct finished *finished;
    pthread_t writer, readers[READERS];
    size_t n_readers;
    bool has_writer;
    pthread_mutex_t now_lock;
    struct db *now; /* the connection of store_now() */
};

struct worker {
    struct store *store;
    struct db *db;
};

/* ---- finished jobs ---- */

static void job_end(struct job *j)
{
    static const struct err fine = ERR_INIT;
    if (j->done)
        j->done(j->arg, j->rc, j->err ? j->err : &fine);
    free(j->err);
    free(j);
}

static void deliver(void *arg)
{
    struct finished *f = arg;
    struct job_list jobs = STAILQ_HEAD_INITIALIZER(jobs);
    struct job *j;
    pthread_mutex_lock(&f->lock);
    STAILQ_CONCAT(&jobs, &f->jobs);
    f->posted = false;
    bool closed = f->closed;
    pthread_mutex_unlock(&f->lock);
    while ((j = STAILQ_FIRST(&jobs))) {
        STAILQ_REMOVE_HEAD(&jobs, link);
        job_end(j);
    }
    if (closed)
        free(f);
}

static void finish(struct store *s, struct job_list *jobs)
{
    struct finished *f = s->finished;
    pthread_mutex_lock(&f->lock);
    STAILQ_CONCAT(&f->jobs, jobs);
    bool post = !f->posted && !STAILQ_EMPTY(&f->jobs);
    f->posted |= post;
    pthread_mutex_unlock(&f->lock);
    if (post)
        loop_post(s->loop, deliver, f);
}

/* ---- queues ---- */

static void queue_init(struct queue *q)
{
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->more, NULL);
    STAILQ_INIT(&q->jobs);
}

static void queue_push(struct queue *q, store_job_f *f, store_done_f *done, void *arg)
{
    struct job *j = xcalloc(1, sizeof(*j));
    j->f = f;
    j->done = done;
    j->arg = arg;
    pthread_mutex_lock(&q->lock);
    STAILQ_INSERT_TAIL(&q->jobs, j, link);
    q->n++;
    pthread_cond_signal(&q->more);
    pthread_mutex_unlock(&q->lock);
}

/* Waits for work; false = stop and nothing is left. */
static bool queue_take(struct queue *q, size_t max, struct job_list *out)
{
    STAILQ_INIT(out);
    pthread_mutex_lock(&q->lock);
    while (STAILQ_EMPTY(&q->jobs) && !q->stop)
        pthread_cond_wait(&q->more, &q->lock);
    for (size_t i = 0; i < max && !STAILQ_EMPTY(&q->jobs); i++) {
        struct job *j = STAILQ_FIRST(&q->jobs);
        STAILQ_REMOVE_HEAD(&q->jobs, link);
        STAILQ_INSERT_TAIL(out, j, link);
    }
    pthread_mutex_unlock(&q->lock);
    return !STAILQ_EMPTY(out);
}

static void queue_done(struct queue *q, size_t n)
{
    pthread_mutex_lock(&q->lock);
    q->n -= n;
    pthread_mutex_unlock(&q->lock);
}

static void queue_stop(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->stop = true;
    pthread_cond_broadcast(&q->more);
    pthread_mutex_unlock(&q->lock);
}

/* ---- transactions ---- */

static void job_failed(struct job *j, const struct err *err)
{
    j->rc = -1;
    if (!j->err)
        j->err = xmalloc(sizeof(*j->err));
    *j->err = *err;
    if (!j->err->text[0])
        err_set(j->err, "the ledger refused a change");
}

/* One job behind a savepoint; -1 = the transaction can't go on. */
static int run_guarded(struct db *db, struct job *j, bool alone)
{
    const struct db_engine *e = db->engine;
    struct err err = ERR_INIT;
    if (!alone && e->exec(db, "SAVEPOINT job", &err) < 0) {
        job_failed(j, &err);
        return -1;
    }
    j->rc = j->f(db, j->arg, &err);
    if (j->rc == 0)
        return alone || e->exec(db, "RELEASE SAVEPOINT job", &err) == 0 ? 0 : -1;
    job_failed(j, &err);
    /* Alone, a refusal is simply a rollback of everything. */
    if (alone || e->must_rerun(db, false))
        return -1;
    return e->exec(db, "ROLLBACK TO SAVEPOINT job", &err) == 0 &&
                   e->exec(db, "RELEASE SAVEPOINT job", &err) == 0
               ? 0
               : -1;
}

/* All jobs in one transaction.  0 = each job's rc tells; -1 with err = nothing of it happened. */
static int transact(struct db *db, struct job_list *jobs, const char *begin, struct err *err)
{
    const struct db_engine *e = db->engine;
    struct job *j = STAILQ_FIRST(jobs);
    bool alone = j && !STAILQ_NEXT(j, link);
    if (e->exec(db, begin, err) < 0)
        return -1;
    STAILQ_FOREACH(j, jobs, link)
    {
        j->rc = 0;
        if (run_guarded(db, j, alone) < 0) {
            *err = j->err ? *j->err : (struct err){.text = "the ledger lost a transaction"};
            e->exec(db, "ROLLBACK", NULL);
            return -1;
        }
    }
    if (e->exec(db, "COMMIT", err) < 0) {
        e->exec(db, "ROLLBACK", NULL);
        return -1;
    }
    return 0;
}

static void run_batch(struct db *db, struct job_list *jobs, const char *begin)
{
    struct err err;
    struct job *j;
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        err = (struct err)ERR_INIT;
        if (transact(db, jobs, begin, &err) == 0)
            return;
        if (!db->engine->must_rerun(db, true))
            break;
        log_warning("%s; trying again", err.text);
        usleep((useconds_t)backoff_us(tries, PAUSE_US, PAUSE_MAX_US));
    }
    STAILQ_FOREACH(j, jobs, link)
    if (j->rc == 0 || !j->err)
        job_failed(j, &err);
}

static void *writer_main(void *arg)
{
    struct worker *w = arg;
    struct store *s = w->store;
    struct job_list jobs;
    struct job *j;
    prctl(PR_SET_NAME, "store-write");
    while (queue_take(&s->writes, BATCH_MAX, &jobs)) {
        size_t n = 0;
        STAILQ_FOREACH(j, &jobs, link)
        n++;
        run_batch(w->db, &jobs, s->engine->is_postgres ? "BEGIN" : "BEGIN IMMEDIATE");
        finish(s, &jobs);
        queue_done(&s->writes, n);
    }
    s->engine->close(w->db);
    free(w);
    return NULL;
}

static void *reader_main(void *arg)
{
    struct worker *w = arg;
    struct store *s = w->store;
    struct job_list jobs;
    prctl(PR_SET_NAME, "store-read");
    while (queue_take(&s->reads, 1, &jobs)) {
        run_batch(w->db, &jobs, "BEGIN");
        finish(s, &jobs);
        queue_done(&s->reads, 1);
    }
    s->engine->close(w->db);
    free(w);
    return NULL;
}

/* ---- from the loop ---- */

static int start_thread(struct store *s, pthread_t *t, void *(*f)(void *), bool writer,
                        struct db *db, struct err *err)
{
    struct worker *w = xcalloc(1, sizeof(*w));
    w->store = s;
    w->db = db ? db : s->engine->open(s->url, writer, err);
    if (w->db && pthread_create(t, NULL, f, w) == 0)
        return 0;
    if (w->db) {
        s->engine->close(w->db);
        err_set(err, "can't start a thread for the ledger");
    }
    free(w);
    return -1;
}

struct store *store_open(struct loop *l, const char *url, struct err *err)
{
    struct store *s = xcalloc(1, sizeof(*s));
    s->loop = l;
    s->url = xstrdup(url);
    s->finished = xcalloc(1, sizeof(*s->finished));
    pthread_mutex_init(&s->finished->lock, NULL);
    STAILQ_INIT(&s->finished->jobs);
    pthread_mutex_init(&s->now_lock, NULL);
    queue_init(&s->writes);
    queue_init(&s->reads);
    if (strncmp(url, "sqlite:", 7) == 0)
        s->engine = &engine_sqlite;
    else if (strncmp(url, "postgresql:", 11) == 0 || strncmp(url, "postgres:", 9) == 0)
        s->engine = &engine_postgres;
    else
        err_set(err, "%.40s: a store is sqlite:PATH or postgresql://USER@HOST/DATABASE", url);
    struct db *db = s->engine ? s->engine->open(url, true, err) : NULL;
    if (db && migrations_apply(db, err) < 0) {
        s->engine->close(db);
        db = NULL;
    }
    if (!db || start_thread(s, &s->writer, writer_main, true, db, err) < 0) {
        store_close(s);
        return NULL;
    }
    s->has_writer = true;
    for (; s->n_readers < READERS; s->n_readers++) {
        if (start_thread(s, &s->readers[s->n_readers], reader_main, false, NULL, err) < 0) {
            store_close(s);
            return NULL;
        }
    }
    return s;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    queue_stop(&s->writes);
    queue_stop(&s->reads);
    if (s->has_writer)
        pthread_join(s->writer, NULL);
    for (size_t i = 0; i < s->n_readers; i++)
        pthread_join(s->readers[i], NULL);
    if (s->now)
        s->engine->close(s->now);
    /* What is finished and not delivered yet is delivered now; a post that is still under way
     * frees the list. */
    struct finished *f = s->finished;
    pthread_mutex_lock(&f->lock);
    bool posted = f->posted;
    pthread_mutex_unlock(&f->lock);
    deliver(f);
    f->posted = posted;
    f->closed = true;
    if (!posted)
        free(f);
    wipe_free(s->url);
    free(s);
}

void store_write(struct store *s, store_job_f *job, store_done_f *done, void *arg)
{
    queue_push(&s->writes, job, done, arg);
}

void store_read(struct store *s, store_job_f *job, store_done_f *done, void *arg)
{
    queue_push(&s->reads, job, done, arg);
}

int store_now(struct store *s, store_job_f *job, void *arg, struct err *err)
{
    struct job j = {.f = job, .arg = arg};
    struct job_list jobs = STAILQ_HEAD_INITIALIZER(jobs);
    STAILQ_INSERT_TAIL(&jobs, &j, link);
    pthread_mutex_lock(&s->now_lock);
    if (!s->now)
        s->now = s->engine->open(s->url, true, err);
    if (!s->now) {
        pthread_mutex_unlock(&s->now_lock);
        return -1;
    }
    run_batch(s->now, &jobs, s->engine->is_postgres ? "BEGIN" : "BEGIN IMMEDIATE");
    pthread_mutex_unlock(&s->now_lock);
    if (j.rc != 0 && err && j.err)
        *err = *j.err;
    free(j.err);
    return j.rc;
}

size_t store_backlog(const struct store *s)
{
    struct store *w = (struct store *)(uintptr_t)s;
    pthread_mutex_lock(&w->writes.lock);
    size_t n = w->writes.n;
    pthread_mutex_unlock(&w->writes.lock);
    return n;
}
