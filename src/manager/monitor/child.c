/* The table of children.  See child.h. */
#include "manager/monitor/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "manager/monitor/admission.h"
#include "manager/monitor/listener.h"
#include "manager/monitor/notify.h"
#include "manager/monitor/state.h"

struct children *children_create(struct monitor *m)
{
    struct children *all = xcalloc(1, sizeof(*all));
    const struct table_settings *s = &m->set;
    LIST_INIT(&all->list);
    all->admission = admission_create(&(struct admission_rules){
        .max_total = s->max_user_endpoints,
        .max_per_user = s->max_user_endpoints_per_user,
        .starts_per_minute = s->max_starts_per_user_per_minute,
        .minimum_free_mib = s->minimum_free_memory_mib,
    });
    return all;
}

void children_destroy(struct children *all)
{
    if (!all)
        return;
    state_close(all->state); /* while it can see whether anybody is left */
    while (!LIST_EMPTY(&all->list))
        child_free(LIST_FIRST(&all->list));
    admission_destroy(all->admission);
    free(all);
}

static bool is_in_flight(const struct child *c)
{
    return c->state != CHILD_RUNNING;
}

struct child *child_new(struct monitor *m)
{
    struct child *c = xcalloc(1, sizeof(*c));
    c->m = m;
    c->pidfd = c->memfd = c->status_fd = c->gate_fd = -1;
    LIST_INSERT_HEAD(&m->children->list, c, link);
    m->children->count++;
    notify_changed(m->notify);
    m->children->in_flight++;
    return c;
}

void child_state_set(struct child *c, enum child_state state)
{
    static const char *const names[] = {"lookup", "boot", "running"};
    log_debug("uep=%s user=%s pid=%d state=%s", c->name, c->user, (int)c->pid, names[state]);
    c->m->children->in_flight -= is_in_flight(c);
    c->state = state;
    c->m->children->in_flight += is_in_flight(c);
    listener_resume(c->m->listener);
}

static void close_it(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void child_free(struct child *c)
{
    struct children *all = c->m->children;
    all->count--;
    notify_changed(c->m->notify);
    all->in_flight -= is_in_flight(c);
    LIST_REMOVE(c, link);
    loop_io_destroy(c->pid_io);
    loop_io_destroy(c->status_io);
    if (c->deadline)
        loop_timer_destroy(c->deadline);
    relay_finish(c->relay);
    trail_pipe_finish(c->audit);
    close_it(&c->pidfd);
    close_it(&c->memfd);
    close_it(&c->status_fd);
    close_it(&c->gate_fd);
    free(c->record);
    struct monitor *m = c->m;
    explicit_bzero(c, sizeof(*c));
    free(c);
    listener_resume(m->listener);
}

struct child *child_find(struct children *all, const char *user, const char *name)
{
    struct child *c;
    LIST_FOREACH(c, &all->list, link)
    {
        if (!c->over && strcmp(c->name, name) == 0 && strcmp(c->user, user) == 0)
            return c;
    }
    return NULL;
}

struct child *child_find_uid(struct children *all, uid_t uid, const char *name,
                             const struct child *not_this)
{
    struct child *c;
    LIST_FOREACH(c, &all->list, link)
    {
        if (c != not_this && !c->over && c->state != CHILD_LOOKUP && c->uid == uid &&
            strcmp(c->name, name) == 0)
            return c;
    }
    return NULL;
}

unsigned child_count_uid(const struct children *all, uid_t uid)
{
    unsigned n = 0;
    const struct child *c;
    LIST_FOREACH(c, &all->list, link)
    {
        n += !c->over && c->state != CHILD_LOOKUP && c->uid == uid;
    }
    return n;
}

void child_answer_failed(struct child *c, int code, const char *user_text, const char *admin_text)
{
    struct table_message answer = {.type = TABLE_FAILED, .code = code};
    snprintf(answer.text.user, sizeof(answer.text.user), "%s", user_text);
    snprintf(answer.text.admin, sizeof(answer.text.admin), "%s", admin_text);
    for (unsigned i = 0; i < c->n_waiters; i++) {
        answer.request = c->waiters[i].request;
        listener_answer(c->m->listener, c->waiters[i].generation, &answer);
    }
    c->n_waiters = 0;
    c->over = true;
}

/* The first one asked for it and hears STARTED; for the others it was there already. */
void child_answer_running(struct child *c)
{
    struct table_message answer = {.pid = c->pid};
    for (unsigned i = 0; i < c->n_waiters; i++) {
        answer.type = c->announced ? TABLE_RUNNING : TABLE_STARTED;
        c->announced = true;
        answer.request = c->waiters[i].request;
        snprintf(answer.start.user, sizeof(answer.start.user), "%s", c->user);
        snprintf(answer.start.name, sizeof(answer.start.name), "%s", c->name);
        snprintf(answer.start.key, sizeof(answer.start.key), "%s", c->key);
        listener_answer(c->m->listener, c->waiters[i].generation, &answer);
    }
    c->n_waiters = 0;
    explicit_bzero(&answer, sizeof(answer));
}

/* The real uid stays ours, so that the user can't signal us in the meantime; the effective one
 * decides whom we may signal. */
static int kill_as(const struct monitor *m, uid_t uid, pid_t target, int signo)
{
    bool change = m->can_change_user && uid != m->uid;
    if (change && seteuid(uid) < 0)
        return -1;
    int rc = kill(target, signo);
    int saved = errno;
    if (change && seteuid(m->uid) < 0) {
        log_critical("cannot become root again after a signal: %m");
        _exit(70);
    }
    errno = saved;
    return rc;
}

int child_signal(struct child *c, int signo)
{
    /* Before the session has made its group, and while it still is root, the process alone.
     * So too when it is asked to leave: it needs its helpers to cancel its batch jobs. */
    bool has_group = c->state != CHILD_LOOKUP && getpgid(c->pid) == c->pid;
    pid_t target = signo == SIGKILL ? -c->pid : c->pid;
    if (has_group && kill_as(c->m, c->uid, target, signo) == 0)
        return 0;
    if (has_group && c->state == CHILD_RUNNING && errno == EPERM)
        return -1; /* it has become somebody else: nothing that we started is left in the group */
    return (int)syscall(SYS_pidfd_send_signal, c->pidfd, signo, NULL, 0);
}
