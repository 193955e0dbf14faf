/* render-user-config: what a user's options make of a template, on standard output.
 *
 * The engine for templates is large, so it lives in libexec/sallyport/render (render_main.c), which
 * takes our place; here is only what the command line can say wrong. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/gce/commands.h"
#include "cli/gce/epdir.h"
#include "lib/base/alloc.h"
#include "lib/base/paths.h"

#define ARGS_MAX 24

static const char *const inputs[] = {"--template",      "--user-options", "--user-schema",
                                     "--parent-config", "--user-runtime", "--mapped-identity"};
#define INPUTS (sizeof(inputs) / sizeof(inputs[0]))

static size_t from_stdin(const struct args *a)
{
    size_t n = 0;
    for (size_t i = 0; i < INPUTS; i++)
        n += args_has(a, inputs[i]) && strcmp(args_get(a, inputs[i]), "-") == 0;
    return n;
}

int cmd_render_user_config(const struct args *a)
{
    const char *argv[ARGS_MAX] = {NULL};
    size_t n = 1;
    struct err err = ERR_INIT;
    autofree char *path = paths_libexec("render");
    autofree char *epdir = NULL;
    if (args_has(a, "--endpoint")) {
        epdir = epdir_find(args_get(a, "--endpoint"), &err);
        if (!epdir)
            return fail("%s", err.text);
        argv[n++] = "--epdir";
        argv[n++] = epdir;
    }
    if (from_stdin(a) > 1)
        return fail("At most one input may be read from stdin across all options.");
    if (!epdir && !args_has(a, "--template"))
        return fail("Must provide at least one of --endpoint or --template.");
    for (size_t i = 0; i < INPUTS; i++)
        if (args_has(a, inputs[i])) {
            argv[n++] = inputs[i];
            argv[n++] = args_get(a, inputs[i]);
        }
    if (args_has(a, "--json"))
        argv[n++] = "--json";
    argv[0] = path;
    fflush(NULL);
    execv(path, (char *const *)argv);
    return fail("%s can't be run: %s; is the installation complete?", path, strerror(errno));
}
