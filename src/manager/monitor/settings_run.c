/* See settings_run.h.  Blocks, with a deadline: the loop does not run yet. */
#include "manager/monitor/settings_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/paths.h"
#include "manager/monitor/clean.h"
#include "manager/monitor/files.h"
#include "manager/monitor/unprivileged.h"

#define DEADLINE_US (20u * 1000000u)

/* Until the end of the pipe, the deadline, or one byte too many; the number of bytes. */
static size_t read_all(int fd, void *to, size_t size)
{
    uint64_t until = clock_mono_us() + DEADLINE_US;
    size_t used = 0;
    while (used < size) {
        uint64_t now = clock_mono_us();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int rc = now < until ? poll(&p, 1, (int)((until - now) / 1000) + 1) : 0;
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc <= 0)
            break;
        ssize_t n = read(fd, (char *)to + used, size - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    return used;
}

static pid_t start(const struct monitor *m, int config, int out)
{
    autofree char *program = paths_libexec("settings");
    struct unprivileged u = {
        .program = program,
        .change_user = m->can_change_user,
        .parent = getpid(),
        .uid = m->listener_uid,
        .gid = m->listener_gid,
        .fds = {config, out, STDERR_FILENO, -1},
    };
    pid_t pid = fork();
    if (pid == 0)
        unprivileged_exec(&u);
    return pid;
}

static int run(struct monitor *m, int config, struct err *err)
{
    int out[2], status = 0;
    char more;
    if (pipe2(out, O_CLOEXEC) < 0)
        return err_errno(err, "cannot read the configuration");
    pid_t pid = start(m, config, out[1]);
    close(out[1]);
    size_t n = pid < 0 ? 0 : read_all(out[0], &m->set, sizeof(m->set));
    bool exact = n == sizeof(m->set) && read_all(out[0], &more, 1) == 0;
    close(out[0]);
    if (pid < 0)
        return err_errno(err, "cannot start the program that reads the configuration");
    if (!exact)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!exact || !table_settings_are_good(&m->set))
        return err_set(err,
                       "the program that reads the configuration failed (wait status %d); is "
                       "the installation readable for all users?",
                       status);
    return 0;
}

int settings_run(struct monitor *m, struct err *err)
{
    struct err why = ERR_INIT;
    int config = files_open(m, TABLE_CONFIG, &why);
    if (config < 0 && why.code == ENOENT)
        config = open("/dev/null", O_RDONLY | O_CLOEXEC); /* an absent file is an empty one */
    if (config < 0)
        return err_set(err, "%s", why.text);
    int rc = run(m, config, err);
    close(config);
    if (rc < 0 || !m->set.problem[0])
        return rc;
    clean_text(m->set.problem, sizeof(m->set.problem), true);
    return err_set(err, "%s", m->set.problem);
}
