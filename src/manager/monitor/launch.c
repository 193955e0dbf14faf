/* See launch.h.  Everything here runs in the child; the monitor's memory is a copy, its one thread
 * was the one that forked. */
#include "manager/monitor/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "lib/base/paths.h"
#include "manager/monitor/account.h"

#define GATE HANDOVER_END /* behind the session's descriptors, until the exec */
#define HIGH 32           /* descriptors wait there for their place */

static struct rlimit files_before;

void launch_keep_limits(void)
{
    if (getrlimit(RLIMIT_NOFILE, &files_before) < 0)
        files_before.rlim_cur = 0;
}

void launch_init(struct launch *l)
{
    for (int i = 0; i < HANDOVER_END; i++)
        l->fds[i] = -1;
    l->gate = -1;
}

void launch_close(struct launch *l)
{
    for (int i = 0; i < HANDOVER_END; i++)
        if (l->fds[i] >= 0)
            close(l->fds[i]);
    if (l->gate >= 0)
        close(l->gate);
    launch_init(l);
}

static void fail(const char *what)
{
    char why[256];
    snprintf(why, sizeof(why), "%s: %s", what, strerror(errno));
    handover_fail(70, "(OSError) see your system administrator", why);
}

/* First up and out of the way, then down to their places, then nothing else: in particular not the
 * other end of anybody's gate.  Places without a file hold /dev/null until the exec, so that no
 * library takes them for its own. */
static void place_descriptors(const struct launch *l)
{
    int high[GATE + 1];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i <= GATE; i++) {
        int from = i == GATE ? l->gate : i == STDOUT_FILENO ? l->fds[STDERR_FILENO] : l->fds[i];
        high[i] = fcntl(from >= 0 ? from : null, F_DUPFD_CLOEXEC, HIGH);
        if (high[i] < 0)
            _exit(70); /* the status pipe has no place yet: the monitor sees the exit */
    }
    for (int i = 0; i <= GATE; i++)
        if (dup2(high[i], i) < 0)
            _exit(70);
    if (close_range(GATE + 1, ~0u, 0) < 0)
        fail("close_range");
}

static void look_up(const struct monitor *m, const char *user, struct account *a)
{
    struct account_rules rules = {
        .mapping = m->mapping,
        .own_uid = m->uid,
        .listener_uid = m->listener_uid,
        .force_same_user = m->set.force_same_user,
        .minimum_uid = m->set.minimum_uid,
        .allow_nologin_shells = m->set.allow_nologin_shells,
        .required_group = m->set.required_group,
        .deny_users = m->set.deny_users,
    };
    memcpy(rules.own_name, m->user, sizeof(rules.own_name));
    account_check(&rules, &account_system, user, a);
    if (fs_write_all(HANDOVER_STATUS, a, sizeof(*a)) < 0 || a->code)
        _exit(0);
}

static void wait_at_gate(void)
{
    char go;
    ssize_t n;
    do {
        n = read(GATE, &go, 1);
    } while (n < 0 && errno == EINTR);
    if (n != 1)
        _exit(0); /* we are not wanted, or the monitor died */
}

static void close_empty_places(const struct launch *l)
{
    for (int i = STDERR_FILENO + 1; i < HANDOVER_END; i++)
        if (l->fds[i] < 0)
            close(i);
    if (close_range(HANDOVER_END, ~0u, 0) < 0)
        fail("close_range");
}

static void exec_session(const struct monitor *m, const struct account *a)
{
    char uid[16], gid[16];
    char *none[] = {NULL};
    char *program = paths_libexec("session");
    bool change = a->uid != m->uid || a->gid != m->gid;
    bool pam = m->set.pam_enable && change;
    snprintf(uid, sizeof(uid), "%u", (unsigned)a->uid);
    snprintf(gid, sizeof(gid), "%u", (unsigned)a->gid);
    const char *argv[] = {program,
                          change ? "change-user" : "same-user",
                          pam ? m->set.pam_service_name : "-",
                          m->set.no_new_privs && !pam ? "no-new-privs" : "-",
                          a->user,
                          uid,
                          gid,
                          NULL};
    if (unsetenv("GLOBUS_COMPUTE_CLIENT_SECRET") < 0)
        fail("environment");
    /* A manager that may change users gives its children an environment from nothing. */
    execve(program, (char *const *)argv, m->can_change_user ? none : environ);
    fail(program);
}

void launch_child(const struct monitor *m, const struct launch *l, const char *user)
{
    struct account a;
    place_descriptors(l);
    look_up(m, user, &a);
    wait_at_gate();
    if (files_before.rlim_cur && setrlimit(RLIMIT_NOFILE, &files_before) < 0)
        fail("RLIMIT_NOFILE");
    close_empty_places(l);
    exec_session(m, &a);
    abort();
}
