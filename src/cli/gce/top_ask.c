/* Asks each user endpoint at its status.sock.
 *
 * Every question is put by a child process of its own that has become the account: the path is in
 * that account's control, and so is whoever answers.  The child hands the bytes on through a pipe;
 * what is slow is killed.  An answer is a line of JSON; '!' before text is a reason that there is
 * none. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/gce/top.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"

#define TOGETHER 32
#define PATIENCE_MS 2000
#define ANSWER_MAX (1u << 20)
#define ENVIRON_MAX (1u << 20)

struct question {
    struct uep *uep;
    pid_t pid;
    int fd;
    struct buf answer;
};

/* ---- in the child ---------------------------------------------------------------------------- */

__attribute__((noreturn)) static void give_up(int out, const char *what)
{
    int why = errno;
    autofree char *text = xasprintf("!%s: %s", what, strerror(why));
    (void)!write(out, text, strlen(text));
    _exit(1);
}

static void become(const struct uep *u, int out)
{
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (geteuid() != 0 || u->uid == 0)
        return;
    if (setgroups(1, &u->gid) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 ||
        setresuid(u->uid, u->uid, u->uid) < 0 || setuid(0) == 0)
        give_up(out, "this process can't become the account");
}

static int connect_in(const char *dir)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    int at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(where.sun_path, sizeof(where.sun_path), "/proc/self/fd/%d/status.sock", at);
    if (at >= 0 && fd >= 0 && connect(fd, (const struct sockaddr *)&where, sizeof(where)) == 0)
        return fd;
    return -1; /* the process ends soon */
}

/* The value of a variable in a block as /proc/PID/environ shows it. */
static char *variable(const struct buf *block, const char *name)
{
    size_t n = strlen(name);
    for (size_t at = 0; at < block->len; at += strlen(block->data + at) + 1)
        if (strncmp(block->data + at, name, n) == 0 && block->data[at + n] == '=')
            return xstrdup(block->data + at + n + 1);
    return NULL;
}

/* Where the user endpoint lives, by the rule that it follows itself.  Its environment may be
 * unreadable or gone under its title: then where it lives unless the site has moved it. */
static int connect_somewhere(const struct uep *u, const struct buf *block)
{
    autofree char *given = variable(block, "GLOBUS_COMPUTE_USER_DIR");
    autofree char *home = variable(block, "HOME");
    const struct passwd *pw = getpwuid(u->uid);
    int fd = -1;
    if (given && *given == '/') {
        autofree char *dir = xasprintf("%s/%s", given, u->name);
        fd = connect_in(dir);
    }
    if (fd < 0 && home && *home == '/') {
        autofree char *dir = xasprintf("%s/.globus_compute/%s", home, u->name);
        fd = connect_in(dir);
    }
    if (fd < 0 && u->uid == geteuid() && u->uid != 0) {
        autofree char *dir = xasprintf("%s/%s", epdir_base(), u->name);
        fd = connect_in(dir);
    }
    if (fd < 0 && pw) {
        autofree char *dir = xasprintf("%s/.globus_compute/%s", pw->pw_dir, u->name);
        fd = connect_in(dir);
    }
    return fd;
}

static void copy(int from, int to)
{
    char part[16384];
    ssize_t n;
    size_t all = 0;
    while ((n = read(from, part, sizeof(part))) > 0 && (all += (size_t)n) <= ANSWER_MAX)
        if (fs_write_all(to, part, (size_t)n) < 0)
            return;
}

__attribute__((noreturn)) static void put(const struct uep *u, int out)
{
    autobuf struct buf block = BUF_INIT;
    if (!u->dir) {
        autofree char *path = xasprintf("/proc/%d/environ", (int)u->pid);
        (void)fs_read(path, ENVIRON_MAX, &block, NULL);
    }
    become(u, out);
    int fd = u->dir ? connect_in(u->dir) : connect_somewhere(u, &block);
    if (fd < 0)
        give_up(out, "status.sock does not answer");
    copy(fd, out);
    _exit(0);
}

/* ---- in the parent --------------------------------------------------------------------------- */

static void begin(struct question *q)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    q->pid = fork();
    if (q->pid == 0) {
        close(ends[0]);
        signal(SIGINT, SIG_IGN); /* the terminal's: ours alone */
        put(q->uep, ends[1]);
    }
    close(ends[1]);
    if (q->pid < 0)
        close(ends[0]);
    else
        q->fd = ends[0];
}

/* Reads what is there; closes at the end, or when it is too much. */
static void hear(struct question *q)
{
    char part[16384];
    ssize_t n = read(q->fd, part, sizeof(part));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n > 0)
        buf_add(&q->answer, part, (size_t)n);
    if (n > 0 && q->answer.len <= ANSWER_MAX)
        return;
    close(q->fd);
    q->fd = -1;
}

static void hear_all(struct question *q, size_t n)
{
    uint64_t end = clock_mono_us() + PATIENCE_MS * 1000ull;
    for (;;) {
        struct pollfd p[TOGETHER];
        size_t open_count = 0;
        for (size_t i = 0; i < n; i++) {
            p[i] = (struct pollfd){.fd = q[i].fd, .events = POLLIN};
            open_count += q[i].fd >= 0;
        }
        uint64_t now = clock_mono_us();
        if (open_count == 0 || now >= end)
            return;
        if (poll(p, n, (int)((end - now) / 1000 + 1)) < 0 && errno != EINTR)
            return;
        for (size_t i = 0; i < n; i++)
            if (q[i].fd >= 0 && p[i].revents)
                hear(&q[i]);
    }
}

static void take(struct question *q)
{
    struct err err = ERR_INIT;
    struct uep *u = q->uep;
    const char *text = q->answer.data ? q->answer.data : "";
    if (q->pid < 0)
        u->error = xstrdup("this host can't start a process to ask it");
    else if (q->fd >= 0)
        u->error = xasprintf("no answer within %d s", PATIENCE_MS / 1000);
    else if (*text == '!')
        u->error = xstrdup(text + 1);
    else
        u->status = json_read(text, q->answer.len, ANSWER_MAX, "its answer", &err);
    if (u->status && !json_object_is_type(u->status, json_type_object)) {
        json_object_put(u->status);
        u->status = NULL;
        u->error = xstrdup("its answer is not an object");
    } else if (!u->status && !u->error) {
        u->error = xstrdup(err.text);
    }
}

static void finish(struct question *q)
{
    take(q);
    if (q->fd >= 0)
        close(q->fd);
    if (q->pid > 0) {
        kill(q->pid, SIGKILL);
        /* One that hangs in a file system that is away is left to the next look. */
        if (q->uep->status)
            waitpid(q->pid, NULL, 0);
        else
            waitpid(q->pid, NULL, WNOHANG);
    }
    buf_free(&q->answer);
}

static void ask_some(struct uep **list, size_t n)
{
    struct question q[TOGETHER];
    for (size_t i = 0; i < n; i++) {
        q[i] = (struct question){.uep = list[i], .pid = -1, .fd = -1};
        begin(&q[i]);
    }
    hear_all(q, n);
    for (size_t i = 0; i < n; i++)
        finish(&q[i]);
}

void ask_all(struct view *v)
{
    struct uep *list[TOGETHER];
    size_t n = 0;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ; /* left by the look before */
    for (size_t i = 0; i < v->count; i++)
        for (size_t k = 0; k < v->sites[i].count; k++) {
            list[n++] = &v->sites[i].ueps[k];
            if (n == TOGETHER) {
                ask_some(list, n);
                n = 0;
            }
        }
    ask_some(list, n);
}
