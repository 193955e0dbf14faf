/* map-identity, simulate, lint: another program does the work (libexec/sallyport/explain), because
 * it needs libraries that this command shall not load at every start. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/gce/commands.h"
#include "cli/gce/epdir.h"
#include "cli/gce/remote.h"
#include "lib/base/alloc.h"
#include "lib/base/paths.h"

#define WORDS_MAX 32
#define CLOCK_TIMEOUT_S "10"

struct words {
    const char *list[WORDS_MAX];
    size_t n;
};

static void word(struct words *w, const char *text)
{
    w->list[w->n++] = text; /* the options of a command are fewer */
}

/* The option, when it was given, under the same name. */
static void pass(struct words *w, const struct args *a, const char *name)
{
    if (!args_has(a, name))
        return;
    word(w, name);
    if (*args_get(a, name))
        word(w, args_get(a, name));
}

static int become(struct words *w)
{
    autofree char *path = paths_libexec("explain");
    w->list[0] = path;
    w->list[w->n] = NULL;
    fflush(NULL);
    execv(path, (char *const *)w->list);
    return fail("%s can't be run: %s; is the installation complete?", path, strerror(errno));
}

/* --dir of -e NAME or of the operand. */
static int folder(struct words *w, const char *name, char **dir)
{
    struct err err = ERR_INIT;
    *dir = epdir_find(name, &err);
    if (!*dir)
        return fail("%s", err.text);
    word(w, "--dir");
    word(w, *dir);
    return 0;
}

int cmd_map_identity(const struct args *a)
{
    static const char *const options[] = {"--config",     "--endpoint-id", "--json",
                                          "--identities", "--check",       "--first"};
    struct words w = {.n = 1};
    autofree char *dir = NULL;
    const char *name = args_get(a, "--endpoint");
    word(&w, "map");
    if (!name && !args_has(a, "--config"))
        return usage(a->command, "Must provide at least one of --endpoint or --config.");
    if (!args_has(a, "--identities"))
        return usage(a->command, "Missing option '--identities'.");
    if (name && folder(&w, name, &dir))
        return 1;
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        pass(&w, a, options[i]);
    return become(&w);
}

static int with_folder(const struct args *a, const char *verb, const char *const *options)
{
    struct words w = {.n = 1};
    autofree char *dir = NULL;
    word(&w, verb);
    if (folder(&w, args_name(a), &dir))
        return 1;
    for (; *options; options++)
        pass(&w, a, *options);
    return become(&w);
}

int cmd_simulate(const struct args *a)
{
    static const char *const options[] = {"--identities", "--options", "--runtime", "--json", NULL};
    if (!args_has(a, "--identities"))
        return usage(a->command, "Missing option '--identities'.");
    return with_folder(a, "simulate", options);
}

/* The web service's clock: --skew SECONDS, or --no-clock and why. */
static void ask_clock(const struct args *a, const char *dir, struct words *w, char **text)
{
    struct remote_result r = {0};
    word(w, "--no-clock");
    *text = xstrdup("--offline was given");
    if (!args_has(a, "--offline")) {
        struct config *config = config_load(dir, NULL, NULL); /* for its environment */
        setenv("GLOBUS_SDK_HTTP_TIMEOUT", CLOCK_TIMEOUT_S, 0);
        remote_call(config, "clock", NULL, NULL, &r);
        config_free(config);
        if (r.ok)
            w->list[w->n - 1] = "--skew";
        free(*text);
        *text = r.ok ? xasprintf("%f", json_object_get_double(r.answer)) : xstrdup(r.message);
        remote_free(&r);
    }
    word(w, *text);
}

int cmd_lint(const struct args *a)
{
    struct words w = {.n = 1};
    autofree char *dir = NULL, *clock = NULL;
    word(&w, "lint");
    if (folder(&w, args_name(a), &dir))
        return 1;
    pass(&w, a, "--json");
    ask_clock(a, dir, &w, &clock);
    return become(&w);
}
