/* See unprivileged.h.  What fails is said on standard error, which is the log pipe. */
#include "manager/monitor/unprivileged.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/base/alloc.h"

/* All that the listener may see of our environment. */
static const char *const passed_on[] = {"http_proxy",
                                        "https_proxy",
                                        "no_proxy",
                                        "all_proxy",
                                        "HTTP_PROXY",
                                        "HTTPS_PROXY",
                                        "NO_PROXY",
                                        "ALL_PROXY",
                                        "GLOBUS_SDK_ENVIRONMENT",
                                        "GLOBUS_SDK_VERIFY_SSL",
                                        "GLOBUS_SDK_HTTP_TIMEOUT",
                                        "SSL_CERT_FILE",
                                        "SSL_CERT_DIR",
                                        "CURL_CA_BUNDLE",
                                        "REQUESTS_CA_BUNDLE",
                                        "TZ",
                                        "LANG",
                                        "GLOBUS_COMPUTE_CLIENT_ID",
                                        "GLOBUS_COMPUTE_CLIENT_SECRET"};
static const char url_prefix[] = "GLOBUS_SDK_SERVICE_URL_";

static void die(const char *what)
{
    dprintf(STDERR_FILENO, "<3>%s: %s\n", what, strerror(errno));
    _exit(70);
}

static bool is_passed_on(const char *entry)
{
    size_t n = strcspn(entry, "=");
    if (strncmp(entry, url_prefix, sizeof(url_prefix) - 1) == 0)
        return true;
    for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
        if (strlen(passed_on[i]) == n && strncmp(entry, passed_on[i], n) == 0)
            return true;
    return false;
}

static char **environment(void)
{
    size_t n = 0, used = 0;
    while (environ[n])
        n++;
    char **env = xcalloc(n + 1, sizeof(*env));
    for (size_t i = 0; i < n; i++)
        if (is_passed_on(environ[i]))
            env[used++] = environ[i];
    return env;
}

static void descriptors(const struct unprivileged *u)
{
    int high[4];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        die("/dev/null");
    for (int i = 0; i < 4; i++) {
        high[i] = fcntl(u->fds[i] >= 0 ? u->fds[i] : null, F_DUPFD_CLOEXEC, 16);
        if (high[i] < 0)
            die("descriptors");
    }
    for (int i = 3; i >= 0; i--)
        if (dup2(high[i], i) < 0)
            die("descriptors");
    if (close_range(u->fds[3] >= 0 ? 4 : 3, ~0u, 0) < 0)
        die("close_range");
}

static void drop_user(const struct unprivileged *u)
{
    if (setgroups(0, NULL) < 0)
        die("setgroups");
    if (setresgid(u->gid, u->gid, u->gid) < 0)
        die("setresgid");
    if (setresuid(u->uid, u->uid, u->uid) < 0)
        die("setresuid");
}

/* After the capabilities have gone: a manager without uid 0 has the rest of its rights there. */
static void prove(const struct unprivileged *u, uid_t before)
{
    if (getuid() == u->uid && setresuid(before, before, before) < 0 && setresuid(0, 0, 0) < 0 &&
        setresgid(0, 0, 0) < 0 && setgroups(0, NULL) < 0)
        return;
    errno = EPERM;
    die("privileges came back");
}

/* Everything goes, save CAP_SYS_CHROOT where it is wanted and there. */
static void drop_capabilities(const struct unprivileged *u, bool has_chroot)
{
    capng_clear(CAPNG_SELECT_ALL);
    if (has_chroot &&
        capng_updatev(CAPNG_ADD,
                      CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE | CAPNG_AMBIENT,
                      CAP_SYS_CHROOT, -1) < 0)
        die("capabilities");
    capng_select_t which = CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT;
    if (capng_apply(which) != 0)
        die("capabilities");
}

void unprivileged_exec(const struct unprivileged *u)
{
    sigset_t none;
    char *argv[] = {(char *)(uintptr_t)u->program, NULL};
    char **env = environment();
    uid_t before = getuid();
    bool has_chroot =
        u->keep_chroot && u->change_user && capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_CHROOT);
    sigemptyset(&none);
    descriptors(u);
    if (setsid() < 0 || chdir("/") < 0)
        die("setsid");
    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL); /* some can't be set */
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        die("sigprocmask");
    if (u->change_user) {
        if (has_chroot && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
            die("keepcaps");
        drop_user(u);
    }
    drop_capabilities(u, has_chroot);
    if (u->change_user)
        prove(u, before);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        die("no_new_privs");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) <
        0) /* after the change of user, which clears it */
        die("pdeathsig");
    if (getppid() != u->parent)
        _exit(70); /* it died meanwhile */
    execve(u->program, argv, env);
    die(u->program);
    abort(); /* not reached */
}
