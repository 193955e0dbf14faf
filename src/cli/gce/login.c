/* login and logout: the credentials of this base directory (spec: cli.md 8). */
#include <stdio.h>

#include "cli/gce/commands.h"
#include "cli/gce/epdir.h"
#include "cli/gce/remote.h"
#include "lib/base/buf.h"
#include "lib/base/log.h"

/* Scripts know 1 for every failure of these commands. */
static int ended(struct remote_result *r)
{
    int rc = r->ok ? 0 : remote_fail(r);
    remote_free(r);
    return rc ? 1 : 0;
}

int cmd_login(const struct args *a)
{
    struct remote_result r;
    remote_call(NULL, "signed-in", NULL, NULL, &r);
    bool signed_in = r.ok && json_object_get_boolean(r.answer);
    if (!r.ok)
        return ended(&r);
    remote_free(&r);
    if (signed_in && !args_has(a, "--force")) {
        log_info("Already logged in. Use --force to run login flow anyway");
        return 0;
    }
    remote_call(NULL, "login", "current", NULL, &r);
    return ended(&r);
}

/* "a, b": those that run, on whichever host. */
static void running(struct buf *names)
{
    char **list = epdir_list();
    for (char **at = list; *at; at++)
        if (epdir_status(*at) == EP_RUNNING)
            buf_fmt(names, "%s%s", names->len ? ", " : "", epdir_name(*at));
    epdir_list_free(list);
}

int cmd_logout(const struct args *a)
{
    struct remote_result r;
    autobuf struct buf names = BUF_INIT;
    running(&names);
    if (names.len && !args_has(a, "--force")) {
        log_info("The following endpoints are currently running: %s\n"
                 "Please use logout --force to proceed",
                 names.data);
        return 0;
    }
    remote_call(NULL, "logout", NULL, NULL, &r);
    if (r.ok)
        log_info("Logout succeeded and all cached credentials were revoked");
    return ended(&r);
}
