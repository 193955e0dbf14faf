/* See lockup.h. */
#include "manager/listener/lockup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/capability.h>

#include "lib/base/buf.h"
#include "lib/base/log.h"

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED true /* its run time opens files and forks: the list would only break it */
/* The search for leaks traces the process, which a process that can't be looked at doesn't allow.
 */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#else
#define IS_SANITIZED false
#endif

/* ---- the empty root ---- */

/* A directory that has been removed: nothing is in it and nothing can be made in it. */
static int open_void(void)
{
    static const char *const places[] = {"/tmp", "/var/tmp", "/dev/shm", "/run"};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        char path[64];
        snprintf(path, sizeof(path), "%s/listener-XXXXXX", places[i]);
        if (!mkdtemp(path))
            continue;
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        rmdir(path);
        if (fd >= 0)
            return fd;
    }
    return -1;
}

static bool enter(int fd)
{
    return fchdir(fd) == 0 && chroot(".") == 0 && chdir("/") == 0;
}

static const char *empty_root(void)
{
    int fd = open_void();
    const char *how = NULL;
    if (fd < 0)
        return NULL;
    if (enter(fd))
        how = "empty root directory";
    else if (unshare(CLONE_NEWUSER) == 0 && enter(fd))
        how = "empty root directory in a user namespace";
    close(fd);
    return how;
}

/* ---- landlock ---- */

static bool landlock(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return false;
    struct landlock_ruleset_attr all = {.handled_access_fs = (1ull << 13) - 1};
    int fd = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all.handled_access_fs), 0);
    if (fd < 0)
        return false;
    bool ok = syscall(SYS_landlock_restrict_self, fd, 0) == 0;
    close(fd);
    return ok;
}

/* ---- capabilities ---- */

static void drop_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {0};
    for (int cap = 0; cap <= 63; cap++)
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 && errno == EINVAL)
            break;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    syscall(SYS_capset, &head, none);
}

/* ---- system calls ---- */

static const int plain_calls[] = {
    /* sockets and files that are open */
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(close),
    SCMP_SYS(sendto),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(connect),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(shutdown),
    SCMP_SYS(lseek),
    SCMP_SYS(pread64),
    SCMP_SYS(fstat),
    SCMP_SYS(fcntl),
    SCMP_SYS(memfd_create),
    SCMP_SYS(ftruncate),
    /* waiting */
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(eventfd2),
    SCMP_SYS(signalfd4),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(restart_syscall),
    /* time and chance */
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    /* threads, memory, leaving */
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(gettid),
    SCMP_SYS(getpid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

static int allow(scmp_filter_ctx ctx, int call, unsigned n, const struct scmp_arg_cmp *args)
{
    return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, call, n, args);
}

static int add_rules(scmp_filter_ctx ctx)
{
    const uint64_t thread = CLONE_VM | CLONE_THREAD;
    int rc = 0;
    for (size_t i = 0; i < sizeof(plain_calls) / sizeof(plain_calls[0]); i++)
        rc |= allow(ctx, plain_calls[i], 0, NULL);
    /* The network, and nothing else that is a socket. */
    rc |= allow(ctx, SCMP_SYS(socket), 1, &SCMP_A0_32(SCMP_CMP_EQ, AF_INET));
    rc |= allow(ctx, SCMP_SYS(socket), 1, &SCMP_A0_32(SCMP_CMP_EQ, AF_INET6));
    /* Memory is never made executable. */
    rc |= allow(ctx, SCMP_SYS(mmap), 1, &SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    rc |= allow(ctx, SCMP_SYS(mprotect), 1, &SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    /* Threads, not processes.  clone3's flags lie in memory where no filter sees them: libc falls
     * back to clone when it is told that there is none. */
    rc |= allow(ctx, SCMP_SYS(clone), 1, &SCMP_A0_64(SCMP_CMP_MASKED_EQ, thread, thread));
    rc |= seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    rc |= allow(ctx, SCMP_SYS(prctl), 1, &SCMP_A0_32(SCMP_CMP_EQ, PR_SET_NAME));
    rc |= allow(ctx, SCMP_SYS(ioctl), 1, &SCMP_A1_32(SCMP_CMP_EQ, 0x5421 /* FIONBIO */));
    /* abort() of ours is a signal to ourselves. */
    rc |= allow(ctx, SCMP_SYS(tgkill), 1, &SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)getpid()));
    /* What no part of us ever calls ends the process. */
    static const int never[] = {SCMP_SYS(execve),
                                SCMP_SYS(execveat),
                                SCMP_SYS(ptrace),
                                SCMP_SYS(fork),
                                SCMP_SYS(vfork),
                                SCMP_SYS(setns),
                                SCMP_SYS(unshare),
                                SCMP_SYS(mount),
                                SCMP_SYS(bpf),
                                SCMP_SYS(process_vm_readv),
                                SCMP_SYS(process_vm_writev)};
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        rc |= seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, never[i], 0);
    return rc;
}

static bool filter_calls(void)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    bool ok = ctx && add_rules(ctx) == 0 &&
              seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0 && seccomp_load(ctx) == 0;
    if (ctx)
        seccomp_release(ctx);
    return ok;
}

/* ---- all of it ---- */

int lockup(struct err *err)
{
    autobuf struct buf had = BUF_INIT;
    const struct rlimit none = {0};
    tzset(); /* reads /etc/localtime */
    const char *root = empty_root();
    buf_str(&had, root ? root : "NO empty root directory");
    drop_capabilities();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_errno(err, "no_new_privs can't be set");
    setrlimit(RLIMIT_CORE, &none);
    buf_str(&had, landlock() ? ", landlock" : ", no landlock");
    if (IS_SANITIZED)
        buf_str(&had, ", NO system call filter (a build for tests)");
    else
        buf_str(&had, filter_calls() ? ", system calls filtered" : ", NO system call filter");
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (strstr(had.data, "NO "))
        log_warning("The listener is locked up in part: %s", had.data);
    else
        log_info("The listener is locked up: %s", had.data);
    return 0;
}
