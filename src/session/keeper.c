/* The keeper: root, in a session of its own, does nothing but wait for the end of the process that
 * becomes the user endpoint, and then closes its PAM session.
 *
 * It hangs beside that process rather than above it: the user endpoint stays the monitor's own
 * child, with its number, its exit status and its parent as without PAM, and a monitor that dies
 * takes neither of them along.  Forked twice, so that it is no child that the user endpoint would
 * have to reap. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/handover/handover.h"
#include "session/session.h"

/* Nothing of the user endpoint's is held open: neither its pipes nor its memory files. */
static int let_go(int keep)
{
    int null = open("/dev/null", O_RDWR);
    if (null < 0)
        return -1;
    for (int i = 0; i < HANDOVER_END; i++)
        if (i != keep && dup2(null, i) < 0)
            return -1;
    return 0;
}

static void keep(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int rc;
    do {
        rc = poll(&p, 1, -1);
    } while (rc < 0 && errno == EINTR);
    pam_finish();
    _exit(0);
}

/* In the middle process: 0 when the keeper runs. */
static void fork_keeper(int pidfd)
{
    sigset_t all;
    if (setsid() < 0 || sigfillset(&all) < 0 || sigprocmask(SIG_SETMASK, &all, NULL) < 0 ||
        let_go(pidfd) < 0)
        _exit(1);
    pid_t pid = fork();
    if (pid < 0)
        _exit(1);
    if (pid > 0)
        _exit(0);
    keep(pidfd);
}

static void give_up(const struct session *s, const char *what)
{
    int saved = errno;
    pam_finish();
    errno = saved;
    session_fail(s, SESSION_PAM, what);
}

void keeper_start(const struct session *s)
{
    int status = 0;
    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0); /* close-on-exec by nature */
    if (pidfd < 0)
        give_up(s, "pidfd_open");
    pid_t pid = fork();
    if (pid < 0)
        give_up(s, "fork of the PAM session's keeper");
    if (pid == 0)
        fork_keeper(pidfd);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            give_up(s, "the PAM session's keeper");
    errno = 0;
    if (status != 0)
        give_up(s, "the PAM session's keeper could not be started");
    if (close(pidfd) < 0)
        session_fail(s, SESSION_PAM, "close");
}
