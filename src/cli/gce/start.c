/* start and _start-user-endpoint: checks, credentials, then another program takes our place.
 *
 * The manager is libexec/sallyport/monitor; a user's endpoint (only a manager starts one) is
 * libexec/sallyport/user-endpoint, whose document comes on standard input. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/gce/commands.h"
#include "cli/gce/epdir.h"
#include "cli/gce/remote.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/paths.h"
#include "lib/base/pidfile.h"
#include "lib/config/privilege.h"

#define ARGS_MAX 16

/* Appends the flags that both programs take. */
static size_t common_flags(const struct args *a, const char **argv, size_t n)
{
    if (args_has(a, "--debug"))
        argv[n++] = "--debug";
    if (args_has(a, "--log-to-console"))
        argv[n++] = "--log-to-console";
    if (args_has(a, "--no-color"))
        argv[n++] = "--no-color";
    return n;
}

static int become(const char *program, const char **argv)
{
    autofree char *path = paths_libexec(program);
    argv[0] = path;
    fflush(NULL);
    execv(path, (char *const *)argv);
    return fail("%s can't be run: %s; is the installation complete?", path, strerror(errno));
}

static int become_user_endpoint(const struct args *a, const char *why_not)
{
    const char *argv[ARGS_MAX] = {NULL, args_name(a)};
    if (isatty(STDIN_FILENO))
        return fail("%s", why_not);
    common_flags(a, argv, 2);
    return become("user-endpoint", argv);
}

int cmd_start_user_endpoint(const struct args *a)
{
    return become_user_endpoint(a, "User endpoints must have a parent Core endpoint");
}

/* What must hold before anything is done, in the original's order; 0 or an exit code. */
static int check(const struct config *c, const char *epdir)
{
    struct err err = ERR_INIT;
    autofree char *pid = xasprintf("%s/daemon.pid", epdir);
    autofree char *template = config_template_path(c, epdir);
    if (c->has_engine)
        return fail("The configuration of %s contains an `engine` field; endpoint will not start. "
                    "Put the engine in the user configuration template (see "
                    "`globus-compute-endpoint migrate-to-template-capable %s`)",
                    epdir, epdir_name(epdir));
    if (config_check_paths(c, &err) < 0)
        return fail("%s", err.text);
    if (access(template, F_OK) != 0)
        return fail("User configuration template not found: %s", template);
    if (!c->seed_style && privilege_any() && !(c->email && *c->email))
        return fail("Multi-user endpoints require a contact email address. Add `email: ...` to "
                    "%s/config.yaml",
                    epdir);
    if (c->seed_style && privilege_change_user() && !c->identity_mapping_config_path) {
        fail("No identity mapping file specified; please specify identity_mapping_config_path");
        return EX_OSFILE;
    }
    if (pidfile_check(pid, (unsigned)(3 * c->heartbeat_period), &err) == 1) {
        fprintf(stderr, "%s\n", err.text);
        return EX_CANTCREAT;
    }
    return 0;
}

/* A memfd with the tokens for the listener, asking a person first when there are none. */
static int tokens(const struct config *c, int *fd)
{
    struct err err = ERR_INIT;
    struct remote_result r;
    char number[16];
    bool asked = false;
    *fd = fs_memfd("tokens", "", 0, false, &err);
    if (*fd < 0)
        return fail("%s", err.text);
    fcntl(*fd, F_SETFD, 0); /* for libexec/sallyport/remote, then for the manager */
    snprintf(number, sizeof(number), "%d", *fd);
    for (;;) {
        lseek(*fd, 0, SEEK_SET);
        if (ftruncate(*fd, 0) < 0)
            return fail("no room for the tokens: %s", strerror(errno));
        remote_call(c, "tokens", number, NULL, &r);
        int rc = 0;
        if (!r.ok && strcmp(r.kind, "signin") == 0 && !asked) {
            if (c->seed_style)
                fprintf(stderr, "> Endpoint Manager initialization\n");
            rc = remote_signin(c);
            asked = true;
        } else if (!r.ok) {
            rc = remote_fail(&r);
        }
        bool is_done = r.ok;
        remote_free(&r);
        if (is_done || rc)
            return rc;
    }
}

static int become_manager(const struct args *a, const struct config *c, const char *epdir)
{
    const char *argv[ARGS_MAX] = {NULL, "--dir", epdir};
    size_t n = 3;
    int fd = -1;
    char number[16];
    int rc = tokens(c, &fd);
    if (rc)
        return rc;
    snprintf(number, sizeof(number), "%d", fd);
    lseek(fd, 0, SEEK_SET);
    argv[n++] = "--tokens-fd";
    argv[n++] = number;
    if (args_has(a, "--endpoint-uuid")) {
        argv[n++] = "--endpoint-uuid";
        argv[n++] = args_get(a, "--endpoint-uuid");
    }
    if (args_has(a, "--detach"))
        argv[n++] = "--detach";
    common_flags(a, argv, n);
    return become("monitor", argv);
}

int start_manager(const struct args *a, const char *epdir)
{
    struct err err = ERR_INIT;
    autobuf struct buf report = BUF_INIT;
    umask(077);
    struct config *c = config_load(epdir, &report, &err);
    if (!c)
        return fail("%s", report.len ? report.data : err.text);
    setenv("GLOBUS_COMPUTE_USER_DIR", epdir_base(), 1);
    int rc = check(c, epdir);
    if (rc == 0)
        rc = become_manager(a, c, epdir);
    config_free(c);
    return rc;
}

int cmd_start(const struct args *a)
{
    struct err err = ERR_INIT;
    if (args_has(a, "--die-with-parent"))
        return become_user_endpoint(a, "The --die-with-parent flag is not meant for manual use; "
                                       "it is for internal use only.");
    autofree char *epdir = epdir_find(args_name(a), &err);
    if (!epdir)
        return fail("%s", err.text);
    return start_manager(a, epdir);
}
