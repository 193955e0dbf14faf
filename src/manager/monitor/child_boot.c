/* The status pipe of a new child.  First comes the account that its look-up found; after the gate
 * either one handover_record (why there is no user endpoint) or the end of the pipe, which means
 * that the exec has succeeded or that the process is dying. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/proc.h"
#include "manager/monitor/account.h"
#include "manager/monitor/admission.h"
#include "manager/monitor/child.h"
#include "manager/monitor/clean.h"
#include "manager/monitor/state.h"

#define LOOKUP_S 30 /* a directory service that is down */
#define BOOT_S 120  /* PAM modules that wait, a home directory that is mounted */
#define LEAVE_S 5   /* after it said why it fails */

static void status_close(struct child *c)
{
    loop_io_destroy(c->status_io);
    c->status_io = NULL;
    if (c->status_fd >= 0)
        close(c->status_fd);
    c->status_fd = -1;
}

static void gate_close(struct child *c)
{
    if (c->gate_fd >= 0)
        close(c->gate_fd);
    c->gate_fd = -1;
}

/* It is not wanted any more; whoever waits has been answered. */
static void dismiss(struct child *c)
{
    gate_close(c);
    status_close(c);
    c->over = true;
    loop_timer_set(c->deadline, LOOP_S(LEAVE_S), LOOP_S(1));
}

static void deadline_cb(void *arg)
{
    struct child *c = arg;
    if (!c->over) {
        const char *what = c->state == CHILD_LOOKUP ? "the account look-up" : "the start";
        char admin[TABLE_NAME + 128];
        snprintf(admin, sizeof(admin),
                 "%s of user endpoint %s (pid: %d) took too long and was ended", what, c->name,
                 (int)c->pid);
        log_warning("Unable to start user endpoint process for %s [%s] [request %s]", c->user,
                    admin, c->correlation);
        child_answer_failed(c, TABLE_DIED, "The user endpoint took too long to start", admin);
    }
    if (child_signal(c, SIGKILL) < 0 && errno != ESRCH)
        log_error("user endpoint %s (pid: %d) can't be killed: %m", c->name, (int)c->pid);
    dismiss(c);
}

/* --- the account ---------------------------------------------------------------------------- */

static void join(struct child *c, struct child *other)
{
    for (unsigned i = 0; i < c->n_waiters && other->n_waiters < CHILD_WAITERS; i++)
        other->waiters[other->n_waiters++] = c->waiters[i];
    c->n_waiters = 0;
    if (other->state == CHILD_RUNNING)
        child_answer_running(other);
    dismiss(c);
}

static int ask_admission(struct child *c, struct err *err)
{
    struct children *all = c->m->children;
    int64_t free_kib = proc_memory_kib();
    struct admission_now now = {
        .time_us = loop_now_us(c->m->loop),
        .uid = c->uid,
        .total = all->count - 1,
        .of_user = child_count_uid(all, c->uid),
        .free_mib = free_kib < 0 ? -1 : free_kib / 1024,
    };
    return admission_ask(all->admission, &now, err);
}

static void refuse(struct child *c, int code, const char *user_text, const char *admin_text)
{
    log_warning("Start of user endpoint '%s' for local user '%s' is refused: %s [request %s]",
                c->name, c->user, admin_text, c->correlation);
    child_answer_failed(c, code, user_text, admin_text);
    dismiss(c);
}

static void account_came(struct child *c, struct account *a)
{
    struct err err = ERR_INIT;
    clean_text(a->user_text, sizeof(a->user_text), true);
    clean_text(a->admin_text, sizeof(a->admin_text), true);
    if (a->code) {
        refuse(c, a->code, a->user_text, a->admin_text);
        return;
    }
    c->uid = a->uid;
    c->gid = a->gid;
    struct child *other = child_find_uid(c->m->children, c->uid, c->name, c);
    if (other) {
        join(c, other);
        return;
    }
    if (c->m->stop) {
        refuse(c, TABLE_STOPPING, "The endpoint is shutting down; try again later",
               "the manager is stopping");
        return;
    }
    if (ask_admission(c, &err) < 0) {
        refuse(c, TABLE_LIMIT, err.text, err.text);
        return;
    }
    child_state_set(c, CHILD_BOOT);
    state_add(c->m->children->state, c);
    if (c->audit)
        trail_pipe_start(c->audit, c->uid, c->pid, c->id, c->name);
    if (write(c->gate_fd, "g", 1) != 1)
        log_debug("pid=%d has left its gate", (int)c->pid); /* its end will tell */
    gate_close(c);
    loop_timer_set(c->deadline, LOOP_S(BOOT_S), LOOP_S(1));
    log_info("Creating new user endpoint (pid: %d) [(%s, %s) %s] [request %s]", (int)c->pid,
             c->user, c->name, c->command, c->correlation);
}

/* --- the outcome ---------------------------------------------------------------------------- */

static void record_came(struct child *c, struct handover_record *r)
{
    c->record = xmemdup(r, sizeof(*r));
    r = c->record;
    clean_text(r->user, sizeof(r->user), true);
    clean_text(r->admin, sizeof(r->admin), true);
    log_error("Unable to start user endpoint process for %s [exit code: %d; %s] [request %s]",
              c->user, r->code, r->admin[0] ? r->admin : r->user, c->correlation);
    int code = r->code >= 70 && r->code <= 99 ? r->code : 70;
    child_answer_failed(c, code, r->user, r->admin[0] ? r->admin : r->user);
    dismiss(c);
}

/* A dying process has no program any more; its pidfd will tell how it ended. */
static bool is_dying(const struct child *c)
{
    char path[64], target[8];
    snprintf(path, sizeof(path), "/proc/%d/exe", (int)c->pid);
    return readlink(path, target, sizeof(target)) < 0 && (errno == ENOENT || errno == ESRCH);
}

void child_booted(struct child *c)
{
    status_close(c);
    loop_timer_cancel(c->deadline);
    child_state_set(c, CHILD_RUNNING);
    child_answer_running(c);
    relay_finish(c->relay);
    c->relay = NULL;
}

static void nonsense(struct child *c, ssize_t n)
{
    log_error("Start of user endpoint %s (pid: %d) sent %zd bytes on the status pipe that mean "
              "nothing; it is ended [request %s]",
              c->name, (int)c->pid, n, c->correlation);
    child_answer_failed(c, TABLE_DIED, "The user endpoint could not be started",
                        "the status pipe held nonsense");
    (void)child_signal(c, SIGKILL); /* when that fails it ends by its deadline */
    dismiss(c);
}

/* One write of the other side; false = nothing more for now. */
static bool take(struct child *c, bool ended)
{
    union {
        struct account account;
        struct handover_record record;
    } in;
    memset(&in, 0, sizeof(in));
    ssize_t n = read(c->status_fd, &in, sizeof(in));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        bool wait = ended || c->state == CHILD_LOOKUP || is_dying(c);
        if (wait)
            status_close(c);
        else
            child_booted(c);
    } else if (c->state == CHILD_LOOKUP && n == (ssize_t)sizeof(in.account) &&
               in.account.magic == ACCOUNT_MAGIC) {
        if (ended && in.account.code == 0)
            status_close(c); /* nobody stands at the gate any more */
        else
            account_came(c, &in.account);
    } else if (c->state == CHILD_BOOT && n == (ssize_t)sizeof(in.record) &&
               in.record.magic == HANDOVER_MAGIC) {
        record_came(c, &in.record);
    } else {
        nonsense(c, n);
    }
    return c->status_fd >= 0;
}

static void status_cb(void *arg, int fd, uint32_t revents)
{
    (void)take(arg, false);
}

void child_boot_begin(struct child *c)
{
    struct loop *l = c->m->loop;
    c->status_io = loop_io_create(l, c->status_fd, EPOLLIN, status_cb, c);
    c->deadline = loop_timer_create(l, deadline_cb, c);
    loop_timer_set(c->deadline, LOOP_S(LOOKUP_S), LOOP_S(1));
}

void child_boot_drain(struct child *c)
{
    while (c->status_fd >= 0 && take(c, true))
        ;
}
