/* See profile.h. */
#include "cli/gce/profile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/gce/yamlout.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/paths.h"
#include "lib/config/config.h"
#include "lib/yaml/yaml.h"

#define FILE_MAX (16u << 20)

const char *profile_template_name(const struct profile *p)
{
    return p->seed_form ? "user_config_template.yaml" : "user_config_template.yaml.j2";
}

const char *profile_idmap_name(const struct profile *p)
{
    return p->idmap_source ? "identity_mapping_config.json"
                           : "example_identity_mapping_config.json";
}

/* The file of share/sallyport, or the one given instead, into the directory. */
static int copy(const struct profile *p, const char *source, const char *share, const char *name,
                mode_t mode, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    autofree char *from = source ? xstrdup(source) : paths_share(share);
    autofree char *to = xasprintf("%s/%s", p->epdir, name);
    if (fs_read(from, FILE_MAX, &text, err) < 0)
        return -1;
    return fs_write(to, text.data ? text.data : "", text.len, mode, false, err);
}

static struct json_object *config_source(const struct profile *p, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    struct json_object *doc = json_object_new_object();
    if (!p->config_source) {
        json_add_str(doc, "display_name", NULL);
        return doc;
    }
    json_object_put(doc);
    doc = NULL;
    if (fs_read(p->config_source, CONFIG_SIZE_MAX, &text, err) < 0)
        return NULL;
    struct err yaml = ERR_INIT;
    doc = yaml_read(text.data ? text.data : "", text.len, p->config_source, &yaml);
    if (!doc && yaml.text[0]) {
        *err = yaml;
    } else if (!json_object_is_type(doc, json_type_object)) {
        err_set(err, "Source config file (%s) must be a valid YAML mapping (got a %s)",
                p->config_source,
                json_object_is_type(doc, json_type_array) ? "sequence" : "scalar");
        json_object_put(doc);
        doc = NULL;
    }
    return doc;
}

/* Today's form: the given keys, then ours in the original's order. */
static void fill_current(const struct profile *p, struct json_object *doc)
{
    autofree char *idmap = xasprintf("%s/%s", p->epdir, profile_idmap_name(p));
    autofree char *audit = xasprintf("%s/audit.log", p->epdir);
    json_object_object_del(doc, "engine");
    if (p->display_name && *p->display_name)
        json_add_str(doc, "display_name", p->display_name);
    if (p->email && *p->email)
        json_add_str(doc, "email", p->email);
    if (p->mapping)
        json_add_str(doc, "identity_mapping_config_path", idmap);
    if (p->policy && *p->policy)
        json_add_str(doc, "authentication_policy", p->policy);
    if (p->high_assurance) {
        json_add_bool(doc, "high_assurance", true);
        json_add_str(doc, "audit_log_path", audit);
    }
    if (p->subscription && *p->subscription)
        json_add_str(doc, "subscription_id", p->subscription);
    if (p->mapping && !json_object_object_get_ex(doc, "public", NULL))
        json_add_bool(doc, "public", true);
}

static int by_name_cb(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct json_object *sorted(struct json_object *doc)
{
    size_t n = 0;
    const char *keys[64];
    struct json_object *out = json_object_new_object();
    json_object_object_foreach(doc, key, value)
    {
        (void)value;
        if (n < sizeof(keys) / sizeof(keys[0]))
            keys[n++] = key;
    }
    qsort(keys, n, sizeof(keys[0]), by_name_cb);
    for (size_t i = 0; i < n; i++) {
        struct json_object *member = NULL;
        json_object_object_get_ex(doc, keys[i], &member);
        json_object_object_add(out, keys[i], json_object_get(member));
    }
    return out;
}

/* The seed's form: sorted, private, with the marker and the port that passes most fire walls. */
static struct json_object *fill_seed(const struct profile *p, struct json_object *doc)
{
    fill_current(p, doc);
    if (!json_object_object_get_ex(doc, "amqp_port", NULL))
        json_add_int(doc, "amqp_port", 443);
    json_add_bool(doc, "multi_user", true);
    if (!p->config_source)
        json_object_object_del(doc, "public");
    return sorted(doc);
}

static int write_config(const struct profile *p, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    autofree char *path = xasprintf("%s/config.yaml", p->epdir);
    autojson struct json_object *doc = config_source(p, err);
    if (!doc)
        return -1;
    if (p->seed_form) {
        struct json_object *own = fill_seed(p, doc);
        json_object_put(doc);
        doc = own;
    } else {
        fill_current(p, doc);
    }
    if (json_object_object_length(doc) > 0)
        yaml_write(&text, doc);
    else
        buf_str(&text, "# The generated config file is currently empty\n");
    /* Checked before anything is printed, so that a bad --core-config leaves nothing behind. */
    struct config *c = config_parse(text.data, text.len, path, NULL, err);
    if (!c)
        return -1;
    config_free(c);
    return fs_write(path, text.data, text.len, 0600, false, err);
}

static int fill(const struct profile *p, struct err *err)
{
    mode_t shared = p->seed_form ? 0644 : 0600;
    mode_t template_mode = p->mapping ? 0644 : 0600;
    if (write_config(p, err) < 0)
        return -1;
    if (p->mapping && copy(p, p->idmap_source, "example_identity_mapping_config.json",
                           profile_idmap_name(p), 0600, err) < 0)
        return -1;
    if (copy(p, p->template_source, "user_config_template.yaml.j2", profile_template_name(p),
             template_mode, err) < 0 ||
        copy(p, p->schema_source, "user_config_schema.json", "user_config_schema.json", shared,
             err) < 0 ||
        copy(p, p->environment_source, "user_environment.yaml", "user_environment.yaml", shared,
             err) < 0)
        return -1;
    /* Users' sessions read the template by its path: let them pass through. */
    if (p->seed_form && chmod(p->epdir, 0711) < 0)
        return err_errno(err, "cannot change the mode of %s", p->epdir);
    return 0;
}

int profile_create(const struct profile *p, struct err *err)
{
    mode_t umask_before = umask(077);
    int rc = mkdir(p->epdir, 0700);
    if (rc < 0) {
        err_errno(err, "cannot create directory %s", p->epdir);
    } else {
        rc = fill(p, err);
        if (rc < 0)
            fs_remove_tree(p->epdir, NULL);
    }
    umask(umask_before);
    return rc;
}
