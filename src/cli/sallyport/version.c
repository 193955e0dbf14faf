/* version */
#include <stdio.h>

#include "cli/sallyport/commands.h"
#include "lib/cli/show.h"
#include "lib/config/config.h"

int cmd_version(const struct args *a)
{
    if (args_has(a, "--json")) {
        autojson struct json_object *o = json_object_new_object();
        json_add_str(o, "sallyport", SALLYPORT_VERSION);
        json_add_str(o, "version", COMPUTE_VERSION);
        show_json(o);
        return 0;
    }
    printf("sallyport %s (compatible with Globus Compute %s)\n", SALLYPORT_VERSION,
           COMPUTE_VERSION);
    return 0;
}
