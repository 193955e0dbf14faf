/* version */
#include <stdio.h>

#include "cli/gce/commands.h"
#include "lib/config/config.h"

int cmd_version(const struct args *a)
{
    if (args_has(a, "--json"))
        printf("{\"version\":\"%s\",\"sallyport\":\"%s\"}\n", COMPUTE_VERSION, SALLYPORT_VERSION);
    else
        printf("Globus Compute endpoint version: %s\n", COMPUTE_VERSION);
    return 0;
}
