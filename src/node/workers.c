#include "node/workers.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/base/paths.h"

#define FRAME_HEAD 12 /* bytes: length of header (4) and body (8), big endian */
#define HEADER_MAX (64u << 10)
#define BODY_MAX (64u << 20)
#define KEPT_MAX (512u << 10) /* of a buffer between two tasks */
#define CONTROL_MAX (64u << 10)
#define RESTARTS_MAX 3             /* fork servers that die in a row */
#define TIMEOUT_GRACE_S 15         /* a task past GC_TASK_TIMEOUT gets that long to end itself */
#define STOP_PATIENCE_US LOOP_S(1) /* between SIGTERM and SIGKILL */

/* The file's text runs in a namespace of its own: __main__ belongs to the user's functions. */
static const char boot[] =
    "import sys;n={'__name__':'_sallyport'};"
    "exec(compile(open(sys.argv[1]).read(),'<sallyport>','exec'),n);n['main'](int(sys.argv[2]))";

enum slot_state { SLOT_EMPTY, SLOT_STARTING, SLOT_IDLE, SLOT_BUSY, SLOT_DYING };

struct slot {
    struct workers *owner;
    int number;
    enum slot_state state;
    pid_t pid;
    int fd;
    struct loop_io *io;
    struct loop_timer *limit;
    struct buf in, out;
    size_t sent;   /* of out */
    char *task_id; /* while it has one */
    int served;
};

struct workers {
    struct loop *loop;
    struct workers_opts o;
    char *python;
    pid_t server_pid;
    int control;
    struct loop_io *control_io;
    struct loop_child *server;
    bool ready, stopping;
    int restarts;
    double task_timeout_s;
    struct slot *slots;
    int count;
    struct loop_timer *patience;
    loop_f *stopped;
    void *stopped_arg;
};

static int start_server(struct workers *w, struct err *err);

/* ---- slots ----------------------------------------------------------------------------------- */

static void slot_close(struct slot *s)
{
    loop_io_destroy(s->io);
    loop_timer_cancel(s->limit);
    if (s->fd >= 0)
        close(s->fd);
    s->io = NULL;
    s->fd = -1;
    buf_free(&s->in);
    buf_free(&s->out);
    s->sent = 0;
}

static void finish_stop(struct workers *w)
{
    for (int i = 0; i < w->count; i++)
        if (w->slots[i].state != SLOT_EMPTY)
            return;
    if (w->stopped != NULL) {
        loop_f *done = w->stopped;
        w->stopped = NULL;
        done(w->stopped_arg);
    }
}

/* The process of this slot has ended; its task, if any, is lost. */
static void slot_ended(struct slot *s, const char *how)
{
    struct workers *w = s->owner;
    char *task_id = s->task_id;
    slot_close(s);
    s->state = SLOT_EMPTY;
    s->pid = 0;
    s->served = 0;
    s->task_id = NULL;
    if (task_id != NULL && !w->stopping)
        w->o.handlers->died(w->o.arg, task_id, s->number, how);
    free(task_id);
    if (w->stopping)
        finish_stop(w);
    else
        w->o.handlers->free_slot(w->o.arg);
}

/* Its channel broke: whatever it does now, nobody will hear of it. */
static void slot_doom(struct slot *s)
{
    if (s->state == SLOT_EMPTY || s->state == SLOT_DYING)
        return;
    s->state = SLOT_DYING;
    slot_close(s);
    if (s->pid > 0)
        kill(-s->pid, SIGKILL); /* harmless when it is dead already: the fork server reaps */
}

static void slot_flush(struct slot *s)
{
    while (s->sent < s->out.len) {
        ssize_t n = write(s->fd, s->out.data + s->sent, s->out.len - s->sent);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            slot_doom(s);
            return;
        }
        s->sent += (size_t)n;
    }
    bool all = s->sent == s->out.len;
    if (all && s->out.cap > KEPT_MAX)
        buf_free(&s->out);
    else if (all)
        buf_clear(&s->out);
    if (all)
        s->sent = 0;
    loop_io_events(s->io, EPOLLIN | (all ? 0 : EPOLLOUT));
}

static uint64_t big_endian(const unsigned char *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

static void slot_result(struct slot *s, const char *head, size_t head_n, const char *body,
                        size_t body_n)
{
    struct workers *w = s->owner;
    autojson struct json_object *header = json_read(head, head_n, HEADER_MAX, "a result", NULL);
    const char *id = json_str_or(header, "id", "");
    if (s->task_id == NULL || strcmp(id, s->task_id) != 0) {
        log_warning("worker %d answered for a task that it does not have", s->number);
        slot_doom(s);
        return;
    }
    char *task_id = s->task_id;
    const char *failed = json_str_or(header, "failed", NULL);
    s->task_id = NULL;
    s->state = SLOT_IDLE;
    s->served++;
    loop_timer_cancel(s->limit);
    if (failed != NULL)
        w->o.handlers->failed(w->o.arg, task_id, failed);
    else
        w->o.handlers->result(w->o.arg, task_id, body, body_n);
    free(task_id);
}

/* Takes whole frames out of s->in; false when the slot was given up. */
static bool slot_parse(struct slot *s)
{
    while (s->in.len >= FRAME_HEAD) {
        uint64_t head = big_endian((unsigned char *)s->in.data, 4);
        uint64_t body = big_endian((unsigned char *)s->in.data + 4, 8);
        if (head > HEADER_MAX || body > BODY_MAX) {
            slot_doom(s);
            return false;
        }
        if (s->in.len < FRAME_HEAD + head + body)
            break;
        const char *p = s->in.data + FRAME_HEAD;
        slot_result(s, p, head, p + head, body);
        if (s->state == SLOT_DYING)
            return false;
        buf_drop(&s->in, FRAME_HEAD + head + body);
    }
    if (s->in.len == 0 && s->in.cap > KEPT_MAX)
        buf_free(&s->in);
    return true;
}

static void slot_next(struct slot *s)
{
    struct workers *w = s->owner;
    if (s->state != SLOT_IDLE || w->stopping)
        return;
    if (w->o.tasks_per_child > 0 && s->served >= w->o.tasks_per_child)
        slot_doom(s); /* a fresh one takes its place */
    else
        w->o.handlers->free_slot(w->o.arg);
}

static void slot_cb(void *arg, int fd, uint32_t revents)
{
    struct slot *s = arg;
    if (revents & EPOLLOUT)
        slot_flush(s);
    if (s->state == SLOT_DYING || !(revents & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    for (int i = 0; i < 64; i++) {
        ssize_t n = read(s->fd, buf_room(&s->in, 256 << 10), 256 << 10);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n <= 0) {
            slot_doom(s);
            return;
        }
        buf_grew(&s->in, (size_t)n);
        if (n < 256 << 10)
            break;
    }
    /* The first answer of a new worker may be here before the fork server's word of its birth. */
    bool had_task = s->task_id != NULL;
    if (slot_parse(s) && had_task)
        slot_next(s);
}

static void limit_cb(void *arg)
{
    struct slot *s = arg;
    log_warning("worker %d did not end task %s after its time limit; it is killed", s->number,
                s->task_id != NULL ? s->task_id : "?");
    slot_doom(s);
}

/* Gives the fork server one end of a fresh socket and the slot's settings. */
static int slot_start(struct slot *s)
{
    struct workers *w = s->owner;
    struct err err = ERR_INIT;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    autojson struct json_object *request = json_object_new_object();
    json_add_int(request, "slot", s->number);
    json_add(request, "env", place_environment(w->o.place, s->number, w->o.agent_id, w->o.block));
    json_add(request, "affinity", place_cores(w->o.place, s->number, &err));
    autobuf struct buf text = BUF_INIT;
    json_write(&text, request);
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {.iov_base = text.data, .iov_len = text.len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &pair[1], sizeof(int));
    ssize_t sent = err.text[0] == '\0' ? sendmsg(w->control, &msg, MSG_NOSIGNAL) : -1;
    close(pair[1]);
    if (sent < 0) {
        log_error("cannot start worker %d: %s", s->number,
                  err.text[0] != '\0' ? err.text : strerror(errno));
        close(pair[0]);
        return -1;
    }
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    s->fd = pair[0];
    s->state = SLOT_STARTING;
    s->io = loop_io_create(w->loop, s->fd, EPOLLIN, slot_cb, s);
    return 0;
}

static void put_big_endian(struct buf *b, uint64_t v, int n)
{
    for (int i = n - 1; i >= 0; i--)
        buf_char(b, (char)(v >> (8 * i)));
}

static void slot_give(struct slot *s, const char *task_id, struct json_object *header,
                      const void *body, size_t n)
{
    struct workers *w = s->owner;
    autobuf struct buf head = BUF_INIT;
    json_write(&head, header);
    put_big_endian(&s->out, head.len, 4);
    put_big_endian(&s->out, n, 8);
    buf_add(&s->out, head.data, head.len);
    buf_add(&s->out, body, n);
    s->task_id = xstrdup(task_id);
    if (s->state == SLOT_IDLE)
        s->state = SLOT_BUSY;
    if (w->task_timeout_s > 0)
        loop_timer_set(s->limit, (uint64_t)((w->task_timeout_s + TIMEOUT_GRACE_S) * 1e6), 0);
    slot_flush(s);
}

static bool is_free(const struct slot *s)
{
    return s->task_id == NULL && (s->state == SLOT_IDLE || s->state == SLOT_EMPTY);
}

bool workers_has_room(const struct workers *w)
{
    for (int i = 0; i < w->count && w->ready && !w->stopping; i++)
        if (is_free(&w->slots[i]))
            return true;
    return false;
}

size_t workers_busy(const struct workers *w)
{
    size_t n = 0;
    for (int i = 0; i < w->count; i++)
        n += w->slots[i].task_id != NULL;
    return n;
}

/* A warm worker first; a cold slot only when all warm ones are busy. */
static struct slot *pick(struct workers *w)
{
    struct slot *cold = NULL;
    for (int i = 0; i < w->count; i++) {
        struct slot *s = &w->slots[i];
        if (s->task_id == NULL && s->state == SLOT_IDLE)
            return s;
        if (cold == NULL && s->state == SLOT_EMPTY)
            cold = s;
    }
    return cold != NULL && slot_start(cold) == 0 ? cold : NULL;
}

bool workers_run(struct workers *w, const char *task_id, struct json_object *header,
                 const void *body, size_t n)
{
    struct slot *s = w->ready && !w->stopping ? pick(w) : NULL;
    if (s == NULL)
        return false;
    slot_give(s, task_id, header, body, n);
    return true;
}

/* ---- the fork server ------------------------------------------------------------------------- */

static void on_forked(struct workers *w, struct json_object *o)
{
    int64_t number = -1, pid = 0;
    if (json_get_int(o, "slot", &number, NULL) != 0 || json_get_int(o, "forked", &pid, NULL) != 0 ||
        number < 0 || number >= w->count || pid < 2)
        return;
    struct slot *s = &w->slots[number];
    s->pid = (pid_t)pid;
    if (s->state == SLOT_STARTING)
        s->state = s->task_id != NULL ? SLOT_BUSY : SLOT_IDLE;
    else if (s->state == SLOT_DYING)
        kill(-s->pid, SIGKILL);
}

static char *how_it_ended(int status)
{
    if (WIFSIGNALED(status))
        return xasprintf("signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return xasprintf("exit status %d", WEXITSTATUS(status));
}

static void on_exited(struct workers *w, struct json_object *o)
{
    int64_t pid = 0, status = 0;
    if (json_get_int(o, "exited", &pid, NULL) != 0 || json_get_int(o, "status", &status, NULL) != 0)
        return;
    for (int i = 0; i < w->count; i++)
        if (w->slots[i].pid == (pid_t)pid) {
            autofree char *how = how_it_ended((int)status);
            log_info("worker %d pid=%d event=exit how=%s", i, (int)pid, how);
            kill(-(pid_t)pid, SIGKILL); /* what the task left behind */
            slot_ended(&w->slots[i], how);
            return;
        }
}

static void on_ready(struct workers *w, struct json_object *details)
{
    w->ready = true;
    w->restarts = 0;
    w->o.handlers->ready(w->o.arg, details);
    w->o.handlers->free_slot(w->o.arg);
}

static void control_cb(void *arg, int fd, uint32_t revents)
{
    struct workers *w = arg;
    static char text[CONTROL_MAX];
    for (;;) {
        ssize_t n = recv(w->control, text, sizeof(text), MSG_DONTWAIT);
        if (n <= 0) {
            if (n == 0) /* its end is told by server_cb */
                loop_io_events(w->control_io, 0);
            return;
        }
        autojson struct json_object *o =
            json_read(text, (size_t)n, CONTROL_MAX, "a word of the fork server", NULL);
        if (json_at(o, "ready") != NULL)
            on_ready(w, json_at(o, "ready"));
        else if (json_at(o, "forked") != NULL)
            on_forked(w, o);
        else if (json_at(o, "exited") != NULL)
            on_exited(w, o);
    }
}

static void server_close(struct workers *w)
{
    loop_io_destroy(w->control_io);
    w->control_io = NULL;
    if (w->control >= 0)
        close(w->control);
    w->control = -1;
    w->ready = false;
}

static void server_cb(void *arg, pid_t pid, const siginfo_t *si)
{
    struct workers *w = arg;
    struct err err = ERR_INIT;
    bool was_ready = w->ready;
    w->server = NULL;
    w->server_pid = 0;
    server_close(w);
    /* Its workers die with it (PR_SET_PDEATHSIG), what their tasks started does not. */
    for (int i = 0; i < w->count; i++) {
        if (w->slots[i].pid > 0)
            kill(-w->slots[i].pid, SIGKILL);
        if (w->slots[i].state != SLOT_EMPTY)
            slot_ended(&w->slots[i], "its fork server ended");
    }
    if (w->stopping) {
        finish_stop(w);
        return;
    }
    autofree char *how = si->si_code == CLD_EXITED ? xasprintf("exit status %d", si->si_status)
                                                   : xasprintf("signal %d", si->si_status);
    log_error("the Python of the workers (%s) ended: %s", w->python, how);
    if (++w->restarts <= RESTARTS_MAX && was_ready && start_server(w, &err) == 0)
        return;
    autofree char *why =
        xasprintf("%s cannot run workers here: it ended with %s; the block's stderr says more",
                  w->python, how);
    w->o.handlers->broken(w->o.arg, why);
}

static void become_server(struct workers *w, int fd)
{
    char number[12];
    autofree char *script = paths_share("worker.py");
    /* When the agent dies, however that happens, it reads the end of its socket, and ends the
     * workers with all that their tasks started.  So no PR_SET_PDEATHSIG here. */
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0)
        _exit(126);
    int kept = fcntl(fd, F_DUPFD, 3); /* without close-on-exec */
    snprintf(number, sizeof(number), "%d", kept);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    execl(w->python, w->python, "-c", boot, script, number, (char *)NULL);
    fprintf(stderr, "cannot run %s: %s\n", w->python, strerror(errno));
    _exit(127);
}

static int start_server(struct workers *w, struct err *err)
{
    int pair[2];
    autobuf struct buf settings = BUF_INIT;
    json_write(&settings, w->o.settings);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_errno(err, "cannot make a socket pair");
    w->server_pid = fork();
    if (w->server_pid == 0)
        become_server(w, pair[1]);
    close(pair[1]);
    if (w->server_pid < 0) {
        close(pair[0]);
        return err_errno(err, "cannot fork");
    }
    w->control = pair[0];
    if (send(w->control, settings.data, settings.len, MSG_NOSIGNAL) < 0)
        log_warning("cannot tell the fork server its settings: %s", strerror(errno));
    w->control_io = loop_io_create(w->loop, w->control, EPOLLIN, control_cb, w);
    w->server = loop_child_watch(w->loop, w->server_pid, server_cb, w);
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct workers *workers_create(struct loop *l, const struct workers_opts *o, struct err *err)
{
    struct workers *w = xcalloc(1, sizeof(*w));
    const char *limit = getenv("GC_TASK_TIMEOUT");
    *w = (struct workers){.loop = l,
                          .o = *o,
                          .python = xstrdup(o->python),
                          .control = -1,
                          .task_timeout_s = limit != NULL ? strtod(limit, NULL) : 0,
                          .count = o->place->workers};
    json_object_get(o->settings);
    w->slots = xcalloc((size_t)w->count, sizeof(*w->slots));
    for (int i = 0; i < w->count; i++) {
        w->slots[i] = (struct slot){.owner = w, .number = i, .fd = -1};
        w->slots[i].limit = loop_timer_create(l, limit_cb, &w->slots[i]);
    }
    if (start_server(w, err) == 0)
        return w;
    workers_destroy(w);
    return NULL;
}

static void patience_cb(void *arg)
{
    struct workers *w = arg;
    for (int i = 0; i < w->count; i++)
        slot_doom(&w->slots[i]);
    if (w->server_pid > 0)
        kill(w->server_pid, SIGKILL);
}

void workers_stop(struct workers *w, loop_f *done, void *arg)
{
    w->stopping = true;
    w->stopped = done;
    w->stopped_arg = arg;
    bool any = false;
    for (int i = 0; i < w->count; i++) {
        struct slot *s = &w->slots[i];
        any = any || s->state != SLOT_EMPTY;
        if (s->state == SLOT_IDLE)
            slot_doom(s);
        else if (s->pid > 0)
            kill(-s->pid, SIGTERM);
    }
    w->patience = loop_timer_create(w->loop, patience_cb, w);
    loop_timer_set(w->patience, any ? STOP_PATIENCE_US : 0, 0);
    if (w->server_pid <= 0)
        finish_stop(w);
}

void workers_destroy(struct workers *w)
{
    if (w == NULL)
        return;
    loop_child_forget(w->server);
    if (w->server_pid > 0)
        kill(w->server_pid, SIGKILL);
    server_close(w);
    for (int i = 0; i < w->count; i++) {
        slot_close(&w->slots[i]);
        loop_timer_destroy(w->slots[i].limit);
        free(w->slots[i].task_id);
    }
    loop_timer_destroy(w->patience);
    json_object_put(w->o.settings);
    free(w->slots);
    free(w->python);
    free(w);
}
