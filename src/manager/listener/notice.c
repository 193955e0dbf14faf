/* See notice.h. */
#include "manager/listener/notice.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "lib/amqp/amqp.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/map.h"
#include "lib/wire/wire.h"

#define THREADS_MAX 4
#define IDLE_US 5000000
#define TRY_US 8000000
#define GIVE_UP_US 150000000
#define PAUSE_US 500000
#define PAUSE_MAX_US 15000000
#define BUCKET_SIZE 100.0
#define BUCKET_PER_S 2.0
#define BUCKETS_MAX 4096

struct notice {
    TAILQ_ENTRY(notice) link;
    struct notices *all;
    char *url, *exchange, *key;
    struct buf body;
    uint64_t not_before_us, give_up_us;
    unsigned tries;
    notice_f *cb;
    void *arg;
    bool sent;
    struct err err;
};

struct bucket {
    double level;
    uint64_t at_us;
};

struct notices {
    struct loop *loop;
    struct map *buckets;
    pthread_mutex_t lock;
    pthread_cond_t news;
    TAILQ_HEAD(, notice) line;
    unsigned threads, idle;
    bool stopping;
};

static void notice_free(struct notice *x)
{
    wipe_free(x->url);
    free(x->exchange);
    free(x->key);
    buf_free(&x->body);
    free(x);
}

/* ---- the threads ---- */

static void done_cb(void *arg)
{
    struct notice *x = arg;
    if (x->cb)
        x->cb(x->arg, x->sent, x->err.text);
    notice_free(x);
}

/* With the lock held: the next that is due, preferably for the open connection. */
static struct notice *pick(struct notices *n, const char *open_url, uint64_t now, uint64_t *next)
{
    struct notice *x, *any = NULL;
    TAILQ_FOREACH(x, &n->line, link)
    {
        if (x->not_before_us > now) {
            if (x->not_before_us < *next)
                *next = x->not_before_us;
            continue;
        }
        if (!any)
            any = x;
        if (open_url && strcmp(x->url, open_url) == 0) {
            any = x;
            break;
        }
    }
    if (any)
        TAILQ_REMOVE(&n->line, any, link);
    return any;
}

static bool is_final(const struct err *err)
{
    return err->code == EACCES || err->code == EINVAL || (err->code >= 400 && err->code < 500);
}

struct worker {
    struct notices *all;
    struct amqp_brief *open;
    char *url;
};

static void shut(struct worker *w)
{
    amqp_brief_close(w->open);
    wipe_free(w->url);
    w->open = NULL;
    w->url = NULL;
}

static int try_once(struct worker *w, struct notice *x)
{
    if (w->open && strcmp(w->url, x->url) != 0)
        shut(w);
    if (!w->open) {
        w->open = amqp_brief_open(x->url, TRY_US, &x->err);
        if (!w->open)
            return -1;
        w->url = xstrdup(x->url);
    }
    int rc = amqp_brief_publish(w->open, x->exchange, x->key, x->body.data, x->body.len, TRY_US,
                                &x->err);
    if (rc < 0)
        shut(w);
    return rc;
}

/* True: it is settled. */
static bool attempt(struct worker *w, struct notice *x)
{
    x->err = (struct err)ERR_INIT;
    bool kept = w->open && strcmp(w->url, x->url) == 0;
    x->sent = try_once(w, x) == 0;
    if (!x->sent && kept && !is_final(&x->err)) /* a connection that was kept may be stale */
        x->sent = try_once(w, x) == 0;
    uint64_t now = clock_mono_us();
    if (x->sent || is_final(&x->err) || now >= x->give_up_us)
        return true;
    x->not_before_us = now + backoff_us(x->tries++, PAUSE_US, PAUSE_MAX_US);
    return false;
}

static void wait_until(struct notices *n, uint64_t until_us)
{
    struct timespec ts;
    ts.tv_sec = (time_t)(until_us / 1000000);
    ts.tv_nsec = (long)(until_us % 1000000) * 1000;
    n->idle++;
    pthread_cond_timedwait(&n->news, &n->lock, &ts);
    n->idle--;
}

static void *worker_thread(void *arg)
{
    struct worker w = {.all = arg};
    struct notices *n = arg;
    uint64_t leave_at = clock_mono_us() + IDLE_US;
    pthread_mutex_lock(&n->lock);
    while (!n->stopping) {
        uint64_t now = clock_mono_us(), next = UINT64_MAX;
        struct notice *x = pick(n, w.url, now, &next);
        if (!x && next == UINT64_MAX && now >= leave_at)
            break;
        if (!x) {
            wait_until(n, next < leave_at ? next : leave_at > now ? leave_at : next);
            continue;
        }
        pthread_mutex_unlock(&n->lock);
        bool settled = attempt(&w, x);
        pthread_mutex_lock(&n->lock);
        leave_at = clock_mono_us() + IDLE_US;
        if (!settled)
            TAILQ_INSERT_TAIL(&n->line, x, link);
        else if (!n->stopping)
            loop_post(n->loop, done_cb, x);
        else
            notice_free(x);
    }
    n->threads--;
    pthread_cond_broadcast(&n->news);
    pthread_mutex_unlock(&n->lock);
    shut(&w);
    return NULL;
}

static bool start_thread(struct notices *n)
{
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigset_t all, was; /* signals belong to the loop's thread */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);
    int rc = pthread_create(&thread, &attr, worker_thread, n);
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    pthread_attr_destroy(&attr);
    return rc == 0;
}

/* ---- the loop's side ---- */

struct notices *notices_create(struct loop *l)
{
    struct notices *n = xcalloc(1, sizeof(*n));
    pthread_condattr_t attr;
    n->loop = l;
    n->buckets = map_create();
    pthread_mutex_init(&n->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&n->news, &attr);
    pthread_condattr_destroy(&attr);
    TAILQ_INIT(&n->line);
    return n;
}

void notices_destroy(struct notices *n, uint64_t timeout_us)
{
    uint64_t until = clock_mono_us() + timeout_us;
    if (!n)
        return;
    pthread_mutex_lock(&n->lock);
    n->stopping = true;
    pthread_cond_broadcast(&n->news);
    while (n->threads && clock_mono_us() < until)
        wait_until(n, until);
    bool left = n->threads > 0;
    for (struct notice *x; (x = TAILQ_FIRST(&n->line));) {
        TAILQ_REMOVE(&n->line, x, link);
        notice_free(x);
    }
    pthread_mutex_unlock(&n->lock);
    map_destroy(n->buckets, free);
    n->buckets = NULL;
    if (left)
        return; /* a thread waits for a dead broker: its memory stays until we leave */
    pthread_mutex_destroy(&n->lock);
    pthread_cond_destroy(&n->news);
    free(n);
}

void notice_send(struct notices *n, const struct command_route *route, const char *text,
                 notice_f *cb, void *arg)
{
    struct notice *x = xcalloc(1, sizeof(*x));
    autofree char *cut = xstrndup(text, strnlen(text, NOTICE_TEXT_MAX));
    *x = (struct notice){.all = n,
                         .url = xstrdup(route->url),
                         .exchange = xstrdup(route->exchange),
                         .key = xstrdup(route->routing_key),
                         .give_up_us = clock_mono_us() + GIVE_UP_US,
                         .cb = cb,
                         .arg = arg};
    wire_pack_start_failure(&x->body, route->endpoint_id, cut);
    pthread_mutex_lock(&n->lock);
    TAILQ_INSERT_TAIL(&n->line, x, link);
    bool more = n->idle == 0 && n->threads < THREADS_MAX;
    if (more)
        n->threads++;
    pthread_cond_signal(&n->news);
    if (more && !start_thread(n)) {
        n->threads--;
        log_error("no thread for failure notices can be started");
    }
    pthread_mutex_unlock(&n->lock);
}

static double refill(struct bucket *b, uint64_t now)
{
    b->level += (double)(now - b->at_us) / 1e6 * BUCKET_PER_S;
    b->at_us = now;
    if (b->level > BUCKET_SIZE)
        b->level = BUCKET_SIZE;
    return b->level;
}

/* Buckets that are full again say nothing. */
static void prune(struct notices *n, uint64_t now)
{
    const char *key;
    void *value;
    for (size_t it = 0; map_next(n->buckets, &it, &key, &value);)
        if (refill(value, now) >= BUCKET_SIZE)
            free(map_del(n->buckets, key));
}

bool notice_may(struct notices *n, const char *identity)
{
    uint64_t now = loop_now_us(n->loop);
    struct bucket *b = map_get(n->buckets, identity);
    if (!b) {
        if (map_count(n->buckets) >= BUCKETS_MAX)
            prune(n, now);
        if (map_count(n->buckets) >= BUCKETS_MAX)
            return false;
        b = xcalloc(1, sizeof(*b));
        *b = (struct bucket){.level = BUCKET_SIZE, .at_us = now};
        map_put(n->buckets, identity, b);
    }
    if (refill(b, now) < 1)
        return false;
    b->level -= 1;
    return true;
}
