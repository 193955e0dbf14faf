#include "service/auth/work.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"

struct item {
    STAILQ_ENTRY(item) link;
    void (*job)(void *);
    void (*done)(void *);
    void *arg;
};

struct work {
    struct loop *loop;
    pthread_mutex_t lock;
    pthread_cond_t more;
    STAILQ_HEAD(, item) queue;
    size_t queued, queue_max;
    pthread_t *threads;
    unsigned started, threads_max, idle;
    bool ending;
};

struct work *work_create(struct loop *l, unsigned threads, size_t queue_max)
{
    struct work *w = xcalloc(1, sizeof *w);
    w->loop = l;
    w->threads = xcalloc(threads, sizeof *w->threads);
    w->threads_max = threads;
    w->queue_max = queue_max;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    STAILQ_INIT(&w->queue);
    return w;
}

static void *run(void *arg)
{
    struct work *w = arg;
    pthread_mutex_lock(&w->lock);
    while (!w->ending) {
        struct item *item = STAILQ_FIRST(&w->queue);
        if (item == NULL) {
            w->idle++;
            pthread_cond_wait(&w->more, &w->lock);
            w->idle--;
            continue;
        }
        STAILQ_REMOVE_HEAD(&w->queue, link);
        w->queued--;
        pthread_mutex_unlock(&w->lock);
        item->job(item->arg);
        loop_post(w->loop, item->done, item->arg);
        free(item);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

bool work_do(struct work *w, void (*job)(void *), void (*done)(void *), void *arg)
{
    bool taken = false;
    pthread_mutex_lock(&w->lock);
    if (w->queued < w->queue_max) {
        /* Threads start when they are first needed: an idle service has none. */
        if (w->queued >= w->idle && w->started < w->threads_max) {
            if (pthread_create(&w->threads[w->started], NULL, run, w) == 0)
                w->started++;
            else if (w->started == 0)
                log_error("No thread could be started for a sign-in; is the limit on processes "
                          "too low?");
        }
        if (w->started > 0) {
            struct item *item = xcalloc(1, sizeof *item);
            *item = (struct item){.job = job, .done = done, .arg = arg};
            STAILQ_INSERT_TAIL(&w->queue, item, link);
            w->queued++;
            pthread_cond_signal(&w->more);
            taken = true;
        }
    }
    pthread_mutex_unlock(&w->lock);
    return taken;
}

void work_destroy(struct work *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->started; i++)
        pthread_join(w->threads[i], NULL);
    struct item *item;
    while ((item = STAILQ_FIRST(&w->queue)) != NULL) {
        STAILQ_REMOVE_HEAD(&w->queue, link);
        free(item);
    }
    pthread_cond_destroy(&w->more);
    pthread_mutex_destroy(&w->lock);
    free(w->threads);
    free(w);
}
