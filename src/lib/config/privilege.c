/* See privilege.h.  The kernel's own account of the effective set: /proc/self/status. */
#include "lib/config/privilege.h"

#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static uint64_t effective(void)
{
    unsigned long long set = 0;
    char line[256];
    FILE *f = fopen("/proc/self/status", "re");
    if (!f)
        return 0;
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "CapEff: %llx", &set) == 1)
            break;
    fclose(f);
    return set;
}

static bool is_root(void)
{
    struct passwd *pw;
    if (geteuid() == 0 || getuid() == 0)
        return true;
    pw = getpwuid(getuid());
    return pw && strcmp(pw->pw_name, "root") == 0;
}

#define CAP(name) (UINT64_C(1) << (name))

bool privilege_any(void)
{
    /* The original's list is every capability but these three. */
    static const uint64_t harmless = CAP(CAP_IPC_LOCK) | CAP(CAP_LEASE) | CAP(CAP_NET_BROADCAST);
    return is_root() || (effective() & ~harmless) != 0;
}

bool privilege_change_user(void)
{
    static const uint64_t enough = CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) |
                                   CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_FOWNER) | CAP(CAP_FSETID) |
                                   CAP(CAP_SETGID) | CAP(CAP_SETFCAP) | CAP(CAP_SETUID);
    return is_root() || (effective() & enough) != 0;
}
