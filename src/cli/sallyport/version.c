/* version */
#include <stdio.h>

#include "cli/sallyport/commands.h"
#include "lib/config/config.h"

int cmd_version(const struct args *a)
{
    (void)a;
    printf("sallyport %s (compatible with Globus Compute %s)\n", SALLYPORT_VERSION,
           COMPUTE_VERSION);
    return 0;
}
