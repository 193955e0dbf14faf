/* Stands in for libexec/sallyport/session: makes system calls fail as faults.conf beside it says,
 * then becomes session.real.  Lines: CALL ERRNO [FIRST-ARGUMENT]; ERRNO 0 = the call says that it
 * has worked and does nothing; ERRNO -1 = the call kills the process. */
#include <limits.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int add(scmp_filter_ctx ctx, const char *call, int error, int has_arg, unsigned arg)
{
    int nr = seccomp_syscall_resolve_name(call);
    uint32_t action = error < 0 ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO((unsigned)error);
    if (nr == __NR_SCMP_ERROR)
        return -1;
    return has_arg ? seccomp_rule_add(ctx, action, nr, 1, SCMP_A0(SCMP_CMP_EQ, arg))
                   : seccomp_rule_add(ctx, action, nr, 0);
}

int main(int argc, char **argv, char **env)
{
    char path[PATH_MAX], line[256], call[64];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);
    if (n < 0)
        return 99;
    path[n] = '\0';
    char *slash = strrchr(path, '/') + 1;
    strcpy(slash, "faults.conf");
    FILE *f = fopen(path, "re");
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (!f || !ctx || seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0) < 0)
        return 99;
    while (fgets(line, sizeof(line), f)) {
        int error;
        unsigned arg = 0;
        int got = sscanf(line, "%63s %d %u", call, &error, &arg);
        if (got >= 2 && add(ctx, call, error, got == 3, arg) < 0)
            return 98;
    }
    fclose(f);
    if (seccomp_load(ctx) < 0)
        return 97;
    seccomp_release(ctx);
    strcpy(slash, "session.real");
    execve(path, argv, env);
    return 96;
}
