/* What others see of a configuration: paths, templates, the web service. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/config/private.h"

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

int config_check_paths(const struct config *c, struct err *err)
{
    if (c->user_config_template_path && !exists(c->user_config_template_path))
        return err_set(err, "User config template path not found (%s)",
                       c->user_config_template_path);
    if (c->user_config_schema_path && !exists(c->user_config_schema_path))
        return err_set(err, "User config schema path not found (%s)", c->user_config_schema_path);
    if (c->identity_mapping_config_path && !exists(c->identity_mapping_config_path))
        return err_set(err, "Identity mapping config path not found (%s)",
                       c->identity_mapping_config_path);
    return 0;
}

char *config_template_path(const struct config *c, const char *epdir)
{
    if (c->user_config_template_path)
        return xstrdup(c->user_config_template_path);
    char *j2 = xasprintf("%s/user_config_template.yaml.j2", epdir);
    autofree char *plain = xasprintf("%s/user_config_template.yaml", epdir);
    if (exists(j2) || !exists(plain))
        return j2;
    free(j2);
    return xstrdup(plain);
}

char *config_schema_path(const struct config *c, const char *epdir)
{
    return c->user_config_schema_path ? xstrdup(c->user_config_schema_path)
                                      : xasprintf("%s/user_config_schema.json", epdir);
}

char *config_environment_path(const struct config *c, const char *epdir)
{
    (void)c;
    return xasprintf("%s/user_environment.yaml", epdir);
}

/* heartbeat_period may be either kind of number and shows as it was written (12, not 12.0); the
 * minimum that replaces a smaller one is a float. */
static struct json_object *number(const struct config *c, const struct field *f, double value)
{
    struct json_object *written = NULL;
    bool present = json_object_object_get_ex(c->tree, f->key, &written) && written;
    bool is_int = present ? json_object_is_type(written, json_type_int) &&
                                (double)json_object_get_int64(written) == value
                          : true;
    if (!strcmp(f->key, "heartbeat_period") && is_int)
        return json_object_new_int64((int64_t)value);
    return json_object_new_double(value);
}

static struct json_object *member(const struct config *c, const struct field *f)
{
    const char *at = (const char *)c + f->offset;
    switch (f->kind) {
    case FIELD_TEXT:
    case FIELD_PATH:
    case FIELD_ID: {
        const char *text = *(char *const *)at;
        return text ? json_object_new_string(text) : NULL;
    }
    case FIELD_IDS:
    case FIELD_NAMES:
        return json_object_get(*(struct json_object *const *)at);
    case FIELD_BOOL:
        return json_object_new_boolean(*(const bool *)at);
    case FIELD_INT: {
        int64_t n = *(const int64_t *)at;
        return n || !f->can_be_null ? json_object_new_int64(n) : NULL;
    }
    case FIELD_NUMBER:
        return number(c, f, *(const double *)at);
    default:
        return NULL;
    }
}

struct json_object *config_as_json(const struct config *c)
{
    struct json_object *out = json_object_new_object();
    for (size_t i = 0; i < config_fields_count; i++)
        if (config_fields[i].template_sees)
            json_object_object_add(out, config_fields[i].key, member(c, &config_fields[i]));
    struct json_object *pam = json_object_new_object();
    json_add_bool(pam, "enable", c->pam_enable);
    json_add_str(pam, "service_name", c->pam_service_name);
    json_object_object_add(out, "pam", pam);
    json_add_bool(out, "multi_user", c->seed_style);
    return out;
}

static bool has_items(struct json_object *list)
{
    return list && json_object_array_length(list) > 0;
}

struct json_object *config_registration(const struct config *c, const struct config_site *site)
{
    struct json_object *doc = json_object_new_object();
    struct json_object *meta = json_object_new_object();
    json_add_str(doc, "endpoint_name", site->endpoint_name);
    if (c->display_name)
        json_add_str(doc, "display_name", c->display_name);
    if (site->privileged)
        json_add_bool(doc, "multi_user", true);
    json_add_str(meta, "endpoint_version", COMPUTE_VERSION);
    json_add_str(meta, "python_version", "none"); /* users bring their own */
    json_add_str(meta, "hostname", site->hostname);
    json_add_str(meta, "local_user", site->local_user);
    json_add_str(meta, "endpoint_config", c->source);
    json_add_str(meta, "user_config_template", site->template_text);
    json_add(meta, "user_config_schema", json_object_get(site->schema));
    json_add(doc, "metadata", meta);
    if (has_items(c->allowed_functions))
        json_add(doc, "allowed_functions", json_object_get(c->allowed_functions));
    if (c->authentication_policy)
        json_add_str(doc, "authentication_policy", c->authentication_policy);
    if (c->subscription_id)
        json_add_str(doc, "subscription_uuid", c->subscription_id);
    json_add_bool(doc, "public", c->is_public);
    json_add_bool(doc, "high_assurance", c->high_assurance);
    if (has_items(c->admins))
        json_add(doc, "admins", json_object_get(c->admins));
    return doc;
}
