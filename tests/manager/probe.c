/* Stands in for libexec/sallyport/prepare and for the user endpoint.
 *
 * As prepare: reads lines "key=value" from the blob, writes what it sees of itself to `out`, then
 * does `act`.  As `probe endpoint MODE` (after its own exec): behaves like a user endpoint that ...
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/handover/handover.h"

static void write_self(const char *path, char **env)
{
    struct rlimit core;
    gid_t groups[256];
    char line[512], link[512];
    char part[600];
    snprintf(part, sizeof(part), "%s.part", path);
    FILE *f = fopen(part, "we");
    if (!f)
        handover_fail(77, "probe: no output", strerror(errno));
    uid_t r, e, s;
    gid_t gr, ge, gs;
    getresuid(&r, &e, &s);
    getresgid(&gr, &ge, &gs);
    fprintf(f, "uid %u %u %u\ngid %u %u %u\ngroups", r, e, s, gr, ge, gs);
    int n = getgroups(256, groups);
    for (int i = 0; i < n; i++)
        fprintf(f, " %u", groups[i]);
    fprintf(f, "\npid %d\nppid %d\nsid %d\npgid %d\n", getpid(), getppid(), getsid(0), getpgid(0));
    mode_t mask = umask(077);
    umask(mask);
    fprintf(f, "umask %o\ncwd %s\n", mask, getcwd(line, sizeof(line)));
    getrlimit(RLIMIT_CORE, &core);
    fprintf(f, "core %lld\n", (long long)core.rlim_cur);
    for (char **p = env; *p; p++)
        fprintf(f, "env %s\n", *p);
    FILE *status = fopen("/proc/self/status", "re");
    while (fgets(line, sizeof(line), status))
        if (strncmp(line, "Cap", 3) == 0 || strncmp(line, "Sig", 3) == 0 ||
            strncmp(line, "NoNewPrivs", 10) == 0 || strncmp(line, "Seccomp:", 8) == 0)
            fprintf(f, "status %s", line);
    fclose(status);
    for (int fd = 0; fd < 4096; fd++) {
        snprintf(line, sizeof(line), "/proc/self/fd/%d", fd);
        ssize_t len = readlink(line, link, sizeof(link) - 1);
        int flags = fcntl(fd, F_GETFL);
        if (len < 0 || fd == fileno(f))
            continue;
        link[len] = '\0';
        fprintf(f, "fd %d %s %d\n", fd, link, flags & O_ACCMODE);
    }
    fclose(f);
    if (rename(part, path) != 0)
        handover_fail(77, "probe: no output", strerror(errno));
}

static void on_term(int signo)
{
    _exit(0);
}

static int endpoint(const char *mode)
{
    if (strncmp(mode, "exit", 4) == 0)
        return atoi(mode + 4);
    if (strncmp(mode, "signal", 6) == 0)
        raise(atoi(mode + 6));
    if (strcmp(mode, "stubborn") == 0) {
        signal(SIGTERM, SIG_IGN);
    } else if (strcmp(mode, "family") == 0) {
        /* A member of the group that outlives its leader. */
        if (fork() == 0) {
            signal(SIGTERM, SIG_IGN);
            for (;;)
                pause();
        }
        signal(SIGTERM, on_term);
    } else {
        signal(SIGTERM, on_term);
    }
    for (;;)
        pause();
}

static char *value(char *blob, const char *key)
{
    size_t n = strlen(key);
    for (char *p = blob; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
        if (strncmp(p, key, n) == 0 && p[n] == '=')
            return strndup(p + n + 1, strcspn(p + n + 1, "\n"));
    return "";
}

int main(int argc, char **argv, char **env)
{
    if (argc == 3 && strcmp(argv[1], "endpoint") == 0)
        return endpoint(argv[2]);
    static char blob[65536];
    ssize_t n = pread(HANDOVER_BLOB, blob, sizeof(blob) - 1, 0);
    if (n < 0)
        handover_fail(77, "probe: no blob", strerror(errno));
    char *out = value(blob, "out"), *act = value(blob, "act"), *mode = value(blob, "mode");
    if (*out)
        write_self(out, env);
    if (strcmp(act, "fail") == 0)
        handover_fail(atoi(mode), "(ValidationError) the user's text", "the administrator's\ntext");
    if (strcmp(act, "exit") == 0)
        _exit(atoi(mode));
    if (strcmp(act, "signal") == 0)
        raise(atoi(mode));
    if (strcmp(act, "nonsense") == 0) {
        if (write(HANDOVER_STATUS, "nonsense", 8) != 8)
            _exit(1);
        pause();
    }
    if (strcmp(act, "hang") == 0)
        pause();
    if (strcmp(act, "talk") == 0)
        for (int i = 0; i < 5000; i++)
            dprintf(2, "line %d \033[31m\n", i);
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[len > 0 ? len : 0] = '\0';
    strcpy(strrchr(self, '/') + 1, "endpoint-double"); /* by its name the exec is known */
    int null = open("/dev/null", O_RDWR);
    dup2(null, 1);
    dup2(null, 2);
    close(null);
    fcntl(HANDOVER_STATUS, F_SETFD, FD_CLOEXEC);
    close(HANDOVER_BLOB);
    execl(self, self, "endpoint", *mode ? mode : "sleep", (char *)NULL);
    handover_fail(87, "probe: exec", strerror(errno));
}
