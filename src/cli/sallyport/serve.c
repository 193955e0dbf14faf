/* serve and broker: hand their options to libexec/sallyport/service, which takes this process over.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/sallyport/commands.h"
#include "lib/base/alloc.h"
#include "lib/base/paths.h"

static int run(const struct args *a, const char *mode)
{
    char *argv[2 * VALUES_MAX + 5];
    size_t n = 0;
    char *program = paths_libexec("service");
    argv[n++] = program;
    if (mode)
        argv[n++] = xstrdup(mode);
    if (!args_has(a, "--data")) {
        argv[n++] = xstrdup("--data");
        argv[n++] = xstrdup(args_data(a));
    }
    for (size_t i = 0; i < a->n_values; i++) {
        argv[n++] = xstrdup(a->values[i].def->name);
        if (a->values[i].def->metavar != NULL)
            argv[n++] = xstrdup(a->values[i].value);
    }
    argv[n] = NULL;
    execv(program, argv);
    return fail("%s: %s", program, strerror(errno));
}

int cmd_serve(const struct args *a)
{
    return run(a, NULL);
}

int cmd_broker_conf(const struct args *a)
{
    return run(a, "--broker-conf");
}

int cmd_broker(const struct args *a)
{
    return run(a, "--broker-only");
}
