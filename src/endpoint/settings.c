#include "endpoint/settings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/uuid.h"
#include "lib/yaml/yaml.h"

#define PERIOD_MIN 5.0
#define ALLOWED_MAX 100000

/* Read elsewhere, or meant for others: accepted. */
static const char *const passed[] = {
    "engine",          "paths",  "authentication_policy",
    "subscription_id", "admins", "local_compute_services",
    "display_name",
};

/* Gone since older releases, or keys of a manager: old templates have them. */
static const char *const ignored[] = {
    "log_dir",
    "stdout",
    "stderr",
    "detach_endpoint",
    "multi_user",
    "funcx_service_address",
    "public",
    "email",
    "pam",
    "identity_mapping_config_path",
    "user_config_template_path",
    "user_config_schema_path",
    "audit_log_path",
    "force_mu_allow_same_user",
    "mu_child_ep_grace_period_s",
};

static int wrong(struct err *err, const char *key, struct json_object *v, const char *accepted)
{
    if (json_object_is_type(v, json_type_object) || json_object_is_type(v, json_type_array) ||
        v == NULL)
        return err_set(err, "%s must be %s, it is %s", key, accepted, json_kind(v));
    return err_set(err, "%s must be %s, it is %s", key, accepted, json_object_get_string(v));
}

/* Numbers, and text that is one: templates quote what users gave. */
static bool as_number(struct json_object *v, double *out)
{
    char *end;
    const char *text;
    switch (json_object_get_type(v)) {
    case json_type_int:
    case json_type_double:
        *out = json_object_get_double(v);
        return isfinite(*out);
    case json_type_string:
        text = json_object_get_string(v);
        *out = strtod(text, &end);
        return *text != '\0' && *end == '\0' && isfinite(*out);
    default:
        return false;
    }
}

static int read_number(const char *key, struct json_object *v, double *out, struct err *err)
{
    return as_number(v, out) ? 0 : wrong(err, key, v, "a number");
}

static int read_whole(const char *key, struct json_object *v, int64_t *out, struct err *err)
{
    double n;
    if (!as_number(v, &n) || n != floor(n) || fabs(n) > 1e15)
        return wrong(err, key, v, "a whole number");
    *out = (int64_t)n;
    return 0;
}

static int read_bool(const char *key, struct json_object *v, bool *out, struct err *err)
{
    if (!json_object_is_type(v, json_type_boolean))
        return wrong(err, key, v, "true or false");
    *out = json_object_get_boolean(v);
    return 0;
}

static int read_text(const char *key, struct json_object *v, char **out, struct err *err)
{
    if (v == NULL)
        return 0;
    if (!json_object_is_type(v, json_type_string))
        return wrong(err, key, v, "text");
    if (*json_object_get_string(v) != '\0')
        *out = xstrdup(json_object_get_string(v));
    return 0;
}

int settings_allow(struct settings *s, struct json_object *list, struct err *err)
{
    json_object_put(s->allowed);
    s->allowed = NULL;
    if (list == NULL)
        return 0;
    if (!json_object_is_type(list, json_type_array))
        return wrong(err, "allowed_functions", list, "a list of UUIDs");
    size_t n = json_object_array_length(list);
    if (n > ALLOWED_MAX)
        return err_set(err, "allowed_functions has %zu entries, at most %d are accepted", n,
                       ALLOWED_MAX);
    s->allowed = json_object_new_array();
    for (size_t i = 0; i < n; i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        char id[UUID_TEXT];
        if (!json_object_is_type(v, json_type_string) || !uuid_parse(json_object_get_string(v), id))
            return wrong(err, "allowed_functions", v, "a list of UUIDs");
        json_object_array_add(s->allowed, json_object_new_string(id));
    }
    return 0;
}

bool settings_permits(const struct settings *s, const char *function_id)
{
    size_t n = s->allowed != NULL ? json_object_array_length(s->allowed) : 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(json_object_get_string(json_object_array_get_idx(s->allowed, i)), function_id) ==
            0)
            return true;
    return s->allowed == NULL;
}

static int read_port(const char *key, struct json_object *v, int64_t *out, struct err *err)
{
    if (v == NULL)
        return 0;
    if (read_whole(key, v, out, err) != 0 || *out < 1 || *out > 65535)
        return wrong(err, key, v, "a port from 1 to 65535");
    return 0;
}

static bool is_in(const char *const *list, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], key) == 0)
            return true;
    return false;
}

static int read_prefetch(const char *key, struct json_object *v, int64_t *out, struct err *err)
{
    if (read_whole(key, v, out, err) != 0 || *out < 1 || *out > 65535)
        return wrong(err, key, v, "a whole number from 1 to 65535");
    return 0;
}

static int read_seconds(const char *key, struct json_object *v, double *out, struct err *err)
{
    if (!as_number(v, out) || *out < 1 || *out > 1500)
        return wrong(err, key, v, "a number of seconds from 1 to 1500");
    return 0;
}

static int read_key(struct settings *s, const char *key, struct json_object *v, struct err *err)
{
    if (strcmp(key, "heartbeat_period") == 0)
        return read_number(key, v, &s->heartbeat_period, err);
    if (strcmp(key, "heartbeat_threshold") == 0)
        return read_whole(key, v, &s->heartbeat_threshold, err);
    if (strcmp(key, "idle_heartbeats_soft") == 0)
        return read_whole(key, v, &s->idle_soft, err);
    if (strcmp(key, "idle_heartbeats_hard") == 0)
        return read_whole(key, v, &s->idle_hard, err);
    if (strcmp(key, "endpoint_setup") == 0)
        return read_text(key, v, &s->setup, err);
    if (strcmp(key, "endpoint_teardown") == 0)
        return read_text(key, v, &s->teardown, err);
    if (strcmp(key, "environment") == 0)
        return read_text(key, v, &s->environment, err);
    if (strcmp(key, "allowed_functions") == 0)
        return settings_allow(s, v, err);
    if (strcmp(key, "amqp_port") == 0)
        return read_port(key, v, &s->amqp_port, err);
    if (strcmp(key, "debug") == 0)
        return read_bool(key, v, &s->debug, err);
    if (strcmp(key, "high_assurance") == 0)
        return read_bool(key, v, &s->high_assurance, err);
    if (strcmp(key, "task_prefetch") == 0)
        return read_prefetch(key, v, &s->task_prefetch, err);
    if (strcmp(key, "task_journal_after") == 0)
        return read_seconds(key, v, &s->task_journal_after, err);
    if (is_in(passed, sizeof(passed) / sizeof(*passed), key))
        return 0;
    if (!is_in(ignored, sizeof(ignored) / sizeof(*ignored), key))
        return err_set(err,
                       "unknown key %s; known are engine, display_name, heartbeat_period, "
                       "heartbeat_threshold, idle_heartbeats_soft, idle_heartbeats_hard, "
                       "endpoint_setup, endpoint_teardown, allowed_functions, amqp_port, debug, "
                       "high_assurance, environment, paths, task_prefetch, task_journal_after",
                       key);
    buf_fmt(&s->warnings, "the key %s has no meaning for a user endpoint and is ignored\n", key);
    return 0;
}

static int read_tree(struct settings *s, const char *name, struct err *err)
{
    if (!json_object_is_type(s->tree, json_type_object))
        return err_set(err,
                       "Invalid config syntax: a mapping with an `engine` is needed, this is %s",
                       json_kind(s->tree));
    json_object_object_foreach(s->tree, key, value)
    {
        if (read_key(s, key, value, err) != 0)
            return -1;
    }
    s->engine = json_at(s->tree, "engine");
    if (s->engine == NULL)
        return err_set(err,
                       "Configuration for endpoint %s is missing an `engine` field; endpoint will "
                       "not start. (Hint: is `user_config_template.yaml.j2` missing an `engine` "
                       "block?)",
                       name);
    if (s->heartbeat_period < PERIOD_MIN) {
        buf_fmt(&s->warnings, "heartbeat_period %g is raised to the minimum of %g s\n",
                s->heartbeat_period, PERIOD_MIN);
        s->heartbeat_period = PERIOD_MIN;
    }
    double least = ceil(2 * s->heartbeat_period);
    if ((double)s->heartbeat_threshold < least)
        s->heartbeat_threshold = (int64_t)least;
    return 0;
}

int settings_read(const char *yaml, const char *name, struct settings *out, struct err *err)
{
    struct err why = ERR_INIT;
    *out = (struct settings){.heartbeat_period = 30,
                             .heartbeat_threshold = 120,
                             .idle_hard = 5760,
                             .task_journal_after = 240};
    out->tree = yaml_read(yaml, strlen(yaml), "the configuration", &why);
    if (out->tree == NULL && why.text[0] != '\0')
        err_set(err, "Invalid config syntax: %s", why.text);
    else if (read_tree(out, name, err) == 0)
        return 0;
    settings_clear(out);
    return -1;
}

void settings_clear(struct settings *s)
{
    json_object_put(s->tree);
    json_object_put(s->allowed);
    free(s->setup);
    free(s->teardown);
    free(s->environment);
    buf_free(&s->warnings);
    memset(s, 0, sizeof(*s));
}
