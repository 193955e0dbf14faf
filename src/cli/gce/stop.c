/* stop and restart: by the PID file, on this host or on another that shares the directory.
 *
 * The manager needs up to 20 s to wind its user endpoints down, so we wait 40 (the original gives
 * up after 10).  On another host there is nobody to signal: removing the PID file is the request,
 * and the owner notices it within 15 s. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cli/gce/commands.h"
#include "cli/gce/epdir.h"
#include "cli/gce/remote.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/pidfile.h"

#define WAIT_MS 40000
#define TIMED_OUT 255

static pid_t read_pid(const char *path)
{
    autobuf struct buf text = BUF_INIT;
    if (fs_read(path, 64, &text, NULL) < 0 || !text.data)
        return 0;
    char *end;
    long pid = strtol(text.data, &end, 10);
    return end != text.data && pid > 1 ? (pid_t)pid : 0;
}

/* The host that owns the PID file, or "" when nothing says so. */
static void owner_host(const char *epdir, char *out, size_t size)
{
    autobuf struct buf text = BUF_INIT;
    autofree char *path = xasprintf("%s/.daemon.pid.lock", epdir);
    out[0] = '\0';
    if (fs_read(path, 512, &text, NULL) == 0 && text.data)
        snprintf(out, size, "%.*s", (int)strcspn(text.data, "\n"), text.data);
}

static void nap(unsigned ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&ts, NULL);
}

/* 0 = gone, -1 = still there after WAIT_MS. */
static int wait_gone(pid_t pid, int pidfd)
{
    if (pidfd >= 0) {
        struct pollfd p = {.fd = pidfd, .events = POLLIN};
        return poll(&p, 1, WAIT_MS) > 0 ? 0 : -1;
    }
    for (int ms = 0; ms < WAIT_MS; ms += 100, nap(100))
        if (kill(pid, 0) < 0 && errno == ESRCH)
            return 0;
    return -1;
}

static int timed_out(const char *name)
{
    log_warning("Encountered timeout attempting to stop endpoint %s", name);
    return TIMED_OUT;
}

/* The manager runs elsewhere: ask it by taking the PID file away. */
static int stop_elsewhere(const char *epdir, const char *pid_path, const char *host)
{
    autofree char *lock = xasprintf("%s/.daemon.pid.lock", epdir);
    log_info("Endpoint <%s> runs on host %s; asking it to stop", epdir_name(epdir), host);
    if (unlink(pid_path) < 0 && errno != ENOENT)
        return fail("cannot remove %s: %s", pid_path, strerror(errno));
    for (int ms = 0; ms < WAIT_MS; ms += 250, nap(250))
        if (access(lock, F_OK) != 0)
            return 0;
    return timed_out(epdir_name(epdir));
}

/* SIGUSR1 is the manager's word for "leave the user endpoints to the next one". */
static int stop_here(const char *epdir, const char *pid_path, bool keep_children)
{
    int signo = keep_children ? SIGUSR1 : SIGTERM;
    pid_t pid = read_pid(pid_path);
    if (!pid)
        return fail("%s holds no process id; remove it if the endpoint is not running", pid_path);
    autoclose int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (kill(pid, signo) < 0 && errno != ESRCH)
        return fail("cannot stop process %d of endpoint %s: %s", (int)pid, epdir_name(epdir),
                    strerror(errno));
    if (wait_gone(pid, pidfd) < 0)
        return timed_out(epdir_name(epdir));
    if (unlink(pid_path) == 0)
        log_warning("Endpoint <%s> did not gracefully shutdown", epdir_name(epdir));
    return 0;
}

int stop_manager(const char *epdir, bool keep_children, bool *was_active)
{
    struct err err = ERR_INIT;
    char here[256] = "", owner[256];
    autofree char *pid_path = xasprintf("%s/daemon.pid", epdir);
    *was_active = false;
    if (access(pid_path, F_OK) != 0) {
        log_info("Endpoint not active.");
        return 0;
    }
    if (pidfile_check(pid_path, EPDIR_FRESH_S, &err) == 0) {
        unlink(pid_path);
        log_info("Endpoint <%s> has been cleaned up.", epdir_name(epdir));
        return 0;
    }
    *was_active = true;
    gethostname(here, sizeof(here) - 1);
    owner_host(epdir, owner, sizeof(owner));
    bool elsewhere = owner[0] && strcmp(owner, here) != 0;
    if (elsewhere && keep_children)
        return fail("Endpoint <%s> runs on host %s; user endpoints can be kept on their own host "
                    "only",
                    epdir_name(epdir), owner);
    int rc = elsewhere ? stop_elsewhere(epdir, pid_path, owner)
                       : stop_here(epdir, pid_path, keep_children);
    if (rc == 0)
        log_info("Endpoint <%s> is now stopped", epdir_name(epdir));
    return rc;
}

static int lock_remotely(const char *epdir, const struct config *c)
{
    struct err err = ERR_INIT;
    struct remote_result r;
    autofree char *id = epdir_id(epdir, &err);
    if (!id)
        return fail("Endpoint <%s> could not be located", epdir_name(epdir));
    remote_call(c, "lock", id, NULL, &r);
    int rc = r.ok ? 0 : remote_fail(&r);
    remote_free(&r);
    return rc;
}

static int stop(const struct args *a, const char *epdir, bool remotely)
{
    bool was_active;
    struct err err = ERR_INIT;
    autobuf struct buf report = BUF_INIT;
    struct config *c = config_load(epdir, &report, &err);
    if (!c)
        return fail("%s", report.len ? report.data : err.text);
    int rc = remotely ? lock_remotely(epdir, c) : 0;
    config_free(c);
    return rc ? rc : stop_manager(epdir, args_has(a, "--keep-children"), &was_active);
}

int cmd_stop(const struct args *a)
{
    struct err err = ERR_INIT;
    autofree char *epdir = epdir_find(args_name(a), &err);
    return epdir ? stop(a, epdir, args_has(a, "--remote")) : fail("%s", err.text);
}

int cmd_restart(const struct args *a)
{
    struct err err = ERR_INIT;
    autofree char *epdir = epdir_find(args_name(a), &err);
    if (!epdir)
        return fail("%s", err.text);
    int rc = stop(a, epdir, false);
    return rc ? rc : start_manager(a, epdir);
}
