/* See spawn.h.  posix_spawn would do most of it, but not "own process group, all descriptors
 * closed, working directory" on every libc, so it is fork and exec with an error pipe. */
#include "lib/base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/descriptors.h"
#include "lib/base/buf.h"

enum { IN, OUT, ERR };

struct spawn {
    struct loop *loop;
    spawn_f *cb;
    void *arg;
    pid_t pid;
    struct loop_child *child;
    struct loop_timer *timer;
    int fd[3];
    struct loop_io *io[3];
    struct buf input;
    struct buf output[3]; /* [OUT], [ERR] */
    size_t output_max;
    uint64_t began_us;
    bool ended, timed_out;
    siginfo_t si;
};

static void close_side(struct spawn *s, int i)
{
    loop_io_destroy(s->io[i]);
    s->io[i] = NULL;
    if (s->fd[i] >= 0)
        close(s->fd[i]);
    s->fd[i] = -1;
}

static void spawn_free(struct spawn *s)
{
    for (int i = 0; i < 3; i++)
        close_side(s, i);
    loop_child_forget(s->child);
    loop_timer_destroy(s->timer);
    buf_free(&s->input);
    buf_free(&s->output[OUT]);
    buf_free(&s->output[ERR]);
    free(s);
}

/* Done when the program has ended and its output has been read to the end; a grandchild that keeps
 * the pipes open delays that only until the deadline. */
static void finish_if_done(struct spawn *s)
{
    if (!s->ended || (!s->timed_out && (s->fd[OUT] >= 0 || s->fd[ERR] >= 0)))
        return;
    bool exited = s->si.si_code == CLD_EXITED && !s->timed_out;
    struct spawn_result r = {
        .exit_code = exited ? s->si.si_status : -1,
        .signal = s->si.si_code == CLD_EXITED ? 0 : s->si.si_status,
        .timed_out = s->timed_out,
        .out = s->output[OUT].data ? s->output[OUT].data : "",
        .out_len = s->output[OUT].len,
        .errout = s->output[ERR].data ? s->output[ERR].data : "",
        .errout_len = s->output[ERR].len,
        .took_us = loop_now_us(s->loop) - s->began_us,
    };
    s->cb(s->arg, &r);
    spawn_free(s);
}

static void child_cb(void *arg, pid_t pid, const siginfo_t *si)
{
    struct spawn *s = arg;
    s->child = NULL;
    s->ended = true;
    s->si = *si;
    finish_if_done(s);
}

static void timeout_cb(void *arg)
{
    struct spawn *s = arg;
    s->timed_out = true;
    kill(-s->pid, SIGKILL);
    finish_if_done(s); /* it had ended, something else held the pipes */
}

static void out_cb(void *arg, int fd, uint32_t revents)
{
    struct spawn *s = arg;
    int i = fd == s->fd[OUT] ? OUT : ERR;
    char tmp[16384];
    ssize_t n = read(fd, tmp, sizeof(tmp));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n > 0) {
        size_t room = s->output_max - s->output[i].len;
        buf_add(&s->output[i], tmp, (size_t)n < room ? (size_t)n : room);
        return;
    }
    close_side(s, i);
    finish_if_done(s);
}

static void in_cb(void *arg, int fd, uint32_t revents)
{
    struct spawn *s = arg;
    ssize_t n = write(fd, s->input.data, s->input.len);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n > 0)
        buf_drop(&s->input, (size_t)n);
    if (n < 0 || s->input.len == 0)
        close_side(s, IN);
}

/* Between fork and exec: only calls that are safe there. */
static void become(const struct spawn_opts *o, const int child_fd[3], int fail_fd)
{
    setpgid(0, 0);
    for (int i = 0; i < 3; i++)
        if (dup2(child_fd[i], i) < 0)
            goto fail;
    if (fail_fd != 3 && dup3(fail_fd, 3, O_CLOEXEC) < 0)
        goto fail;
    fail_fd = 3;
    close_range(4, ~0U, 0);
    if (o->cwd && chdir(o->cwd) != 0)
        goto fail;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    descriptors_restore();
    for (int i = 1; i < 32; i++)
        signal(i, SIG_DFL);
    if (o->env)
        execvpe(o->argv[0], (char *const *)o->argv, (char *const *)o->env);
    else
        execvp(o->argv[0], (char *const *)o->argv);
fail:;
    int e = errno;
    ssize_t ignored = write(fail_fd, &e, sizeof(e));
    (void)ignored;
    _exit(127);
}

static int start_process(struct spawn *s, const struct spawn_opts *o, struct err *err)
{
    int pipes[4][2] = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}}; /* in, out, err, fail */
    int rc = -1, reason = 0;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < 4; i++)
        if (pipe2(pipes[i], O_CLOEXEC) != 0) {
            err_errno(err, "cannot make a pipe");
            goto done;
        }
    int child_fd[3] = {o->input ? pipes[0][0] : null, pipes[1][1], pipes[2][1]};
    s->pid = fork();
    if (s->pid < 0) {
        err_errno(err, "cannot fork");
        goto done;
    }
    if (s->pid == 0)
        become(o, child_fd, pipes[3][1]);
    setpgid(s->pid, s->pid);
    close(pipes[3][1]);
    pipes[3][1] = -1;
    ssize_t n;
    while ((n = read(pipes[3][0], &reason, sizeof(reason))) < 0 && errno == EINTR)
        ;
    if (n == (ssize_t)sizeof(reason)) {
        siginfo_t si;
        waitid(P_PID, (id_t)s->pid, &si, WEXITED);
        err_code(err, reason, "cannot run %s: %s", o->argv[0], strerror(reason));
        goto done;
    }
    s->fd[IN] = o->input ? pipes[0][1] : -1;
    s->fd[OUT] = pipes[1][0];
    s->fd[ERR] = pipes[2][0];
    if (o->input)
        pipes[0][1] = -1;
    pipes[1][0] = pipes[2][0] = -1;
    rc = 0;
done:
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 2; k++)
            if (pipes[i][k] >= 0)
                close(pipes[i][k]);
    if (null >= 0)
        close(null);
    return rc;
}

struct spawn *spawn_start(struct loop *l, const struct spawn_opts *o, spawn_f *cb, void *arg,
                          struct err *err)
{
    struct spawn *s = xcalloc(1, sizeof(*s));
    *s = (struct spawn){.loop = l, .cb = cb, .arg = arg, .fd = {-1, -1, -1}};
    s->output_max = o->output_max ? o->output_max : 1024 * 1024;
    s->began_us = loop_now_us(l);
    s->timer = loop_timer_create(l, timeout_cb, s);
    if (start_process(s, o, err) != 0) {
        spawn_free(s);
        return NULL;
    }
    s->child = loop_child_watch(l, s->pid, child_cb, s);
    for (int i = IN; i <= ERR; i++) {
        if (s->fd[i] < 0)
            continue;
        fcntl(s->fd[i], F_SETFL, O_NONBLOCK);
        s->io[i] =
            loop_io_create(l, s->fd[i], i == IN ? EPOLLOUT : EPOLLIN, i == IN ? in_cb : out_cb, s);
    }
    if (o->input)
        buf_add(&s->input, o->input, o->input_len);
    loop_timer_set(s->timer, o->timeout_us ? o->timeout_us : LOOP_S(30), 0);
    return s;
}

void spawn_cancel(struct spawn *s)
{
    if (!s)
        return;
    if (!s->ended) {
        kill(-s->pid, SIGKILL);
        siginfo_t si;
        waitid(P_PID, (id_t)s->pid, &si, WEXITED);
    }
    spawn_free(s);
}
