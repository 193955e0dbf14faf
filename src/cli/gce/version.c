/* version */
#include <stdio.h>

#include "cli/gce/commands.h"
#include "lib/cli/show.h"
#include "lib/config/config.h"

static int as_json(void)
{
    autojson struct json_object *o = json_object_new_object();
    json_add_str(o, "version", COMPUTE_VERSION);
    json_add_str(o, "sallyport", SALLYPORT_VERSION);
    show_json(o);
    return 0;
}

int cmd_version(const struct args *a)
{
    if (args_has(a, "--json"))
        return as_json();
    printf("Globus Compute endpoint version: %s\n", COMPUTE_VERSION);
    return 0;
}
