/* sd-event behind loop.h.
 *
 * Timers are kept by us in one sorted list with a single sd-event time source under it, so that a
 * fake clock can drive them and that a thousand timers cost one timerfd.  Posts from other threads
 * go through a locked list and an eventfd. */
#include "lib/base/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"

struct post {
    STAILQ_ENTRY(post) link;
    loop_f *cb;
    void *arg;
};
STAILQ_HEAD(post_list, post);

struct loop_timer {
    struct loop *loop;
    loop_f *cb;
    void *arg;
    uint64_t due_us;
    uint64_t slack_us;
    size_t place; /* in the heap, from 1; 0 = not set */
};

struct loop {
    sd_event *ev;
    sd_event_source *timer; /* armed for the head of the heap */
    sd_event_source *waker;
    sd_event_source *later; /* deferred calls that no callback of ours can take along */
    bool inside;            /* a callback runs: it takes them along */
    int wake_fd;
    pthread_mutex_t lock; /* posts */
    struct post_list posts;
    struct post_list deferred, running; /* running: whose turn it is */
    struct loop_timer **heap;           /* heap[1] is due first */
    size_t n_timers;
    size_t cap_timers;
    bool fake;
    uint64_t fake_now_us;
    int code;
};

static void must(int rc, const char *what)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "event loop: %s: %s\n", what, strerror(-rc));
    abort();
}

uint64_t loop_now_us(struct loop *l)
{
    return l->fake ? l->fake_now_us : clock_mono_us();
}

/* --- timers --------------------------------------------------------------------------------- */

static void heap_put(struct loop *l, size_t at, struct loop_timer *t)
{
    l->heap[at] = t;
    t->place = at;
}

static void heap_up(struct loop *l, size_t at)
{
    struct loop_timer *t = l->heap[at];
    for (; at > 1 && l->heap[at / 2]->due_us > t->due_us; at /= 2)
        heap_put(l, at, l->heap[at / 2]);
    heap_put(l, at, t);
}

static void heap_down(struct loop *l, size_t at)
{
    struct loop_timer *t = l->heap[at];
    for (size_t kid; (kid = at * 2) <= l->n_timers; at = kid) {
        if (kid < l->n_timers && l->heap[kid + 1]->due_us < l->heap[kid]->due_us)
            kid++;
        if (l->heap[kid]->due_us >= t->due_us)
            break;
        heap_put(l, at, l->heap[kid]);
    }
    heap_put(l, at, t);
}

static void heap_remove(struct loop *l, struct loop_timer *t)
{
    size_t at = t->place;
    struct loop_timer *last = l->heap[l->n_timers--];
    t->place = 0;
    if (last == t)
        return;
    heap_put(l, at, last);
    heap_up(l, at);
    heap_down(l, last->place);
}

static void arm(struct loop *l)
{
    /* What is cleaned up after loop_run() has returned needs no alarm any more. */
    if (sd_event_get_state(l->ev) == SD_EVENT_FINISHED)
        return;
    if (l->fake || l->n_timers == 0) {
        must(sd_event_source_set_enabled(l->timer, SD_EVENT_OFF), "timer off");
        return;
    }
    struct loop_timer *t = l->heap[1];
    must(sd_event_source_set_time(l->timer, t->due_us), "timer");
    must(sd_event_source_set_time_accuracy(l->timer, t->slack_us ? t->slack_us : 1000), "slack");
    must(sd_event_source_set_enabled(l->timer, SD_EVENT_ONESHOT), "timer on");
}

static void fire_due(struct loop *l)
{
    uint64_t now = loop_now_us(l);
    while (l->n_timers && l->heap[1]->due_us <= now) {
        struct loop_timer *t = l->heap[1];
        heap_remove(l, t);
        t->cb(t->arg);
    }
    arm(l);
}

static void callback_begins(struct loop *l);
static int callback_ended(struct loop *l);

static int timer_cb(sd_event_source *s, uint64_t usec, void *arg)
{
    callback_begins(arg);
    fire_due(arg);
    return callback_ended(arg);
}

struct loop_timer *loop_timer_create(struct loop *l, loop_f *cb, void *arg)
{
    struct loop_timer *t = xcalloc(1, sizeof(*t));
    *t = (struct loop_timer){.loop = l, .cb = cb, .arg = arg};
    return t;
}

void loop_timer_set(struct loop_timer *t, uint64_t delay_us, uint64_t slack_us)
{
    struct loop *l = t->loop;
    if (t->place)
        heap_remove(l, t);
    t->due_us = loop_now_us(l) + delay_us;
    t->slack_us = slack_us;
    if (l->n_timers + 2 > l->cap_timers) {
        l->cap_timers = l->cap_timers * 2 + 16;
        l->heap = xrealloc(l->heap, l->cap_timers * sizeof(*l->heap));
    }
    heap_put(l, ++l->n_timers, t);
    heap_up(l, t->place);
    arm(l);
}

void loop_timer_cancel(struct loop_timer *t)
{
    if (!t || !t->place)
        return;
    heap_remove(t->loop, t);
    arm(t->loop);
}

bool loop_timer_is_set(const struct loop_timer *t)
{
    return t->place != 0;
}

void loop_timer_destroy(struct loop_timer *t)
{
    loop_timer_cancel(t);
    free(t);
}

void loop_fake_clock(struct loop *l, uint64_t now_us)
{
    l->fake = true;
    l->fake_now_us = now_us;
    arm(l);
}

void loop_fake_advance(struct loop *l, uint64_t by_us)
{
    uint64_t end = l->fake_now_us + by_us;
    while (l->n_timers && l->heap[1]->due_us <= end) {
        if (l->heap[1]->due_us > l->fake_now_us)
            l->fake_now_us = l->heap[1]->due_us;
        fire_due(l);
        loop_once(l, 0);
    }
    l->fake_now_us = end;
    loop_once(l, 0);
}

/* --- posts ---------------------------------------------------------------------------------- */

static void run_list(struct post_list *list)
{
    for (struct post *p; (p = STAILQ_FIRST(list));) {
        STAILQ_REMOVE_HEAD(list, link);
        p->cb(p->arg);
        free(p);
    }
}

static struct post *post_new(loop_f *cb, void *arg)
{
    struct post *p = xmalloc(sizeof(*p));
    *p = (struct post){.cb = cb, .arg = arg};
    return p;
}

static int wake_cb(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
    struct loop *l = arg;
    uint64_t n;
    ssize_t ignored = read(fd, &n, sizeof(n));
    (void)ignored;
    struct post_list mine = STAILQ_HEAD_INITIALIZER(mine);
    pthread_mutex_lock(&l->lock);
    STAILQ_CONCAT(&mine, &l->posts);
    pthread_mutex_unlock(&l->lock);
    callback_begins(l);
    run_list(&mine);
    return callback_ended(l);
}

void loop_post(struct loop *l, loop_f *cb, void *arg)
{
    struct post *p = post_new(cb, arg);
    pthread_mutex_lock(&l->lock);
    bool first = STAILQ_EMPTY(&l->posts);
    STAILQ_INSERT_TAIL(&l->posts, p, link);
    pthread_mutex_unlock(&l->lock);
    uint64_t one = 1;
    if (first && write(l->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        must(-errno, "eventfd");
}

static void callback_begins(struct loop *l)
{
    l->inside = true;
}

/* What was deferred until now has its turn at once, without a pass of the loop for itself; what is
 * deferred by that waits until everybody else had theirs. */
static int callback_ended(struct loop *l)
{
    STAILQ_CONCAT(&l->running, &l->deferred);
    run_list(&l->running);
    l->inside = false;
    if (!STAILQ_EMPTY(&l->deferred) && sd_event_get_state(l->ev) != SD_EVENT_FINISHED)
        must(sd_event_source_set_enabled(l->later, SD_EVENT_ONESHOT), "defer");
    return 0;
}

static int later_cb(sd_event_source *s, void *arg)
{
    callback_begins(arg);
    return callback_ended(arg);
}

void loop_defer(struct loop *l, loop_f *cb, void *arg)
{
    struct post *p = post_new(cb, arg); /* the macro names it more than once */
    STAILQ_INSERT_TAIL(&l->deferred, p, link);
    if (l->inside || sd_event_get_state(l->ev) == SD_EVENT_FINISHED)
        return; /* at the end nobody's turn comes any more; loop_destroy() frees it */
    must(sd_event_source_set_enabled(l->later, SD_EVENT_ONESHOT), "defer");
}

static void forget(struct post_list *list, loop_f *cb, void *arg)
{
    struct post_list keep = STAILQ_HEAD_INITIALIZER(keep);
    for (struct post *p; (p = STAILQ_FIRST(list));) {
        STAILQ_REMOVE_HEAD(list, link);
        if (p->cb == cb && p->arg == arg)
            free(p);
        else
            STAILQ_INSERT_TAIL(&keep, p, link);
    }
    STAILQ_CONCAT(list, &keep);
}

void loop_defer_cancel(struct loop *l, loop_f *cb, void *arg)
{
    forget(&l->running, cb, arg);
    forget(&l->deferred, cb, arg);
}

/* --- the loop ------------------------------------------------------------------------------- */

struct loop *loop_create(void)
{
    struct loop *l = xcalloc(1, sizeof(*l));
    signal(SIGPIPE, SIG_IGN);
    STAILQ_INIT(&l->posts);
    STAILQ_INIT(&l->deferred);
    STAILQ_INIT(&l->running);
    pthread_mutex_init(&l->lock, NULL);
    must(sd_event_new(&l->ev), "create");
    must(sd_event_add_time(l->ev, &l->timer, CLOCK_MONOTONIC, UINT64_MAX, 1000, timer_cb, l),
         "timer source");
    must(sd_event_source_set_enabled(l->timer, SD_EVENT_OFF), "timer source");
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    must(l->wake_fd < 0 ? -errno : 0, "eventfd");
    must(sd_event_add_io(l->ev, &l->waker, l->wake_fd, EPOLLIN, wake_cb, l), "waker");
    must(sd_event_add_defer(l->ev, &l->later, later_cb, l), "defer source");
    must(sd_event_source_set_enabled(l->later, SD_EVENT_OFF), "defer source");
    return l;
}

static void drop_list(struct post_list *list)
{
    for (struct post *p; (p = STAILQ_FIRST(list));) {
        STAILQ_REMOVE_HEAD(list, link);
        free(p);
    }
}

void loop_destroy(struct loop *l)
{
    if (!l)
        return;
    drop_list(&l->posts);
    drop_list(&l->deferred);
    drop_list(&l->running);
    sd_event_source_disable_unref(l->timer);
    sd_event_source_disable_unref(l->waker);
    sd_event_source_disable_unref(l->later);
    sd_event_unref(l->ev);
    close(l->wake_fd);
    pthread_mutex_destroy(&l->lock);
    free(l->heap);
    free(l);
}

int loop_run(struct loop *l)
{
    must(sd_event_loop(l->ev), "run");
    return l->code;
}

void loop_stop(struct loop *l, int code)
{
    l->code = code;
    must(sd_event_exit(l->ev, 0), "stop");
}

void loop_once(struct loop *l, uint64_t timeout_us)
{
    must(sd_event_run(l->ev, timeout_us), "run once");
}

/* --- descriptors ---------------------------------------------------------------------------- */

struct loop_io {
    struct loop *loop;
    sd_event_source *source;
    loop_io_f *cb;
    void *arg;
};

static int io_cb(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
    struct loop_io *io = arg;
    struct loop *l = io->loop; /* the callback may destroy io */
    callback_begins(l);
    io->cb(io->arg, fd, revents);
    return callback_ended(l);
}

struct loop_io *loop_io_create(struct loop *l, int fd, uint32_t events, loop_io_f *cb, void *arg)
{
    struct loop_io *io = xmalloc(sizeof(*io));
    *io = (struct loop_io){.loop = l, .cb = cb, .arg = arg};
    must(sd_event_add_io(l->ev, &io->source, fd, events, io_cb, io), "watch descriptor");
    return io;
}

void loop_io_events(struct loop_io *io, uint32_t events)
{
    must(sd_event_source_set_io_events(io->source, events), "descriptor events");
}

void loop_io_destroy(struct loop_io *io)
{
    if (!io)
        return;
    sd_event_source_disable_unref(io->source);
    free(io);
}

/* --- signals and children ------------------------------------------------------------------- */

static int signal_cb(sd_event_source *s, const struct signalfd_siginfo *si, void *arg)
{
    struct post *p = arg;
    p->cb(p->arg);
    return 0;
}

static void signal_freed_cb(void *arg)
{
    free(arg);
}

void loop_signal(struct loop *l, int signo, loop_f *cb, void *arg)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signo);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    sd_event_source *s;
    must(sd_event_add_signal(l->ev, &s, signo, signal_cb, post_new(cb, arg)), "signal");
    must(sd_event_source_set_destroy_callback(s, signal_freed_cb), "signal");
    must(sd_event_source_set_floating(s, 1), "signal");
    sd_event_source_unref(s);
}

struct loop_child {
    struct loop_io *io;
    int pidfd;
    pid_t pid;
    loop_child_f *cb;
    void *arg;
};

static void child_cb(void *arg, int fd, uint32_t revents)
{
    struct loop_child *c = arg;
    siginfo_t si = {0};
    if (waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOHANG) == 0 && si.si_pid == 0)
        return; /* not yet */
    loop_child_f *cb = c->cb;
    void *cb_arg = c->arg;
    pid_t pid = c->pid;
    loop_child_forget(c);
    cb(cb_arg, pid, &si);
}

struct loop_child *loop_child_watch(struct loop *l, pid_t pid, loop_child_f *cb, void *arg)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    must(fd < 0 ? -errno : 0, "pidfd_open");
    struct loop_child *c = xmalloc(sizeof(*c));
    *c = (struct loop_child){.pidfd = fd, .pid = pid, .cb = cb, .arg = arg};
    c->io = loop_io_create(l, fd, EPOLLIN, child_cb, c);
    return c;
}

void loop_child_forget(struct loop_child *c)
{
    if (!c)
        return;
    loop_io_destroy(c->io);
    close(c->pidfd);
    free(c);
}
