/* See trail.h. */
#include "manager/monitor/trail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <unistd.h>

#include "lib/audit/audit.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "manager/monitor/files.h"

#define RETRY LOOP_S(2)
#define BATCH 64         /* packets of one pipe before others have their turn */
#define FINISH_MAX 65536 /* packets of a pipe whose child has ended */

struct trail_pipe {
    LIST_ENTRY(trail_pipe) link;
    struct trail *trail;
    int fd;
    struct loop_io *io; /* NULL = not read at present */
    bool started, finishing, closed;
    uid_t uid;
    pid_t pid;
    char id[TABLE_NAME];
};

struct trail {
    struct monitor *m;
    struct audit *audit;
    struct loop_timer *retry;
    LIST_HEAD(, trail_pipe) pipes;
    bool stalled, begun;
    /* The packet that could not be written. */
    char kept[AUDIT_MESSAGE_MAX];
    size_t kept_len;
    struct trail_pipe kept_of; /* who, by value: the pipe may be gone meanwhile */
};

static void read_cb(void *arg, int fd, uint32_t revents);

static void pipe_free(struct trail_pipe *p)
{
    LIST_REMOVE(p, link);
    loop_io_destroy(p->io);
    close(p->fd);
    free(p);
}

static void pause_all(struct trail *t)
{
    struct trail_pipe *p;
    LIST_FOREACH(p, &t->pipes, link)
    {
        loop_io_destroy(p->io);
        p->io = NULL;
    }
}

static void stall(struct trail *t, const struct trail_pipe *who, const char *packet, size_t n,
                  const struct err *err)
{
    log_error("%s; no user endpoint is started until it can be written again", err->text);
    t->stalled = true;
    t->kept_of = *who;
    t->kept_len = n;
    memcpy(t->kept, packet, n);
    pause_all(t);
    if (t->retry)
        loop_timer_set(t->retry, RETRY, LOOP_S(1));
}

/* One packet; false: none now, and p is gone when it was finishing. */
static bool take(struct trail_pipe *p)
{
    char packet[AUDIT_MESSAGE_MAX];
    struct err err = ERR_INIT;
    struct trail *t = p->trail;
    ssize_t n = read(p->fd, packet, sizeof(packet));
    if (n < 0 && errno == EINTR)
        return true;
    if (n <= 0) {
        if (p->finishing) {
            pipe_free(p);
        } else if (n == 0 || errno != EAGAIN) {
            /* Nobody can write any more; the child's end will free it. */
            loop_io_destroy(p->io);
            p->io = NULL;
            p->closed = true;
        }
        return false;
    }
    if (audit_message(t->audit, p->uid, p->pid, p->id, packet, (size_t)n, &err) == 0)
        return true;
    stall(t, p, packet, (size_t)n, &err);
    return false;
}

static void read_cb(void *arg, int fd, uint32_t revents)
{
    for (int i = 0; i < BATCH && take(arg); i++)
        ;
}

static void resume_all(struct trail *t)
{
    struct trail_pipe *p, *next;
    for (p = LIST_FIRST(&t->pipes); p && !t->stalled; p = next) {
        next = LIST_NEXT(p, link);
        if (p->finishing)
            trail_pipe_finish(p);
        else if (p->started && !p->closed && !p->io)
            p->io = loop_io_create(t->m->loop, p->fd, EPOLLIN, read_cb, p);
    }
}

static void retry_cb(void *arg)
{
    struct trail *t = arg;
    struct err err = ERR_INIT;
    if (audit_message(t->audit, t->kept_of.uid, t->kept_of.pid, t->kept_of.id, t->kept, t->kept_len,
                      &err) < 0) {
        loop_timer_set(t->retry, RETRY, LOOP_S(1));
        return;
    }
    log_info("The audit log can be written again");
    t->stalled = false;
    resume_all(t);
}

/* --- pipes ---------------------------------------------------------------------------------- */

static struct trail_pipe *pipe_new(struct trail *t, int fd)
{
    struct trail_pipe *p = xcalloc(1, sizeof(*p));
    *p = (struct trail_pipe){.trail = t, .fd = fd};
    LIST_INSERT_HEAD(&t->pipes, p, link);
    return p;
}

struct trail_pipe *trail_pipe_create(struct trail *t, int *theirs)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC | O_DIRECT) < 0)
        return NULL;
    /* Our end alone: the user endpoint waits when the pipe is full. */
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) {
        close(fds[0]);
        close(fds[1]);
        return NULL;
    }
    *theirs = fds[1];
    return pipe_new(t, fds[0]);
}

struct trail_pipe *trail_pipe_adopt(struct trail *t, int fd)
{
    return pipe_new(t, fd);
}

void trail_pipe_start(struct trail_pipe *p, uid_t uid, pid_t pid, const char *id, const char *name)
{
    p->uid = uid;
    p->pid = pid;
    snprintf(p->id, sizeof(p->id), "%s", id[0] ? id : name);
    p->started = true;
    if (!p->trail->stalled)
        p->io = loop_io_create(p->trail->m->loop, p->fd, EPOLLIN, read_cb, p);
}

void trail_pipe_finish(struct trail_pipe *p)
{
    if (!p)
        return;
    struct trail *t = p->trail;
    p->finishing = true;
    if (!p->started) {
        pipe_free(p);
        return;
    }
    /* Ends by freeing it, or by a stall, after which resume_all() comes back to it. */
    for (int i = 0; !t->stalled && i < FINISH_MAX; i++)
        if (!take(p))
            return;
    if (!t->stalled)
        pipe_free(p); /* somebody it left behind writes on and on */
}

/* --- the log -------------------------------------------------------------------------------- */

int trail_open(struct monitor *m, struct err *err)
{
    char path[TABLE_PATH];
    if (!m->set.audit_log_path[0])
        return 0;
    files_resolve(m, m->set.audit_log_path, path);
    struct audit *audit = audit_open(path, m->set.audit_hash_chain, err);
    if (!audit)
        return -1;
    m->trail = xcalloc(1, sizeof(*m->trail));
    *m->trail = (struct trail){.m = m, .audit = audit};
    LIST_INIT(&m->trail->pipes);
    return 0;
}

static enum audit_style style(const struct trail *t)
{
    return t->m->set.seed_style ? AUDIT_MEP : AUDIT_CEP;
}

int trail_begin(struct trail *t, struct err *err)
{
    if (!t)
        return 0;
    t->retry = loop_timer_create(t->m->loop, retry_cb, t);
    if (audit_session(t->audit, style(t), true, t->m->endpoint_id, err) < 0)
        return -1;
    t->begun = true;
    return 0;
}

int trail_check(struct trail *t, struct err *err)
{
    if (!t)
        return 0;
    if (t->stalled)
        return err_set(err, "the audit log can't be written");
    if (!audit_has_room(t->audit))
        return err_set(err, "the file system of the audit log is full");
    return 0;
}

void trail_reopen(struct trail *t)
{
    struct err err = ERR_INIT;
    if (t && audit_reopen(t->audit, &err) < 0)
        log_error("%s; the old file is used further", err.text);
}

void trail_close(struct trail *t)
{
    struct err err = ERR_INIT;
    if (!t)
        return;
    if (t->stalled && audit_message(t->audit, t->kept_of.uid, t->kept_of.pid, t->kept_of.id,
                                    t->kept, t->kept_len, &err) == 0)
        t->stalled = false;
    for (struct trail_pipe *p; (p = LIST_FIRST(&t->pipes)) && !t->stalled;)
        trail_pipe_finish(p);
    if (t->stalled)
        log_error("%s: what user endpoints still had to say is lost", err.text);
    if (t->begun && audit_session(t->audit, style(t), false, t->m->endpoint_id, &err) < 0)
        log_error("%s", err.text);
    if (audit_last_hash(t->audit)[0])
        log_info("Last hash of the audit log: %s", audit_last_hash(t->audit));
    while (!LIST_EMPTY(&t->pipes))
        pipe_free(LIST_FIRST(&t->pipes));
    if (t->retry)
        loop_timer_destroy(t->retry);
    audit_close(t->audit);
    free(t);
}
