#include "lib/base/descriptors.h"

#include <stdbool.h>
#include <sys/resource.h>

#define ENOUGH 65536

static struct rlimit before;
static bool raised;

int descriptors_raise(void)
{
    struct rlimit l;
    if (raised)
        return 0;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0)
        return -1;
    before = l;
    if (l.rlim_cur >= ENOUGH)
        return 0;
    l.rlim_cur = l.rlim_max < ENOUGH ? l.rlim_max : ENOUGH;
    if (setrlimit(RLIMIT_NOFILE, &l) != 0)
        return -1;
    raised = true;
    return 0;
}

void descriptors_restore(void)
{
    if (raised)
        (void)setrlimit(RLIMIT_NOFILE, &before);
}
