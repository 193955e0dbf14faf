/* migrate-to-template-capable: an old single-user directory becomes one with a template, its
 * `engine` and the like in the template (spec: cli.md 11). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/gce/commands.h"
#include "cli/gce/epdir.h"
#include "cli/gce/prompt.h"
#include "cli/gce/yamlout.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"

static bool is_one_of(const char *key, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(*list, key) == 0)
            return true;
    return false;
}

static bool is_managers(const char *key)
{
    static const char *const keys[] = {
        "admins", "display_name", "allowed_functions", "authentication_policy", "subscription_id",
        NULL};
    return is_one_of(key, keys);
}

static bool is_shared(const char *key)
{
    static const char *const keys[] = {
        "debug", "amqp_port", "heartbeat_period", "local_compute_services", "environment", NULL};
    return is_one_of(key, keys);
}

/* The keys for one of the two files, as YAML. */
static void part(struct json_object *tree, bool for_manager, struct buf *out)
{
    autojson struct json_object *own = json_object_new_object();
    json_object_object_foreach(tree, key, value)
    {
        if (is_shared(key) || is_managers(key) == for_manager)
            json_add(own, key, json_object_get(value));
    }
    if (json_object_object_length(own) > 0)
        yaml_write(out, own);
    else
        buf_str(out, "{}\n");
}

/* What looks like Jinja in the old file, say "${#list[@]}" in a worker_init, was plain text. */
static int as_template(struct buf *text, struct err *err)
{
    const char *s = text->data;
    if (!strstr(s, "{{") && !strstr(s, "{%") && !strstr(s, "{#"))
        return 0;
    if (strstr(s, "endraw"))
        return err_set(err, "a value in config.yaml has the word endraw and braces, which a "
                            "template can't hold as plain text; change that value first");
    autobuf struct buf raw = BUF_INIT;
    buf_fmt(&raw, "{%% raw %%}\n%s{%% endraw %%}\n", s);
    buf_clear(text);
    buf_add(text, raw.data, raw.len);
    return 0;
}

static int write_files(const char *epdir, struct json_object *tree, struct err *err)
{
    autobuf struct buf managers = BUF_INIT, template = BUF_INIT;
    autofree char *config = xasprintf("%s/config.yaml", epdir);
    autofree char *backup = xasprintf("%s.backup", config);
    autofree char *template_path = xasprintf("%s/user_config_template.yaml.j2", epdir);
    part(tree, true, &managers);
    part(tree, false, &template);
    if (as_template(&template, err) < 0)
        return -1;
    /* link() refuses to replace, and the old file stays in its place until the new ones are whole
     */
    if (link(config, backup) < 0 && errno == EEXIST)
        return err_set(err, "Tried to back up '%s' to '%s', but the latter already exists.", config,
                       backup);
    if (access(backup, F_OK) != 0)
        return err_errno(err, "Tried to back up '%s' to '%s'", config, backup);
    if (fs_write(template_path, template.data, template.len, 0600, true, err) == 0 &&
        fs_write(config, managers.data, managers.len, 0600, true, err) == 0)
        return 0;
    unlink(backup); /* config.yaml is still the old one */
    return -1;
}

static int migrate(const char *epdir, struct err *err)
{
    autobuf struct buf report = BUF_INIT;
    struct config *c = config_load(epdir, &report, err);
    int rc = -1;
    if (!c)
        return report.len ? err_set(err, "%s", report.data) : -1;
    if (!c->has_engine)
        err_set(err, "Endpoint '%s' is already template capable.", epdir_name(epdir));
    else if (epdir_is_active(epdir))
        err_set(err, "Endpoint '%s' is currently running.", epdir_name(epdir));
    else
        rc = write_files(epdir, c->tree, err);
    config_free(c);
    return rc;
}

int cmd_migrate(const struct args *a)
{
    struct err err = ERR_INIT;
    autofree char *epdir = epdir_find(args_name(a), &err);
    if (!epdir)
        return fail("%s", err.text);
    autofree char *question =
        xasprintf("> Are you sure you want to migrate endpoint '%s' to be template capable? This "
                  "is a one-way operation.",
                  epdir_name(epdir));
    int rc = args_has(a, "--yes") ? 0 : prompt_confirm(question);
    if (rc)
        return rc;
    if (migrate(epdir, &err) < 0)
        return fail("Failed to migrate endpoint: %s", err.text);
    log_info("Endpoint %s successfully migrated to template capable.", epdir_name(epdir));
    return 0;
}
