/* See stop.h. */
#include "manager/monitor/stop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "manager/monitor/child.h"
#include "manager/monitor/listener.h"

#define PATIENCE_S 10 /* for SIGTERM */
#define KILL_S 5      /* for SIGKILL, and for the final heartbeat beyond the first ten seconds */

struct stop {
    struct monitor *m;
    int code;
    bool killing, done;
    struct loop_timer *timer;
};

static void check_done(struct stop *s)
{
    struct monitor *m = s->m;
    bool children_gone = m->keep_children || m->children->count == 0;
    if (s->done || !children_gone || !listener_is_gone(m->listener))
        return;
    s->done = true;
    loop_stop(m->loop, s->code);
}

static void signal_all(struct stop *s, int signo, const char *what)
{
    struct child *c;
    LIST_FOREACH(c, &s->m->children->list, link)
    {
        log_info("%s of user endpoint (PID: %d, PGID: %d, UID: %u, GID: %u, User: %s)", what,
                 (int)c->pid, (int)getpgid(c->pid), (unsigned)c->uid, (unsigned)c->gid, c->user);
        if (child_signal(c, signo) < 0 && errno != ESRCH)
            log_warning("User endpoint signal failed: %m (PID: %d, User: %s)", (int)c->pid,
                        c->user);
    }
}

static void timer_cb(void *arg)
{
    struct stop *s = arg;
    if (s->killing) {
        log_error("Some processes do not end; leaving without them (user endpoints: %u)",
                  s->m->children->count);
        s->done = true;
        loop_stop(s->m->loop, s->code);
        return;
    }
    s->killing = true;
    if (!s->m->keep_children)
        signal_all(s, SIGKILL, "Forcibly killing");
    loop_timer_set(s->timer, LOOP_S(KILL_S), LOOP_MS(10));
}

struct stop *stop_begin(struct monitor *m, int code)
{
    struct stop *s = xcalloc(1, sizeof(*s));
    *s = (struct stop){.m = m, .code = code};
    m->stop = s;
    s->timer = loop_timer_create(m->loop, timer_cb, s);
    loop_timer_set(s->timer, LOOP_S(PATIENCE_S), LOOP_MS(10));
    listener_stop(m->listener);
    if (!m->keep_children)
        signal_all(s, SIGTERM, "Signaling shutdown");
    check_done(s);
    return s;
}

void stop_child_gone(struct stop *s)
{
    check_done(s);
}

void stop_listener_gone(struct stop *s)
{
    check_done(s);
}

bool stop_is_cleaning(const struct stop *s)
{
    return s && !s->m->keep_children;
}

void stop_destroy(struct stop *s)
{
    if (!s)
        return;
    loop_timer_destroy(s->timer);
    free(s);
}
