/* The monitor: the part of the manager that is root.
 *
 * It decides and forks.  It holds the table of children, the PID file, the log, the audit log; it
 * opens no network socket, parses no foreign format and never sees a task.  Started by
 * `globus-compute-endpoint start`; see ARCHITECTURE.md and manager/table.h.
 *
 *   settings_run   config.yaml through an unprivileged program
 *   listener       the unprivileged side: broker, web service, identity mapping
 *   child_start    START and REFRESH          launch    in the forked child, up to exec
 *   child_boot     what a new child reports   child_end  what became of it
 *   state, adopt   children outlive a crash   stop      the orderly end
 *   notify         what systemd hears */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/proctitle.h"
#include "lib/config/privilege.h"
#include "manager/monitor/child.h"
#include "manager/monitor/detach.h"
#include "manager/monitor/files.h"
#include "manager/monitor/identity.h"
#include "manager/monitor/launch.h"
#include "manager/monitor/listener.h"
#include "manager/monitor/notify.h"
#include "manager/monitor/options.h"
#include "manager/monitor/settings_run.h"
#include "manager/monitor/state.h"
#include "manager/monitor/stop.h"
#include "manager/monitor/trail.h"
#include "manager/monitor/watch.h"

/* Before anything else of a terminal's user can say: to the log, and to whoever looks. */
static int fail(const struct monitor *m, int code, const char *text)
{
    log_error("%s", text);
    if (!m->opt.console)
        fprintf(stderr, "Error: %s\n", text);
    return code;
}

/* --- what we are and where ------------------------------------------------------------------ */

static int harden(const struct options *o)
{
    struct rlimit files;
    unsigned tokens = (unsigned)o->tokens_fd;
    /* Standard descriptors exist, others don't. */
    for (int fd; (fd = open("/dev/null", O_RDWR)) >= 0;)
        if (fd > STDERR_FILENO) {
            close(fd);
            break;
        }
    if (o->tokens_fd < 0 ? close_range(3, ~0u, 0) < 0
                         : (tokens > 3 && close_range(3, tokens - 1, 0) < 0) ||
                               close_range(tokens + 1, ~0u, 0) < 0)
        return -1;
    if (o->tokens_fd >= 0 && fcntl(o->tokens_fd, F_SETFD, FD_CLOEXEC) < 0)
        return -1;
    launch_keep_limits();
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max; /* several descriptors a child */
        if (setrlimit(RLIMIT_NOFILE, &files) < 0)
            return -1;
    }
    /* Keys and tokens are in our memory: no core file, no debugger of the same user. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return -1;
    umask(077);
    return signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -1 : 0;
}

static int find_dir(struct monitor *m, struct err *err)
{
    char path[PATH_MAX];
    struct stat st;
    if (!realpath(m->opt.dir, path))
        return err_errno(err, "cannot find %s", m->opt.dir);
    if (strlen(path) >= sizeof(m->dir))
        return err_set(err, "%s: the path is too long", path);
    snprintf(m->dir, sizeof(m->dir), "%.*s", TABLE_PATH - 1, path);
    m->name = strrchr(m->dir, '/') + 1;
    if (stat(m->dir, &st) < 0 || !S_ISDIR(st.st_mode))
        return err_set(err, "%s is not a directory", m->dir);
    m->privileged = privilege_any();
    m->can_change_user = privilege_change_user();
    if (m->can_change_user && ((st.st_uid != 0 && st.st_uid != geteuid()) || st.st_mode & S_IWOTH))
        return err_set(err, "%s must belong to root, and others must not write there", m->dir);
    return 0;
}

static int find_self(struct monitor *m, struct err *err)
{
    m->uid = geteuid();
    m->gid = getegid();
    const struct passwd *pw = getpwuid(m->uid);
    if (!pw || strlen(pw->pw_name) >= sizeof(m->user))
        return err_set(err, "uid %u has no account, or a name that is too long", (unsigned)m->uid);
    snprintf(m->user, sizeof(m->user), "%s", pw->pw_name);
    return 0;
}

static int find_listener_account(struct monitor *m, struct err *err)
{
    const char *name = m->set.listener_user[0] ? m->set.listener_user : "nobody";
    m->listener_uid = m->uid;
    m->listener_gid = m->gid;
    if (!m->can_change_user)
        return 0;
    const struct passwd *pw = getpwnam(name);
    if (!pw)
        return err_set(err, "sallyport.listener_user: there is no account '%s'", name);
    if (pw->pw_uid == 0 || pw->pw_gid == 0)
        return err_set(err,
                       "sallyport.listener_user: '%s' is privileged; use an account without "
                       "rights",
                       name);
    m->listener_uid = pw->pw_uid;
    m->listener_gid = pw->pw_gid;
    return 0;
}

/* Is standard error the journal's own socket?  Then it gets the lines with their priorities. */
static bool is_journal(void)
{
    struct stat st;
    unsigned long long dev, ino;
    const char *stream = getenv("JOURNAL_STREAM");
    return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

static int open_log(struct monitor *m, struct err *err)
{
    autofree char *path = xasprintf("%s/endpoint.log", m->dir);
    bool colour = m->opt.debug && !m->opt.no_color && isatty(STDERR_FILENO);
    log_init("MainProcess", m->opt.debug ? LOG_L_DEBUG : LOG_L_INFO);
    log_console(m->opt.console || is_journal(), colour);
    log_journal(is_journal());
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0)
        return err_errno(err, "cannot open %s", path);
    log_file(fd, path);
    return 0;
}

/* --- checks before anything starts (spec: endpoint-manager.md 2) ----------------------------- */

static int check_style(struct monitor *m)
{
    const struct table_settings *s = &m->set;
    if (s->has_mapping && !m->can_change_user)
        log_warning("`identity_mapping_config_path` specified, but process is not privileged; user "
                    "endpoints run as %s (ignored) '%s'",
                    m->user, s->mapping_path);
    m->mapping = s->has_mapping && m->can_change_user;
    if (m->can_change_user && !s->has_mapping && s->seed_style)
        return fail(m, EX_OSFILE,
                    "No identity mapping file specified; please specify "
                    "identity_mapping_config_path");
    if (m->can_change_user && !s->has_mapping)
        log_warning("No identity mapping is configured: user endpoints of the registering identity "
                    "run as %s with all the rights of this process",
                    m->user);
    if (s->force_same_user)
        log_warning("`force_mu_allow_same_user` is set: a very dangerous override; user endpoints "
                    "may run as the account of the manager");
    return 0;
}

static unsigned fresh_s(const struct monitor *m)
{
    return (unsigned)(3 * m->set.heartbeat_period_s);
}

static int check_pidfile(struct monitor *m)
{
    struct err err = ERR_INIT;
    autofree char *path = xasprintf("%s/daemon.pid", m->dir);
    int rc = pidfile_check(path, fresh_s(m), &err);
    return rc == 0 ? 0 : fail(m, rc == 1 ? EX_CANTCREAT : 1, err.text);
}

static int set_up(struct monitor *m)
{
    struct err err = ERR_INIT;
    if (find_self(m, &err) < 0 || find_dir(m, &err) < 0) {
        fprintf(stderr, "Error: %s\n", err.text);
        return 1;
    }
    if (open_log(m, &err) < 0 || find_listener_account(m, &err) < 0 || settings_run(m, &err) < 0 ||
        find_listener_account(m, &err) < 0 || identity_load(m, &err) < 0 || trail_open(m, &err) < 0)
        return fail(m, 1, err.text);
    if (m->set.debug)
        log_level_set(LOG_L_DEBUG);
    if (m->set.seed_style)
        log_info("Endpoint Manager initialization");
    else
        log_debug("Core Endpoint initialization");
    int rc = check_style(m);
    return rc ? rc : check_pidfile(m);
}

/* --- life ----------------------------------------------------------------------------------- */

void monitor_stop(struct monitor *m, int code)
{
    if (m->stop)
        return;
    notify_stopping(m->notify);
    identity_stopping(m);
    watch_destroy(m->watch);
    m->watch = NULL;
    stop_begin(m, code);
}

static void terminate_cb(void *arg)
{
    monitor_stop(arg, 0);
}

static void leave_children_cb(void *arg)
{
    struct monitor *m = arg;
    if (m->stop)
        return;
    log_info("Stopping; the user endpoints go on and wait for the next manager (%u)",
             m->children->count);
    m->keep_children = true;
    monitor_stop(m, 0);
}

static void hangup_cb(void *arg)
{
    struct monitor *m = arg;
    if (log_reopen() < 0)
        log_error("cannot open the log anew: %m");
    trail_reopen(m->trail);
    for (enum table_file f = TABLE_CONFIG; f < TABLE_TOKENS; f++)
        listener_send_file(m->listener, f);
}

static void mapping_changed_cb(void *arg)
{
    struct monitor *m = arg;
    char path[TABLE_PATH];
    files_path(m, TABLE_MAPPING, path);
    log_info("Identity mapping configuration change detected; rereading: %s", path);
    listener_send_file(m->listener, TABLE_MAPPING);
}

static void watch_mapping(struct monitor *m)
{
    char path[TABLE_PATH];
    files_path(m, TABLE_MAPPING, path);
    if (m->mapping && path[0])
        m->watch = watch_create(m->loop, path, mapping_changed_cb, m);
}

/* The PID file says which of several managers may have the children. */
static int take_over(struct monitor *m, struct err *err)
{
    autofree char *path = xasprintf("%s/daemon.pid", m->dir);
    umask(m->opt.detach ? 022 : 077);
    m->pidfile = pidfile_take(path, fresh_s(m), 0644, err);
    umask(077);
    if (!m->pidfile)
        return -1;
    pidfile_watch(m->pidfile, m->loop, terminate_cb, m);
    return 0;
}

static int begin(struct monitor *m, const char *endpoint_id, struct err *err)
{
    memcpy(m->endpoint_id, endpoint_id, UUID_TEXT);
    if (take_over(m, err) < 0) {
        m->endpoint_id[0] = '\0';
        return EX_CANTCREAT;
    }
    if (identity_store(m, err) < 0 || trail_begin(m->trail, err) < 0)
        return 1;
    identity_begins(m);
    m->children->state = state_open(m, err);
    if (!m->children->state)
        log_warning("%s: the next manager could not adopt the user endpoints", err->text);
    watch_mapping(m);
    notify_ready(m->notify);
    detach_done(m);
    return 0;
}

void monitor_registered(struct monitor *m, const char *endpoint_id)
{
    struct err err = ERR_INIT;
    char text[256];
    if (m->stop)
        return;
    if (m->endpoint_id[0] && strcmp(m->endpoint_id, endpoint_id) == 0)
        return;
    const char *wanted = m->endpoint_id[0] ? m->endpoint_id : m->asked_id;
    if (wanted[0] && strcmp(wanted, endpoint_id) != 0) {
        snprintf(text, sizeof(text),
                 "Unexpected response from server: mismatched endpoint id.\n  Expected: %s\n  "
                 "received: %s",
                 wanted, endpoint_id);
        fail(m, EX_SOFTWARE, text);
        monitor_stop(m, EX_SOFTWARE);
        return;
    }
    int rc = begin(m, endpoint_id, &err);
    if (rc) {
        fail(m, rc, err.text);
        monitor_stop(m, rc);
    }
}

static int live(struct monitor *m)
{
    m->loop = loop_create();
    loop_signal(m->loop, SIGTERM, terminate_cb, m);
    loop_signal(m->loop, SIGINT, terminate_cb, m);
    loop_signal(m->loop, SIGQUIT, terminate_cb, m);
    loop_signal(m->loop, SIGUSR1, leave_children_cb, m);
    loop_signal(m->loop, SIGHUP, hangup_cb, m);
    m->notify = notify_create(m);
    m->children = children_create(m);
    listener_create(m);
    int code = loop_run(m->loop);
    listener_destroy(m->listener);
    m->listener = NULL;
    watch_destroy(m->watch);
    children_destroy(m->children);
    trail_close(m->trail);
    stop_destroy(m->stop);
    notify_destroy(m->notify);
    identity_ends(m);
    pidfile_release(m->pidfile);
    loop_destroy(m->loop);
    return code;
}

int main(int argc, char **argv)
{
    static struct monitor m = {.detach_fd = -1};
    proctitle_init(argc, argv);
    if (options_parse(&m.opt, argc, argv) < 0)
        return EX_USAGE;
    if (harden(&m.opt) < 0) {
        fprintf(stderr, "Error: cannot prepare the manager: %s\n", strerror(errno));
        return EX_OSERR;
    }
    int rc = set_up(&m);
    if (rc)
        return rc;
    if (m.opt.detach && detach_begin(&m) < 0)
        return fail(&m, EX_OSERR, "cannot detach from the terminal");
    if (chdir("/") < 0)
        return fail(&m, EX_OSERR, "cannot change to the root directory");
    return live(&m);
}
