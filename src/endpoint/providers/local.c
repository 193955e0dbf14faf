/* LocalProvider: a block is a background shell on this host, in a session of its own.  It tells of
 * its end by itself; questions are answered from memory. */
#include <ctype.h>
#include <dirent.h>
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
#include "lib/base/descriptors.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/map.h"

#define TERM_US LOOP_S(5) /* from SIGTERM to SIGKILL */

static const struct option_spec options[] = {
    {"cmd_timeout", OPT_INT, "30"},
    {"move_files", OPT_ANY, NULL}, /* of older releases; no effect */
    {NULL, OPT_ANY, NULL},
};

struct shell {
    struct local *owner;
    pid_t pid;
    struct loop_child *watch;
    char *ec;
    enum job_state state;
    int exit_code;
    bool cancelled;
    const char *note;
};

/* Some shells that were told to end, and who wants to know when they have. */
struct wait {
    struct wait *next;
    struct local *owner;
    struct shell **shells;
    size_t n;
    struct loop_timer *timer;
    cancelled_f *cb;
    void *arg;
};

struct local {
    struct provider *p;
    struct map *shells; /* by job id */
    struct wait *waits;
    struct loop_timer *tell; /* something has ended */
};

static void tell_cb(void *arg)
{
    struct local *own = arg;
    if (own->p->changed != NULL)
        own->p->changed(own->p->changed_arg);
}

static void *local_create(struct provider *p)
{
    struct local *own = xcalloc(1, sizeof(*own));
    own->p = p;
    own->shells = map_create();
    own->tell = loop_timer_create(p->loop, tell_cb, own);
    return own;
}

static void shell_free(void *arg)
{
    struct shell *s = arg;
    loop_child_forget(s->watch);
    free(s->ec);
    free(s);
}

static void wait_free(struct wait *w)
{
    for (struct wait **at = &w->owner->waits; *at != NULL; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            break;
        }
    loop_timer_destroy(w->timer);
    free(w->shells);
    free(w);
}

static void local_destroy(struct provider *p)
{
    struct local *own = p->own;
    while (own->waits != NULL)
        wait_free(own->waits);
    loop_timer_destroy(own->tell);
    map_destroy(own->shells, shell_free);
    free(own);
}

/* ---- the end of a shell ---------------------------------------------------------------------- */

static void write_code(const struct shell *s, const char *text)
{
    (void)fs_write(s->ec, text, strlen(text), 0600, false, NULL); /* for people only */
}

static bool all_ended(const struct wait *w)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->shells[i]->watch != NULL)
            return false;
    return true;
}

static void tell_waiting(struct local *own)
{
    for (struct wait *w = own->waits, *next; w != NULL; w = next) {
        next = w->next;
        if (!all_ended(w))
            continue;
        cancelled_f *cb = w->cb;
        void *arg = w->arg;
        wait_free(w);
        cb(arg, true);
    }
}

/* The session of a process, 0 when it is gone. */
static pid_t session_of(const char *pid)
{
    char path[64];
    int session = 0;
    autobuf struct buf stat = BUF_INIT;
    snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    if (fs_read(path, 4096, &stat, NULL) != 0 || stat.data == NULL)
        return 0;
    const char *rest = strrchr(stat.data, ')'); /* behind the name, which may hold anything */
    if (rest == NULL || sscanf(rest + 1, " %*c %*d %*d %d", &session) != 1)
        return 0;
    return session;
}

/* Launchers give what they start process groups of its own; the session holds them all. */
static void end_session(pid_t session)
{
    DIR *proc = opendir("/proc");
    const struct dirent *e;
    kill(-session, SIGKILL);
    while (proc != NULL && (e = readdir(proc)) != NULL)
        if (isdigit((unsigned char)e->d_name[0]) && session_of(e->d_name) == session)
            kill((pid_t)strtol(e->d_name, NULL, 10), SIGKILL);
    if (proc != NULL)
        closedir(proc);
}

static void ended_cb(void *arg, pid_t pid, const siginfo_t *si)
{
    struct shell *s = arg;
    char text[16];
    bool exited = si->si_code == CLD_EXITED;
    s->watch = NULL;
    s->exit_code = exited ? si->si_status : 128 + si->si_status;
    s->state = s->cancelled || !exited ? JOB_CANCELLED
               : s->exit_code == 0     ? JOB_COMPLETED
                                       : JOB_FAILED;
    if (!exited && !s->cancelled)
        s->note = "Killed";
    snprintf(text, sizeof(text), "%d\n", s->exit_code);
    write_code(s, text);
    end_session(pid); /* what the script left behind */
    loop_timer_set(s->owner->tell, 0, 0);
    tell_waiting(s->owner);
}

/* ---- the begin ------------------------------------------------------------------------------- */

static void become(const char *script)
{
    char out_path[4096], err_path[4096];
    snprintf(out_path, sizeof(out_path), "%s.out", script);
    snprintf(err_path, sizeof(err_path), "%s.err", script);
    int null = open("/dev/null", O_RDONLY);
    int out = open(out_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int err = open(err_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    sigset_t none;
    setsid();
    /* A user endpoint that dies takes its local blocks with it. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (null < 0 || out < 0 || err < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        _exit(126);
    close_range(3, ~0U, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    descriptors_restore();
    for (int i = 1; i < 32; i++)
        signal(i, SIG_DFL);
    execl("/bin/bash", "bash", script, (char *)NULL);
    _exit(127);
}

static void local_preview(struct provider *p, const char *job_name, const char *script,
                          struct submission_preview *out)
{
    buf_fmt(&out->path, "%s/%s.sh", p->script_dir, job_name);
    buf_fmt(&out->script, "%s\nexport JOBNAME=%s\n%s", provider_text(p, "worker_init"), job_name,
            script);
    buf_fmt(&out->command, "bash %s", out->path.data);
}

static void local_submit(struct provider *p, const char *job_name, const char *script,
                         submitted_f *cb, void *arg)
{
    struct local *own = p->own;
    struct err err = ERR_INIT;
    struct submission_preview files = {.path = BUF_INIT};
    local_preview(p, job_name, script, &files);
    int rc = fs_write(files.path.data, files.script.data, files.script.len, 0700, false, &err);
    autofree char *path = buf_take(&files.path);
    submission_preview_clear(&files);
    if (rc != 0) {
        cb(arg, &(struct submitted){.why = err.text});
        return;
    }
    struct shell *s = xcalloc(1, sizeof(*s));
    *s = (struct shell){
        .owner = own, .ec = xasprintf("%s.ec", path), .state = JOB_RUNNING, .exit_code = -1};
    write_code(s, "-\n");
    s->pid = fork();
    if (s->pid == 0)
        become(path);
    if (s->pid < 0) {
        autofree char *why =
            xasprintf("Cannot launch job %s: cannot fork: %s", job_name, strerror(errno));
        shell_free(s);
        cb(arg, &(struct submitted){.why = why});
        return;
    }
    char id[16];
    snprintf(id, sizeof(id), "%d", (int)s->pid);
    s->watch = loop_child_watch(p->loop, s->pid, ended_cb, s);
    struct shell *old = map_put(own->shells, id, s); /* pids come again */
    if (old != NULL && own->waits == NULL)
        shell_free(old);
    loop_timer_set(own->tell, 0, 0); /* it runs */
    cb(arg, &(struct submitted){.job_id = id});
}

static void local_poll(struct provider *p, const char *const *ids, size_t n, polled_f *cb,
                       void *arg)
{
    struct local *own = p->own;
    struct job *jobs = xcalloc(n + 1, sizeof(*jobs));
    for (size_t i = 0; i < n; i++) {
        struct shell *s = map_get(own->shells, ids[i]);
        jobs[i] = (struct job){.id = ids[i], .state = JOB_COMPLETED, .exit_code = -1};
        if (s == NULL)
            continue;
        jobs[i].state = s->state;
        jobs[i].exit_code = s->exit_code;
        jobs[i].note = s->note;
    }
    cb(arg, jobs, n);
    /* What has ended was told now and is not asked for again. */
    for (size_t i = 0; i < n; i++) {
        struct shell *s = map_get(own->shells, ids[i]);
        if (s != NULL && s->watch == NULL && own->waits == NULL)
            shell_free(map_del(own->shells, ids[i]));
    }
    free(jobs);
}

/* ---- cancelling ------------------------------------------------------------------------------ */

static void kill_cb(void *arg)
{
    struct wait *w = arg;
    for (size_t i = 0; i < w->n; i++)
        if (w->shells[i]->watch != NULL)
            kill(-w->shells[i]->pid, SIGKILL);
}

static void local_cancel(struct provider *p, const char *const *ids, size_t n, cancelled_f *cb,
                         void *arg)
{
    struct local *own = p->own;
    struct wait *w = xcalloc(1, sizeof(*w));
    *w = (struct wait){.next = own->waits,
                       .owner = own,
                       .shells = xcalloc(n + 1, sizeof(struct shell *)),
                       .cb = cb,
                       .arg = arg};
    for (size_t i = 0; i < n; i++) {
        struct shell *s = map_get(own->shells, ids[i]);
        if (s == NULL || s->watch == NULL)
            continue;
        s->cancelled = true;
        kill(-s->pid, SIGTERM);
        w->shells[w->n++] = s;
    }
    own->waits = w;
    w->timer = loop_timer_create(p->loop, kill_cb, w);
    loop_timer_set(w->timer, TERM_US, 0);
    if (w->n == 0) {
        wait_free(w);
        cb(arg, true);
    }
}

/* Processes of ours that carry JOBNAME=<name> in their environment: whatever an earlier process of
 * this endpoint left running.  Their number is not trusted, it may be someone else's by now. */
static bool carries(const char *pid, const char *name)
{
    char path[64];
    autofree char *wanted = xasprintf("JOBNAME=%s", name);
    autobuf struct buf env = BUF_INIT;
    snprintf(path, sizeof(path), "/proc/%.20s/environ", pid);
    if (fs_read(path, 4 << 20, &env, NULL) != 0)
        return false;
    for (size_t at = 0; at < env.len; at += strlen(env.data + at) + 1)
        if (strcmp(env.data + at, wanted) == 0)
            return true;
    return false;
}

static void local_cancel_old(struct provider *p, const struct old_job *jobs, size_t n,
                             cancelled_f *cb, void *arg)
{
    DIR *proc = opendir("/proc");
    const struct dirent *e;
    while (proc != NULL && (e = readdir(proc)) != NULL)
        for (size_t i = 0; i < n && isdigit((unsigned char)e->d_name[0]); i++)
            if (carries(e->d_name, jobs[i].name)) {
                log_warning("pid=%s of job=%s was left behind by an earlier process: killed",
                            e->d_name, jobs[i].name);
                kill((pid_t)strtol(e->d_name, NULL, 10), SIGKILL);
            }
    if (proc != NULL)
        closedir(proc);
    cb(arg, true);
}

static const struct provider_work work = {
    .create = local_create,
    .destroy = local_destroy,
    .preview = local_preview,
    .submit = local_submit,
    .poll = local_poll,
    .cancel = local_cancel,
    .cancel_old = local_cancel_old,
};

const struct provider_kind provider_local = {
    .type = "LocalProvider",
    .launcher = "SingleNodeLauncher",
    .poll_s = 5,
    .options = options,
    .loose = true,
    .script = ".sh",
    .out = ".sh.out",
    .err = ".sh.err",
    .work = &work,
};
