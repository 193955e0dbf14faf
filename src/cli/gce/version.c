/* version */
#include <stdio.h>

#include "cli/gce/commands.h"
#include "lib/config/config.h"

int cmd_version(const struct args *a)
{
    (void)a;
    printf("Globus Compute endpoint version: %s\n", COMPUTE_VERSION);
    return 0;
}
