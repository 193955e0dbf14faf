/* START and REFRESH.  What the listener hands over is taken as hostile: names by a narrow rule,
 * descriptors only as sealed memory files, everything bounded.
 *
 * The forked child looks its account up (a slow directory delays nobody else), writes what it found
 * to the status pipe, and waits at the gate.  The monitor decides, writes the child down in the
 * state file, and opens the gate: a monitor that dies at any point leaves nobody behind that the
 * next one doesn't know, because a gate that closes ends the child. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/proc.h"
#include "manager/monitor/account.h"
#include "manager/monitor/child.h"
#include "manager/monitor/clean.h"
#include "manager/monitor/files.h"
#include "manager/monitor/launch.h"
#include "manager/monitor/listener.h"
#include "manager/monitor/state.h"

#define CHILD_LINES 200 /* of log from a child, per 10 s */

static const char try_again[] = "The endpoint could not start a process; try again later";

static void refuse(struct monitor *m, const struct table_message *req, int code, const char *user,
                   const char *admin)
{
    struct table_message answer = {.type = TABLE_FAILED, .request = req->request, .code = code};
    snprintf(answer.text.user, sizeof(answer.text.user), "%s", user);
    snprintf(answer.text.admin, sizeof(answer.text.admin), "%s", admin);
    log_warning("Start of user endpoint '%s' for local user '%s' is refused: %s [request %s]",
                req->start.name, req->start.user, admin, req->start.correlation);
    listener_answer(m->listener, listener_generation(m->listener), &answer);
}

/* A memory file that nobody can change any more, so that reading it neither blocks nor races.
 * Its size, or -1. */
static ssize_t sealed_size(int fd, size_t max)
{
    const int wanted = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & wanted) != wanted)
        return -1;
    if (fstat(fd, &st) < 0 || st.st_size <= 0 || (uint64_t)st.st_size > max)
        return -1;
    return (ssize_t)st.st_size;
}

static int read_token(int fd, struct buf *token)
{
    ssize_t size = sealed_size(fd, TABLE_CREDENTIALS_MAX);
    if (size < 0)
        return -1;
    char *room = buf_room(token, (size_t)size);
    ssize_t n = pread(fd, room, (size_t)size, 0);
    if (n != size)
        return -1;
    buf_grew(token, (size_t)n);
    return 0;
}

/* Emptied, then written: a reader that meets the gap tries again after a second. */
static int write_token(int memfd, const struct buf *token)
{
    if (ftruncate(memfd, 0) < 0)
        return -1;
    for (size_t done = 0; done < token->len;) {
        ssize_t n = pwrite(memfd, token->data + done, token->len - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        done += (size_t)n;
    }
    return 0;
}

/* The memory file of the credentials: writable for us in c->memfd, read-only for the child. */
static int make_credentials(struct child *c, const struct buf *token)
{
    char path[64];
    struct stat st;
    c->memfd = memfd_create("dyn", MFD_CLOEXEC);
    if (c->memfd < 0 || fchmod(c->memfd, 0444) < 0 || write_token(c->memfd, token) < 0 ||
        fstat(c->memfd, &st) < 0)
        return -1;
    c->mem_dev = st.st_dev;
    c->mem_ino = st.st_ino;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", c->memfd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static int open_optional(int fd, const struct err *why)
{
    if (fd < 0 && why->code != ENOENT)
        log_warning("%s; user endpoints start without it", why->text);
    return fd;
}

/* Edits of the administrator's files hold from the next start on. */
static int open_files(struct monitor *m, struct launch *l, struct err *err)
{
    struct err why = ERR_INIT;
    l->fds[HANDOVER_TEMPLATE] = files_open(m, TABLE_TEMPLATE, err);
    if (l->fds[HANDOVER_TEMPLATE] < 0)
        return -1;
    l->fds[HANDOVER_SCHEMA] = files_open(m, TABLE_SCHEMA, &why);
    /* A schema that is there but can't be used would let everything pass. */
    if (l->fds[HANDOVER_SCHEMA] < 0 && why.code != ENOENT) {
        *err = why;
        return -1;
    }
    l->fds[HANDOVER_ENVIRONMENT] = open_optional(files_open_environment(m, &why), &why);
    return 0;
}

static int make_pipes(struct monitor *m, struct child *c, struct launch *l)
{
    int status[2], gate[2], log[2];
    char prefix[TABLE_USER + TABLE_NAME + TABLE_CORRELATION + 32];
    if (pipe2(status, O_CLOEXEC) < 0)
        return -1;
    c->status_fd = status[0];
    l->fds[HANDOVER_STATUS] = status[1];
    if (fcntl(status[0], F_SETFL, O_NONBLOCK) < 0 || pipe2(gate, O_CLOEXEC) < 0)
        return -1;
    c->gate_fd = gate[1];
    l->gate = gate[0];
    if (relay_pipe(log) < 0)
        return -1;
    l->fds[STDERR_FILENO] = log[1];
    if (m->trail) {
        c->audit = trail_pipe_create(m->trail, &l->fds[HANDOVER_AUDIT]);
        if (!c->audit)
            return -1;
    }
    snprintf(prefix, sizeof(prefix), "(%s, %s) [request %s] ", c->user, c->name, c->correlation);
    c->relay = relay_create(m->loop, log[0], prefix, CHILD_LINES);
    return 0;
}

static int prepare_launch(struct monitor *m, struct child *c, const struct buf *token, int blob_fd,
                          struct launch *l, struct err *err)
{
    if (open_files(m, l, err) < 0)
        return -1;
    l->fds[HANDOVER_CREDENTIALS] = make_credentials(c, token);
    if (l->fds[HANDOVER_CREDENTIALS] < 0)
        return err_errno(err, "cannot make the credential file");
    l->fds[HANDOVER_BLOB] = fcntl(blob_fd, F_DUPFD_CLOEXEC, 3);
    if (l->fds[HANDOVER_BLOB] < 0 || make_pipes(m, c, l) < 0)
        return err_errno(err, "cannot make the pipes of a start");
    return 0;
}

static int fork_child(struct monitor *m, struct child *c, struct launch *l, struct err *err)
{
    pid_t pid = fork();
    if (pid < 0)
        return err_errno(err, "cannot fork");
    if (pid == 0)
        launch_child(m, l, c->user);
    c->pid = pid;
    c->start_time = proc_start_time(pid);
    c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (c->pidfd < 0) {
        err_errno(err, "cannot watch the new process");
        kill(pid, SIGKILL); /* not reaped, so the number is still its own */
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        return -1;
    }
    child_watch(c);
    child_boot_begin(c);
    return 0;
}

static void add_waiter(struct monitor *m, struct child *c, const struct table_message *req)
{
    if (c->n_waiters == CHILD_WAITERS) {
        refuse(m, req, TABLE_LIMIT, "This user endpoint is starting already",
               "too many requests wait for the same start");
        return;
    }
    c->waiters[c->n_waiters++] =
        (struct waiter){.request = req->request, .generation = listener_generation(m->listener)};
}

static void copy_request(struct child *c, const struct table_message *req)
{
    memcpy(c->user, req->start.user, sizeof(c->user));
    memcpy(c->name, req->start.name, sizeof(c->name));
    memcpy(c->key, req->start.key, sizeof(c->key));
    memcpy(c->id, req->start.id, sizeof(c->id));
    memcpy(c->command, req->start.command, sizeof(c->command));
    memcpy(c->correlation, req->start.correlation, sizeof(c->correlation));
    if (!uuid_is_canonical(c->id))
        c->id[0] = '\0';
    if (!c->command[0])
        snprintf(c->command, sizeof(c->command), "globus-compute-endpoint _start-user-endpoint %s",
                 c->name);
    clean_text(c->command, sizeof(c->command), false);
}

static void begin(struct monitor *m, const struct table_message *req, const struct buf *token,
                  int blob_fd)
{
    struct err err = ERR_INIT;
    struct launch launch;
    launch_init(&launch);
    struct child *c = child_new(m);
    copy_request(c, req);
    if (prepare_launch(m, c, token, blob_fd, &launch, &err) == 0 &&
        fork_child(m, c, &launch, &err) == 0) {
        add_waiter(m, c, req);
    } else {
        refuse(m, req, TABLE_CANT_FORK, try_again, err.text);
        child_free(c);
    }
    launch_close(&launch);
}

/* Could this name be an account's, and can it stand in a log line?  getpwnam() decides the rest. */
static bool user_is_good(const char *user)
{
    char clean[TABLE_USER];
    snprintf(clean, sizeof(clean), "%s", user);
    if (!user[0] || user[0] == '-' || strcmp(clean_text(clean, sizeof(clean), false), user) != 0)
        return false;
    for (const unsigned char *p = (const unsigned char *)user; *p; p++)
        if (*p <= ' ' || *p == ':' || *p == '/' || *p == 0x7f)
            return false;
    return true;
}

static bool request_is_good(struct monitor *m, struct table_message *req)
{
    if (!table_name_is_good(req->start.name)) {
        clean_text(req->start.name, sizeof(req->start.name), false);
        clean_text(req->start.user, sizeof(req->start.user), false);
        refuse(m, req, TABLE_BAD_NAME, "Invalid endpoint name", "the endpoint's name is not valid");
        return false;
    }
    if (!user_is_good(req->start.user)) {
        clean_text(req->start.user, sizeof(req->start.user), false);
        refuse(m, req, TABLE_NO_ACCOUNT,
               "Identity mapped to a local user name, but local user does not exist.",
               "no account can have that name");
        return false;
    }
    return true;
}

void child_start(struct monitor *m, const struct table_message *message, int token_fd, int blob_fd)
{
    autobuf struct buf token = BUF_INIT;
    struct err err = ERR_INIT;
    struct table_message req = *message;
    clean_text(req.start.correlation, sizeof(req.start.correlation), false);
    if (!req.start.correlation[0])
        req.start.correlation[0] = '-';
    if (!request_is_good(m, &req))
        return;
    if (m->stop) {
        refuse(m, &req, TABLE_STOPPING, "The endpoint is shutting down; try again later",
               "the manager is stopping");
        return;
    }
    struct child *c = child_find(m->children, req.start.user, req.start.name);
    if (c) {
        add_waiter(m, c, &req);
        if (c->state == CHILD_RUNNING)
            child_answer_running(c);
        return;
    }
    if (trail_check(m->trail, &err) < 0)
        refuse(m, &req, TABLE_LIMIT, "The endpoint starts nothing at present; try again later",
               err.text);
    else if (read_token(token_fd, &token) < 0 || sealed_size(blob_fd, TABLE_BLOB_MAX) < 0)
        refuse(m, &req, TABLE_BAD_GRANT, "The start request could not be handled",
               "a descriptor of the listener is no sealed memory file, or too large");
    else
        begin(m, &req, &token, blob_fd);
    explicit_bzero(&req, sizeof(req));
}

void child_refresh(struct monitor *m, const struct table_message *req, int token_fd)
{
    autobuf struct buf token = BUF_INIT;
    struct table_message answer = {.type = TABLE_REFRESHED, .request = req->request, .code = 1};
    struct child *c = child_find(m->children, req->start.user, req->start.name);
    if (c && c->state == CHILD_RUNNING && c->memfd < 0) {
        if (!c->refresh_warned)
            log_warning("The credentials of user endpoint %s (pid: %d) can't be renewed: it was "
                        "adopted by a manager that may not look into it",
                        c->name, (int)c->pid);
        c->refresh_warned = true;
        answer.code = 0;
    } else if (c && c->state == CHILD_RUNNING) {
        if (read_token(token_fd, &token) < 0)
            log_error("The listener sent credentials for user endpoint %s that are no sealed "
                      "memory file, or too large",
                      c->name);
        else if (write_token(c->memfd, &token) < 0)
            log_error("The credentials of user endpoint %s can't be written: %m", c->name);
        else
            answer.code = 0;
    }
    listener_answer(m->listener, listener_generation(m->listener), &answer);
}
