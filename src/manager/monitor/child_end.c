/* The end of a child: noticed by its pidfd, reaped, written to the log in the original's words. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "lib/base/log.h"
#include "manager/monitor/child.h"
#include "manager/monitor/listener.h"
#include "manager/monitor/stop.h"

static void log_end(const struct child *c, const siginfo_t *si)
{
    if (c->adopted)
        log_warning("Command unknown return code: (%d) [(%s, %s) %s]", (int)c->pid, c->user,
                    c->name, c->command);
    else if (si->si_code != CLD_EXITED)
        log_warning("Command terminated by signal: %d (%d) [(%s, %s) %s]", si->si_status,
                    (int)c->pid, c->user, c->name, c->command);
    else if (si->si_status == 0)
        log_info("Command stopped normally (%d) [(%s, %s) %s]", (int)c->pid, c->user, c->name,
                 c->command);
    else
        log_warning("Command return code: %d (%d) [(%s, %s) %s]", si->si_status, (int)c->pid,
                    c->user, c->name, c->command);
}

/* As waitpid(2) would say it; -1 = unknown. */
static int wait_status(const struct child *c, const siginfo_t *si)
{
    if (c->adopted)
        return -1;
    return si->si_code == CLD_EXITED ? W_EXITCODE(si->si_status, 0) : W_EXITCODE(0, si->si_status);
}

static void tell_exited(struct child *c, const siginfo_t *si)
{
    struct table_message gone = {.type = TABLE_EXITED, .pid = c->pid, .code = wait_status(c, si)};
    memcpy(gone.start.user, c->user, sizeof(c->user));
    memcpy(gone.start.name, c->name, sizeof(c->name));
    listener_tell(c->m->listener, &gone);
}

static void died_young(struct child *c, const siginfo_t *si)
{
    char admin[256];
    if (si->si_code == CLD_EXITED)
        snprintf(admin, sizeof(admin), "the process left with exit code %d before it had begun",
                 si->si_status);
    else
        snprintf(admin, sizeof(admin), "the process was ended by signal %d while it was starting",
                 si->si_status);
    log_error("Unable to start user endpoint process for %s [%s] [request %s]", c->user, admin,
              c->correlation);
    child_answer_failed(c, TABLE_DIED, "The user endpoint died while it was starting", admin);
}

/* Not reaped yet, so its name can still be read: is it that of one of ours, whose next step would
 * have been an exec?  (A library that can't be loaded ends a program without a word.) */
static bool had_its_exec(const struct child *c)
{
    static const char *const ours[] = {"monitor", "session", "prepare"};
    char path[64], name[64] = "";
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)c->pid);
    FILE *f = fopen(path, "re");
    if (f && !fgets(name, sizeof(name), f))
        name[0] = '\0';
    if (f)
        fclose(f);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (strncmp(name, ours[i], strlen(ours[i])) == 0)
            return false;
    return name[0] != '\0';
}

static void ended(struct child *c, const siginfo_t *si, bool had_exec)
{
    child_boot_drain(c);
    if (!c->over && c->state == CHILD_BOOT && si->si_code == CLD_EXITED && had_exec)
        child_booted(c);
    if (c->over) {
        log_debug("pid=%d of a start that failed has left", (int)c->pid);
    } else if (c->state == CHILD_RUNNING) {
        log_end(c, si);
        tell_exited(c, si);
    } else {
        died_young(c, si);
    }
    struct monitor *m = c->m;
    child_free(c);
    if (m->stop)
        stop_child_gone(m->stop);
}

static void pid_cb(void *arg, int fd, uint32_t revents)
{
    struct child *c = arg;
    siginfo_t si = {0};
    bool had_exec = c->state == CHILD_BOOT && had_its_exec(c);
    if (!c->adopted) {
        if (waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid == 0)
            return; /* not yet */
        /* Not reaped yet: the number of its group can't have become another's. */
        if (stop_is_cleaning(c->m->stop) && c->state == CHILD_RUNNING)
            (void)child_signal(c, SIGKILL); /* nobody left there is fine */
        if (waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOHANG) < 0)
            log_error("child %d can't be reaped: %m", (int)c->pid);
    }
    ended(c, &si, had_exec);
}

void child_watch(struct child *c)
{
    c->pid_io = loop_io_create(c->m->loop, c->pidfd, EPOLLIN, pid_cb, c);
}
