/* See listener.h.
 *
 * One listener lives at a time; `generation` counts them.  What it sends is taken through a table:
 * type, when it is allowed, handler.  Anything else ends it, and a new one is started after a
 * growing pause: the children don't notice.  While CHILD_MAX starts are under way nothing is read,
 * so that the socket itself holds the listener back. */
#include "manager/monitor/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/paths.h"
#include "manager/monitor/child.h"
#include "manager/monitor/clean.h"
#include "manager/monitor/files.h"
#include "manager/monitor/relay.h"
#include "manager/monitor/stop.h"
#include "manager/monitor/unprivileged.h"

#define IN_FLIGHT_MAX 32   /* starts between fork and exec */
#define BATCH 16           /* messages taken before the loop goes on */
#define QUEUE_MAX 1024     /* messages that it doesn't fetch */
#define LINES 3000         /* of log per 10 s; with --debug it has much to say */
#define YOUNG_DEATHS_MAX 3 /* before the endpoint is registered */
#define STABLE_US LOOP_S(60)
#define PAUSE_US LOOP_MS(500)
#define PAUSE_MAX_US LOOP_S(60)
#define PATIENCE_US LOOP_S(3600) /* with successors that can't begin */

struct queued {
    STAILQ_ENTRY(queued) link;
    struct table_message message;
    int fd;
};
STAILQ_HEAD(queue, queued);

struct listener {
    struct monitor *m;
    unsigned generation;
    pid_t pid; /* 0 = none lives */
    int socket;
    struct loop_io *io;
    struct loop_child *child;
    struct relay *relay;
    struct queue queue;
    unsigned queued;
    bool registered, stopping, reading, ended_by_us;
    bool is_successor;      /* of one that had registered */
    bool said_fatal;        /* it leaves by itself; once is enough */
    uint64_t registered_us; /* when this one had */
    uint64_t trouble_us;    /* when the first of the row below died */
    unsigned deaths;        /* in a row, none of them old */
    struct loop_timer *again;
};

static void spawn(struct listener *l);

unsigned listener_generation(const struct listener *l)
{
    return l->generation;
}

bool listener_is_gone(const struct listener *l)
{
    return !l || l->pid == 0;
}

/* --- to the listener ------------------------------------------------------------------------ */

static void set_events(struct listener *l)
{
    if (!l->io)
        return;
    l->reading = l->m->children->in_flight < IN_FLIGHT_MAX;
    loop_io_events(l->io, (l->reading ? EPOLLIN : 0u) | (l->queued ? EPOLLOUT : 0u));
}

void listener_resume(struct listener *l)
{
    if (l && l->io && l->reading != (l->m->children->in_flight < IN_FLIGHT_MAX))
        set_events(l);
}

static void queue_free(struct queued *q)
{
    if (q->fd >= 0)
        close(q->fd);
    explicit_bzero(q, sizeof(*q));
    free(q);
}

static void queue_clear(struct listener *l)
{
    for (struct queued *q; (q = STAILQ_FIRST(&l->queue));) {
        STAILQ_REMOVE_HEAD(&l->queue, link);
        queue_free(q);
    }
    l->queued = 0;
}

/* It broke the rules, or it doesn't listen: its end will be seen by its pidfd. */
static void end_it(struct listener *l, const char *why)
{
    if (!l->pid || l->ended_by_us)
        return;
    log_error("The listener (pid: %d) is ended: %s", (int)l->pid, why);
    l->ended_by_us = true;
    if (kill(l->pid, SIGKILL) < 0)
        log_error("the listener can't be killed: %m");
    loop_io_destroy(l->io);
    l->io = NULL;
    queue_clear(l);
}

static void flush(struct listener *l)
{
    for (struct queued *q; (q = STAILQ_FIRST(&l->queue));) {
        if (table_send(l->socket, &q->message, q->fd, -1) < 0) {
            if (errno != EAGAIN)
                queue_clear(l); /* it is going; its pidfd tells */
            break;
        }
        STAILQ_REMOVE_HEAD(&l->queue, link);
        l->queued--;
        queue_free(q);
    }
    set_events(l);
}

/* Takes the descriptor. */
static void send_message(struct listener *l, const struct table_message *m, int fd)
{
    if (!l || !l->pid || l->ended_by_us) {
        if (fd >= 0)
            close(fd);
        return;
    }
    if (l->queued == QUEUE_MAX) {
        if (fd >= 0)
            close(fd);
        end_it(l, "it does not fetch its messages");
        return;
    }
    struct queued *q = xcalloc(1, sizeof(*q));
    q->message = *m;
    q->fd = fd;
    STAILQ_INSERT_TAIL(&l->queue, q, link);
    l->queued++;
    flush(l);
}

void listener_answer(struct listener *l, unsigned generation, const struct table_message *m)
{
    if (l && generation == l->generation)
        send_message(l, m, -1);
}

void listener_tell(struct listener *l, const struct table_message *m)
{
    if (l && l->registered)
        send_message(l, m, -1);
}

void listener_send_file(struct listener *l, enum table_file which)
{
    struct err err = ERR_INIT;
    struct table_message m = {.type = TABLE_FILE, .file = which};
    int fd = files_open(l->m, which, &err);
    if (fd < 0 && err.code != ENOENT)
        log_error("%s", err.text);
    send_message(l, &m, fd);
}

static void say_hello(struct listener *l)
{
    const struct monitor *m = l->m;
    struct table_message hello = {.type = TABLE_HELLO};
    hello.hello.version = TABLE_VERSION;
    hello.hello.debug = m->opt.debug || m->set.debug;
    hello.hello.privileged = m->privileged;
    hello.hello.can_change_user = m->can_change_user;
    memcpy(hello.hello.endpoint_dir, m->dir, sizeof(m->dir));
    memcpy(hello.hello.endpoint_uuid, m->endpoint_id[0] ? m->endpoint_id : m->asked_id, UUID_TEXT);
    memcpy(hello.hello.local_user, m->user, sizeof(m->user));
    if (gethostname(hello.hello.hostname, sizeof(hello.hello.hostname) - 1) < 0)
        snprintf(hello.hello.hostname, sizeof(hello.hello.hostname), "localhost");
    send_message(l, &hello, -1);
    for (enum table_file f = TABLE_CONFIG; f <= TABLE_TOKENS; f++)
        listener_send_file(l, f);
}

/* --- from the listener ---------------------------------------------------------------------- */

static bool is_old(const struct listener *l)
{
    return l->registered && loop_now_us(l->m->loop) - l->registered_us > STABLE_US;
}

static void on_registered(struct listener *l, struct table_message *in, int fds[2])
{
    l->registered = true;
    l->registered_us = loop_now_us(l->m->loop);
    monitor_registered(l->m, in->endpoint_id);
}

static void on_start(struct listener *l, struct table_message *in, int fds[2])
{
    child_start(l->m, in, fds[0], fds[1]);
}

static void on_refresh(struct listener *l, struct table_message *in, int fds[2])
{
    child_refresh(l->m, in, fds[0]);
}

/* What a successor can't do now may be possible in a minute, when the service or the broker has
 * been restarted, and the user endpoints don't mind.  What the service says of this endpoint is
 * final. */
static bool may_pass(const struct listener *l, int code)
{
    bool is_recent = is_old(l) || loop_now_us(l->m->loop) - l->trouble_us < PATIENCE_US;
    return l->is_successor && code != EX_UNAVAILABLE && is_recent;
}

/* Whoever starts the manager again finds the user endpoints. */
static void lose_patience(struct listener *l)
{
    log_error("No listener could begin for %d minutes; the manager ends, its user endpoints go on "
              "(%u)",
              (int)(PATIENCE_US / LOOP_S(60)), l->m->children->count);
    l->m->keep_children = true;
    monitor_stop(l->m, EX_TEMPFAIL);
}

static void on_fatal(struct listener *l, struct table_message *in, int fds[2])
{
    char *text = in->text.user[0] ? in->text.user : in->text.admin;
    int code = in->code >= 0 && in->code <= 125 ? in->code : 70;
    bool was_refused = code == 65 || code == 69; /* registration: always said on standard output */
    clean_text(text, TABLE_TEXT, true);
    if (l->said_fatal) {
        end_it(l, "it said that it ends, and did not");
        return;
    }
    l->said_fatal = true;
    if (may_pass(l, code)) {
        log_warning("%s\n  The endpoint worked before: the next listener tries again", text);
        return;
    }
    if (text[0])
        log_error("%s (exit code: %d)", text, code);
    else
        log_info("The listener asks for the end of the manager (exit code: %d)", code);
    if (!l->m->opt.console && text[0])
        dprintf(was_refused ? STDOUT_FILENO : STDERR_FILENO, "%s%s\n",
                was_refused || strncmp(text, "Error: ", 7) == 0 ? "" : "Error: ", text);
    if (l->is_successor && code != EX_UNAVAILABLE)
        lose_patience(l);
    else
        monitor_stop(l->m, code);
}

static const struct handler {
    uint32_t type;
    bool before, after; /* REGISTERED: is it allowed then? */
    void (*run)(struct listener *l, struct table_message *in, int fds[2]);
} handlers[] = {
    {TABLE_REGISTERED, true, false, on_registered},
    {TABLE_START, false, true, on_start},
    {TABLE_REFRESH, false, true, on_refresh},
    {TABLE_FATAL, true, true, on_fatal},
};

static const char *dispatch(struct listener *l, struct table_message *in, int fds[2])
{
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        const struct handler *h = &handlers[i];
        if (h->type != in->type)
            continue;
        if (!(l->registered ? h->after : h->before))
            break;
        h->run(l, in, fds);
        return NULL;
    }
    return "it sent a message that is not allowed now";
}

/* False: nothing more to take. */
static bool take_one(struct listener *l)
{
    struct table_message in;
    struct err err = ERR_INIT;
    int fds[2];
    int rc = table_receive(l->socket, true, &in, fds, &err);
    if (rc == 0 || (rc < 0 && err.code == EAGAIN)) {
        if (rc == 0) {
            loop_io_destroy(l->io);
            l->io = NULL;
        }
        return false;
    }
    const char *wrong = rc < 0 ? err.text : dispatch(l, &in, fds);
    for (int i = 0; i < 2; i++)
        if (rc > 0 && fds[i] >= 0)
            close(fds[i]);
    explicit_bzero(&in, sizeof(in));
    if (wrong)
        end_it(l, wrong);
    return l->io != NULL;
}

static void socket_cb(void *arg, int fd, uint32_t revents)
{
    struct listener *l = arg;
    if (revents & EPOLLOUT)
        flush(l);
    if (!(revents & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    for (int i = 0; i < BATCH && l->m->children->in_flight < IN_FLIGHT_MAX; i++)
        if (!take_one(l))
            return;
    if (revents & (EPOLLHUP | EPOLLERR) && l->m->children->in_flight >= IN_FLIGHT_MAX) {
        /* It has left; what it still asked for will be asked again by the next one. */
        loop_io_destroy(l->io);
        l->io = NULL;
        return;
    }
    set_events(l);
}

/* --- its life ------------------------------------------------------------------------------- */

static void clear(struct listener *l)
{
    loop_io_destroy(l->io);
    l->io = NULL;
    queue_clear(l);
    if (l->socket >= 0)
        close(l->socket);
    l->socket = -1;
    relay_finish(l->relay);
    l->relay = NULL;
    l->pid = 0;
    l->registered = false;
}

static void again_cb(void *arg)
{
    spawn(arg);
}

static void died(struct listener *l)
{
    struct monitor *m = l->m;
    bool was_old = is_old(l);
    clear(l);
    if (m->stop) {
        stop_listener_gone(m->stop);
        return;
    }
    l->deaths = was_old ? 1 : l->deaths + 1;
    if (l->deaths == 1)
        l->trouble_us = loop_now_us(m->loop);
    if (!m->endpoint_id[0] && l->deaths >= YOUNG_DEATHS_MAX) {
        log_critical("The listener ends before the endpoint is registered; giving up");
        if (!m->opt.console)
            dprintf(STDERR_FILENO, "Error: the listener ends before the endpoint is registered; "
                                   "see the endpoint's log\n");
        monitor_stop(m, 70);
        return;
    }
    uint64_t pause = backoff_us(l->deaths, PAUSE_US, PAUSE_MAX_US);
    log_warning("The listener is started again in %.1f s (user endpoints go on: %u)",
                (double)pause / 1e6, m->children->count);
    loop_timer_set(l->again, pause, LOOP_MS(10));
}

static void child_cb(void *arg, pid_t pid, const siginfo_t *si)
{
    struct listener *l = arg;
    l->child = NULL;
    /* What it said before it went still counts: FATAL above all. */
    for (int i = 0; l->io && i < QUEUE_MAX; i++)
        if (!take_one(l))
            break;
    if (!l->m->stop)
        log_error("The listener (pid: %d) ended: %s %d", (int)pid,
                  si->si_code == CLD_EXITED ? "exit code" : "signal", si->si_status);
    died(l);
}

static int fork_listener(struct listener *l, int theirs, int log_end)
{
    autofree char *program = paths_libexec("listener");
    struct unprivileged u = {
        .program = program,
        .change_user = l->m->can_change_user,
        .parent = getpid(),
        .uid = l->m->listener_uid,
        .gid = l->m->listener_gid,
        .keep_chroot = true,
        .fds = {-1, -1, log_end, theirs},
    };
    pid_t pid = fork();
    if (pid == 0)
        unprivileged_exec(&u);
    if (pid < 0)
        return -1;
    l->pid = pid;
    return 0;
}

static void spawn(struct listener *l)
{
    int pair[2] = {-1, -1}, log[2] = {-1, -1};
    l->generation++;
    l->ended_by_us = false;
    l->is_successor = l->m->endpoint_id[0] != '\0';
    l->said_fatal = false;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0 ||
        relay_pipe(log) < 0 || fork_listener(l, pair[1], log[1]) < 0) {
        log_error("The listener can't be started: %m");
        for (int i = 0; i < 2; i++) {
            if (pair[i] >= 0)
                close(pair[i]);
            if (log[i] >= 0)
                close(log[i]);
        }
        died(l);
        return;
    }
    close(pair[1]);
    close(log[1]);
    l->socket = pair[0];
    l->relay = relay_create(l->m->loop, log[0], "", LINES);
    l->io = loop_io_create(l->m->loop, l->socket, EPOLLIN, socket_cb, l);
    l->child = loop_child_watch(l->m->loop, l->pid, child_cb, l);
    log_debug("The listener is started (pid: %d)", (int)l->pid);
    set_events(l);
    say_hello(l);
}

struct listener *listener_create(struct monitor *m)
{
    struct listener *l = xcalloc(1, sizeof(*l));
    *l = (struct listener){.m = m, .socket = -1};
    STAILQ_INIT(&l->queue);
    l->again = loop_timer_create(m->loop, again_cb, l);
    m->listener = l;
    spawn(l);
    return l;
}

void listener_stop(struct listener *l)
{
    struct table_message stop = {.type = TABLE_STOP};
    if (!l)
        return;
    loop_timer_cancel(l->again);
    l->stopping = true;
    send_message(l, &stop, -1);
}

void listener_destroy(struct listener *l)
{
    if (!l)
        return;
    loop_child_forget(l->child);
    if (l->pid && kill(l->pid, SIGKILL) < 0)
        log_error("the listener can't be killed: %m");
    clear(l);
    loop_timer_destroy(l->again);
    free(l);
}
