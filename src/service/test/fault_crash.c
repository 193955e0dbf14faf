/* fault_point() that kills: SALLYPORT_TEST_CRASH=LABEL:N ends the process at the n-th time. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "service/fault.h"

void fault_point(const char *label)
{
    static unsigned long reached;
    const char *wanted = getenv("SALLYPORT_TEST_CRASH");
    size_t n = strlen(label);
    if (!wanted || strncmp(wanted, label, n) != 0 || wanted[n] != ':')
        return;
    if (++reached == strtoul(wanted + n + 1, NULL, 10))
        raise(SIGKILL);
}
