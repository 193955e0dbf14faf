/* See detach.h. */
#include "manager/monitor/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/log.h"

/* In the caller's process. */
static void wait_for_it(const struct monitor *m, pid_t pid, int fd)
{
    char up;
    int status;
    ssize_t n;
    do {
        n = read(fd, &up, 1);
    } while (n < 0 && errno == EINTR);
    if (n == 1) {
        printf("> Endpoint <%s> starting in detached mode.\n", m->name);
        fflush(stdout);
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            _exit(70);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 70);
}

int detach_begin(struct monitor *m)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    pid_t pid = fork();
    if (pid < 0)
        return -1;
    if (pid > 0) {
        close(fds[1]);
        wait_for_it(m, pid, fds[0]);
    }
    close(fds[0]);
    m->detach_fd = fds[1];
    if (setsid() < 0)
        return -1;
    for (const int *s = (const int[]){SIGTSTP, SIGTTIN, SIGTTOU, 0}; *s; s++)
        if (signal(*s, SIG_IGN) == SIG_ERR)
            return -1;
    return 0;
}

void detach_done(struct monitor *m)
{
    if (m->detach_fd < 0)
        return;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (write(m->detach_fd, "u", 1) != 1)
        log_debug("nobody waits for the detached manager any more");
    close(m->detach_fd);
    m->detach_fd = -1;
    log_console(false, false);
    for (int i = 0; null >= 0 && i <= STDERR_FILENO; i++)
        if (dup2(null, i) < 0)
            log_warning("cannot leave the terminal: %m");
    if (null >= 0)
        close(null);
}
