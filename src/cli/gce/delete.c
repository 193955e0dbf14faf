/* delete: an endpoint at the web service, then its directory here (spec: cli.md 7). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/gce/commands.h"
#include "cli/gce/epdir.h"
#include "cli/gce/prompt.h"
#include "cli/gce/remote.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/uuid.h"

#define IS_RUNNING 255

struct doomed {
    char *epdir; /* NULL: known to the web service only */
    char *id;    /* NULL: never registered */
    struct config *config;
    bool typed_id;
    bool force;
};

static int refused(const char *what)
{
    return fail("%s\n\n"
                "Please add the --force flag if you wish to proceed with attempting to delete the "
                "endpoint both locally and from the Globus Compute web services.",
                what);
}

static int ask(const struct doomed *d)
{
    autofree char *question =
        xasprintf("Are you sure you want to delete endpoint %s%s%s%s%s%s?", d->epdir ? "< " : "",
                  d->epdir ? epdir_name(d->epdir) : "", d->epdir ? " >" : "",
                  d->typed_id ? " ( " : "", d->typed_id ? d->id : "", d->typed_id ? " )" : "");
    return prompt_confirm(question);
}

/* Configuration and id; what can't be read is passed over with --force only. */
static int look(struct doomed *d)
{
    struct err err = ERR_INIT;
    autofree char *problem = NULL;
    if (d->epdir) {
        d->config = config_load(d->epdir, NULL, &err);
        if (d->config && !d->id)
            d->id = epdir_id(d->epdir, &err);
        if (!d->config || err.text[0])
            problem = xasprintf("Failed to read configuration from %s/ ", d->epdir);
    } else {
        problem = xasprintf("No local endpoint configuration available for %s", d->id);
    }
    if (!problem)
        return 0;
    if (!d->force)
        return refused(problem);
    log_info("%s, proceeding to remote deletion by --force ...", problem);
    return 0;
}

static int unreachable(void)
{
    static const char text[] =
        "globus-compute-endpoint is unable to reach the Globus Compute service due to a network "
        "error.\nPlease ensure the Globus Compute service address is reachable, then attempt to "
        "delete the endpoint again.";
    printf("%s\n", text);
    log_critical("%s", text);
    return EX_TEMPFAIL;
}

/* The exit code for an answer of the web service that is none; 0 = go on. */
static int after_failure(const struct doomed *d, const struct remote_result *r)
{
    bool is_answer = strcmp(r->kind, "compute") == 0;
    bool is_network = strcmp(r->kind, "network") == 0;
    if (!is_answer && !is_network)
        return remote_fail(r); /* Auth's, or no sign-in */
    log_warning("Endpoint %s could not be deleted from the web service: [%s]", d->id,
                is_answer ? r->body : r->message);
    if (d->force)
        return 0;
    if (is_network)
        return unreachable();
    if (!d->epdir)
        return 0;
    log_critical("Exiting without deleting the local endpoint");
    return EX_UNAVAILABLE;
}

static int stop_first(const struct doomed *d)
{
    bool was_active = false;
    if (!d->force) {
        log_warning("Endpoint %s is currently running.  To proceed with deletion, first stop the "
                    "endpoint, or ignore the current status with `delete --force`",
                    d->id);
        return IS_RUNNING;
    }
    return d->epdir ? stop_manager(d->epdir, false, &was_active) : 0;
}

static int delete_remotely(const struct doomed *d)
{
    struct remote_result r;
    int rc = 0;
    remote_call(d->config, "status", d->id, NULL, &r);
    bool is_known = r.ok;
    if (!r.ok)
        rc = after_failure(d, &r);
    else if (strcmp(json_str_or(r.answer, "status", ""), "online") == 0)
        rc = stop_first(d);
    remote_free(&r);
    if (rc || !is_known)
        return rc;
    remote_call(d->config, "delete", d->id, NULL, &r);
    if (r.ok)
        log_info("Endpoint %s has been deleted from the web service", d->id);
    else
        rc = after_failure(d, &r);
    remote_free(&r);
    return rc;
}

static int delete_locally(const struct doomed *d)
{
    struct err err = ERR_INIT;
    if (!d->epdir)
        return 0;
    if (epdir_is_active(d->epdir)) /* here, whatever the web service says */
        log_warning("Endpoint %s may still run: %s/daemon.pid is fresh", epdir_name(d->epdir),
                    d->epdir);
    if (fs_remove_tree(d->epdir, &err) < 0)
        return fail("%s", err.text);
    log_info("Endpoint %s has been deleted from %s", d->epdir, d->epdir);
    return 0;
}

int cmd_delete(const struct args *a)
{
    char id[UUID_TEXT];
    struct err err = ERR_INIT;
    const char *override = getenv("GLOBUS_COMPUTE_ENDPOINT_DIR");
    struct doomed d = {.force = args_has(a, "--force")};
    d.epdir = epdir_find(args_name(a), &err);
    d.typed_id = !(override && *override) && uuid_parse(args_name(a), id);
    if (d.typed_id)
        d.id = xstrdup(args_name(a));
    int rc = d.epdir || d.typed_id ? 0 : fail("%s", err.text);
    if (rc == 0 && !args_has(a, "--yes"))
        rc = ask(&d);
    if (rc == 0)
        rc = look(&d);
    if (rc == 0 && d.id)
        rc = delete_remotely(&d);
    if (rc == 0)
        rc = delete_locally(&d);
    config_free(d.config);
    free(d.epdir);
    free(d.id);
    return rc;
}
