/* See session.h.  The order is the whole point of this file. */
#include "session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/handover/handover.h"

void session_fail(const struct session *s, int code, const char *what)
{
    char admin[512];
    /* "without a user change every code from setsid on is 4 lower" */
    int shown = !s->change_user && code >= SESSION_SETSID ? code - 4 : code;
    if (errno)
        snprintf(admin, sizeof(admin), "(OSError) %s: %s", what, strerror(errno));
    else
        snprintf(admin, sizeof(admin), "(PermissionError) %s", what);
    handover_fail(shown, "(PermissionError) see your system administrator", admin);
}

static void fail_without_errno(const struct session *s, int code, const char *what)
{
    errno = 0;
    session_fail(s, code, what);
}

static unsigned long number(const struct session *s, const char *text)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    /* (uid_t)-1 would mean "leave as it is". */
    if (errno || *end || text[0] < '0' || text[0] > '9' || n >= UINT_MAX)
        fail_without_errno(s, SESSION_SETUP, "bad number among the session's arguments");
    return n;
}

static void arguments(struct session *s, int argc, char **argv)
{
    if (argc != 7 || !argv[4][0])
        fail_without_errno(s, SESSION_SETUP, "the session is started by the monitor alone");
    s->change_user = strcmp(argv[1], "same-user") != 0;
    s->pam_service = strcmp(argv[2], "-") != 0 ? argv[2] : NULL;
    s->no_new_privs = strcmp(argv[3], "no-new-privs") == 0;
    s->user = argv[4];
    s->uid = (uid_t)number(s, argv[5]);
    s->gid = (gid_t)number(s, argv[6]);
    s->old_uid = getuid();
    s->old_gid = getgid();
    if (s->change_user && s->uid == 0)
        fail_without_errno(s, SESSION_SETUP, "nobody becomes root here");
    if (!s->change_user && (s->uid != s->old_uid || s->gid != s->old_gid))
        fail_without_errno(s, SESSION_SETUP, "the same user was asked for, but it is another");
}

static void signals(const struct session *s)
{
    sigset_t none;
    for (int i = 1; i < NSIG; i++)
        if (signal(i, SIG_DFL) == SIG_ERR && errno != EINVAL)
            session_fail(s, SESSION_SETUP, "signals");
    if (sigemptyset(&none) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        session_fail(s, SESSION_SETUP, "signal mask");
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* What must be there is there, nothing else is; a place without a file holds /dev/null for now, so
 * that no PAM module gets it.  The places to close again, as bits. */
static unsigned descriptors(const struct session *s)
{
    unsigned empty = 0;
    if (!is_open(HANDOVER_STATUS))
        _exit(SESSION_SETUP); /* nobody could read why */
    if (close_range(HANDOVER_END, ~0u, 0) < 0)
        session_fail(s, SESSION_SETUP, "close_range");
    if (!is_open(HANDOVER_CREDENTIALS) || !is_open(HANDOVER_BLOB) || !is_open(HANDOVER_TEMPLATE))
        fail_without_errno(s, SESSION_SETUP, "a descriptor of the start request is missing");
    for (int i = 0; i < HANDOVER_END; i++) {
        if (is_open(i))
            continue;
        if (open("/dev/null", O_RDWR) != i) /* it takes the lowest */
            session_fail(s, SESSION_SETUP, "/dev/null");
        empty |= i > STDERR_FILENO ? 1u << i : 0;
    }
    return empty;
}

static void close_all_but(const struct session *s, unsigned empty)
{
    for (int i = 0; i < HANDOVER_END; i++)
        if (empty & (1u << i) && close(i) < 0)
            session_fail(s, SESSION_SETUP, "close");
    if (close_range(HANDOVER_END, ~0u, 0) < 0)
        session_fail(s, SESSION_SETUP, "close_range");
}

static void limits(const struct session *s)
{
    struct rlimit core;
    /* Credentials are in the memory of what comes next: no core files unless the user asks. */
    if (getrlimit(RLIMIT_CORE, &core) < 0)
        session_fail(s, SESSION_SETUP, "core limit");
    core.rlim_cur = 0;
    if (setrlimit(RLIMIT_CORE, &core) < 0)
        session_fail(s, SESSION_SETUP, "core limit");
    if (chdir("/") < 0)
        session_fail(s, SESSION_SETUP, "chdir /");
}

/* `prepare` beside this program. */
static void exec_prepare(const struct session *s)
{
    static const char name[] = "prepare";
    char path[PATH_MAX];
    char *none[] = {NULL};
    char **env = s->change_user ? none : environ;
    char *argv[] = {path, NULL};
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (n <= 0)
        session_fail(s, SESSION_EXEC, "/proc/self/exe");
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash || (size_t)(slash + 1 - path) + sizeof(name) > sizeof(path))
        fail_without_errno(s, SESSION_EXEC, "the path of the installation is too long");
    memcpy(slash + 1, name, sizeof(name));
    if (s->change_user && s->pam_service)
        env = pam_environment(s);
    execve(path, argv, env);
    int saved = errno;
    char what[PATH_MAX + 64];
    snprintf(what, sizeof(what), "%s can't be run as %s (is the installation readable for all?)",
             path, s->user);
    errno = saved;
    session_fail(s, SESSION_EXEC, what);
}

static void become_user(const struct session *s)
{
    if (s->pam_service) {
        pam_begin(s);
        keeper_start(s);
    }
    if (s->no_new_privs)
        caps_drop_bounding(s);
    identity_drop(s);
    caps_drop(s);
    identity_prove(s);
    caps_prove(s);
    if (s->no_new_privs &&
        (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1))
        session_fail(s, SESSION_RIGHTS, "no_new_privs");
}

int main(int argc, char **argv)
{
    static struct session s = {.change_user = true};
    arguments(&s, argc, argv);
    if (setsid() < 0)
        session_fail(&s, SESSION_SETSID, "setsid");
    if (getsid(0) != getpid() || getpgid(0) != getpid())
        fail_without_errno(&s, SESSION_SETSID, "no session of its own although the system said so");
    signals(&s);
    unsigned empty = descriptors(&s);
    limits(&s);
    if (s.change_user)
        become_user(&s);
    umask(077);
    if (umask(077) != 077)
        fail_without_errno(&s, SESSION_UMASK, "umask");
    close_all_but(&s, empty);
    exec_prepare(&s);
}
