/* LocalProvider: a block is a background shell on this host, in a session of its own. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "endpoint/providers/provider.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/map.h"

static const struct option_spec options[] = {
    {"cmd_timeout", OPT_INT, "30"},
    {"move_files", OPT_ANY, NULL},
    {NULL, OPT_ANY, NULL},
};

struct shell {
    struct local *owner;
    pid_t pid;
    struct loop_child *watch;
    char *out, *err, *ec;
    enum job_state state;
    int exit_code;
    bool cancelled;
};

struct local {
    struct provider *p;
    struct map *shells; /* by job id */
};

static void *local_create(struct provider *p)
{
    struct local *own = xcalloc(1, sizeof(*own));
    own->p = p;
    own->shells = map_create();
    return own;
}

static void shell_free(void *arg)
{
    struct shell *s = arg;
    loop_child_forget(s->watch);
    free(s->out);
    free(s->err);
    free(s->ec);
    free(s);
}

static void local_destroy(void *arg)
{
    struct local *own = arg;
    map_destroy(own->shells, shell_free);
    free(own);
}

static void write_code(const struct shell *s, const char *text)
{
    (void)fs_write(s->ec, text, strlen(text), 0600, false, NULL); /* for people only */
}

static void ended_cb(void *arg, pid_t pid, const siginfo_t *si)
{
    struct shell *s = arg;
    struct provider *p = s->owner->p;
    char text[16];
    s->watch = NULL;
    s->exit_code = si->si_code == CLD_EXITED ? si->si_status : 128 + si->si_status;
    s->state = s->cancelled                ? JOB_CANCELLED
               : si->si_code != CLD_EXITED ? JOB_CANCELLED
               : s->exit_code == 0         ? JOB_COMPLETED
                                           : JOB_FAILED;
    snprintf(text, sizeof(text), "%d\n", s->exit_code);
    write_code(s, text);
    kill(-pid, SIGKILL); /* what the script left behind */
    if (p->changed != NULL)
        loop_defer(p->loop, p->changed, p->changed_arg);
}

static void become(const struct shell *s, const char *script)
{
    int null = open("/dev/null", O_RDONLY);
    int out = open(s->out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int err = open(s->err, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    sigset_t none;
    setsid();
    /* A user endpoint that dies takes its local blocks with it. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (null < 0 || out < 0 || err < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        _exit(126);
    close_range(3, ~0U, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    execl("/bin/bash", "bash", script, (char *)NULL);
    _exit(127);
}

static void local_submit(struct provider *p, const char *job_name, const char *script,
                         submitted_f *cb, void *arg)
{
    struct local *own = p->own;
    struct err err = ERR_INIT;
    autofree char *path = xasprintf("%s/%s.sh", p->script_dir, job_name);
    autobuf struct buf text = BUF_INIT;
    buf_fmt(&text, "%s\nexport JOBNAME=%s\n%s", provider_text(p, "worker_init"), job_name, script);
    if (fs_write(path, text.data, text.len, 0700, false, &err) != 0) {
        cb(arg, NULL, err.text);
        return;
    }
    struct shell *s = xcalloc(1, sizeof(*s));
    *s = (struct shell){.owner = own,
                        .out = xasprintf("%s.out", path),
                        .err = xasprintf("%s.err", path),
                        .ec = xasprintf("%s.ec", path),
                        .state = JOB_RUNNING,
                        .exit_code = -1};
    write_code(s, "-\n");
    s->pid = fork();
    if (s->pid == 0)
        become(s, path);
    if (s->pid < 0) {
        autofree char *why = xasprintf("cannot fork: %s", strerror(errno));
        shell_free(s);
        cb(arg, NULL, why);
        return;
    }
    char id[16];
    snprintf(id, sizeof(id), "%d", (int)s->pid);
    s->watch = loop_child_watch(p->loop, s->pid, ended_cb, s);
    map_put(own->shells, id, s);
    cb(arg, id, NULL);
}

static void local_poll(struct provider *p, const char *const *ids, size_t n, polled_f *cb,
                       void *arg)
{
    struct local *own = p->own;
    struct job *jobs = xcalloc(n + 1, sizeof(*jobs));
    for (size_t i = 0; i < n; i++) {
        struct shell *s = map_get(own->shells, ids[i]);
        jobs[i] = s != NULL ? (struct job){.id = ids[i],
                                           .state = s->state,
                                           .exit_code = s->exit_code,
                                           .out = s->out,
                                           .err = s->err}
                            : (struct job){.id = ids[i], .state = JOB_COMPLETED, .exit_code = -1};
    }
    cb(arg, jobs, n);
    free(jobs);
}

static void local_cancel(struct provider *p, const char *const *ids, size_t n)
{
    struct local *own = p->own;
    for (size_t i = 0; i < n; i++) {
        struct shell *s = map_get(own->shells, ids[i]);
        if (s == NULL || s->watch == NULL)
            continue;
        s->cancelled = true;
        kill(-s->pid, SIGTERM);
    }
}

const struct provider_kind provider_local = {
    .type = "LocalProvider",
    .launcher = "SingleNodeLauncher",
    .poll_s = 5,
    .options = options,
    .create = local_create,
    .destroy = local_destroy,
    .submit = local_submit,
    .poll = local_poll,
    .cancel = local_cancel,
};
