#include "endpoint/providers/provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint/launchers/launcher.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"

static const struct provider_kind *const kinds[] = {
    &provider_local,
    &provider_slurm,
    &provider_pbspro,
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Every provider has these. */
static const struct option_spec common[] = {
    {"nodes_per_block", OPT_INT, "1"}, {"init_blocks", OPT_INT, "1"},
    {"min_blocks", OPT_INT, "0"},      {"max_blocks", OPT_INT, "1"},
    {"parallelism", OPT_NUMBER, "1"},  {"worker_init", OPT_TEXT, "\"\""},
    {"launcher", OPT_ANY, NULL},       {NULL, OPT_ANY, NULL},
};

static const struct {
    const char *name;
    bool final;
} states[] = {
    [JOB_UNKNOWN] = {"UNKNOWN", false},    [JOB_PENDING] = {"PENDING", false},
    [JOB_RUNNING] = {"RUNNING", false},    [JOB_HELD] = {"HELD", false},
    [JOB_CANCELLED] = {"CANCELLED", true}, [JOB_COMPLETED] = {"COMPLETED", true},
    [JOB_FAILED] = {"FAILED", true},       [JOB_TIMEOUT] = {"TIMEOUT", true},
    [JOB_MISSING] = {"MISSING", true},     [JOB_SCALED_IN] = {"SCALED_IN", true},
};

const char *job_state_name(enum job_state s)
{
    return states[s].name;
}

bool job_state_is_final(enum job_state s)
{
    return states[s].final;
}

static const struct provider_kind *kind_of(struct json_object *options)
{
    const char *type = json_str_or(options, "type", "LocalProvider");
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(kinds[i]->type, type) == 0)
            return kinds[i];
    return NULL;
}

static const struct option_spec *spec_in(const struct option_spec *list, const char *key)
{
    for (; list->name != NULL; list++)
        if (strcmp(list->name, key) == 0)
            return list;
    return NULL;
}

/* The kind's own first: it may have another default than the common one. */
static const struct option_spec *spec_of(const struct provider_kind *k, const char *key)
{
    const struct option_spec *s = spec_in(k->options, key);
    return s != NULL ? s : spec_in(common, key);
}

int64_t walltime_seconds(struct json_object *value, struct err *err)
{
    if (json_object_is_type(value, json_type_int))
        return json_object_get_int64(value);
    const char *text =
        json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
    int64_t days = 0, parts[3] = {0}, n = 0;
    const char *p = text;
    char *end;
    const char *dash = strchr(p, '-');
    if (dash != NULL) {
        days = strtoll(p, &end, 10);
        if (end != dash || days < 0)
            goto bad;
        p = dash + 1;
    }
    for (; n < 3; n++) {
        parts[n] = strtoll(p, &end, 10);
        if (end == p || parts[n] < 0 || parts[n] > 1000000)
            goto bad;
        p = end;
        if (*p != ':')
            break;
        p++;
    }
    if (*p == '\0' && n == 2)
        return days * 86400 + parts[0] * 3600 + parts[1] * 60 + parts[2];
    if (*p == '\0' && n == 1)
        return dash != NULL ? days * 86400 + parts[0] * 3600 + parts[1] * 60
                            : parts[0] * 60 + parts[1];
    if (*p == '\0' && n == 0)
        return dash != NULL ? days * 86400 + parts[0] * 3600 : parts[0] * 60;
bad:
    err_set(err, "walltime %s is not a duration such as 01:30:00", text);
    return -1;
}

static bool fits(const struct option_spec *s, struct json_object *v)
{
    enum json_type t = json_object_get_type(v);
    switch (s->kind) {
    case OPT_TEXT:
        return t == json_type_string;
    case OPT_INT:
        return t == json_type_int;
    case OPT_NUMBER:
        return t == json_type_int || t == json_type_double;
    case OPT_BOOL:
        return t == json_type_boolean;
    case OPT_LIST:
        return t == json_type_array;
    case OPT_MAP:
        return t == json_type_object;
    case OPT_WALLTIME:
        return t == json_type_int || t == json_type_string;
    case OPT_ANY:
        return true;
    }
    return false;
}

static const char *wanted(const struct option_spec *s)
{
    static const char *const words[] = {
        [OPT_TEXT] = "text",       [OPT_INT] = "a whole number",
        [OPT_NUMBER] = "a number", [OPT_BOOL] = "true or false",
        [OPT_LIST] = "a list",     [OPT_MAP] = "a mapping",
        [OPT_ANY] = "anything",    [OPT_WALLTIME] = "a duration such as \"01:30:00\"",
    };
    return words[s->kind];
}

static int unknown_type(struct json_object *options, struct err *err)
{
    static const char *const clouds[] = {"KubernetesProvider", "AWSProvider", "GoogleCloudProvider",
                                         "AzureProvider", NULL};
    const char *type = json_str_or(options, "type", "");
    for (size_t i = 0; clouds[i] != NULL; i++)
        if (strcmp(type, clouds[i]) == 0)
            return err_set(err,
                           "provider %s is not available in this release; use a batch system's "
                           "provider or LocalProvider",
                           type);
    autobuf struct buf known = BUF_INIT;
    for (size_t i = 0; i < KINDS; i++)
        buf_fmt(&known, "%s%s", i > 0 ? ", " : "", kinds[i]->type);
    return err_set(err, "provider type %s is not known; known are %s", type, known.data);
}

int provider_check(struct json_object *options, struct err *err)
{
    if (!json_object_is_type(options, json_type_object))
        return err_set(err, "provider must be a mapping with a type, it is %s", json_kind(options));
    const struct provider_kind *k = kind_of(options);
    if (k == NULL)
        return unknown_type(options, err);
    json_object_object_foreach(options, key, value)
    {
        if (strcmp(key, "type") == 0 || value == NULL)
            continue;
        const struct option_spec *s = spec_of(k, key);
        if (s == NULL)
            return err_set(err, "provider %s does not know the option %s", k->type, key);
        if (!fits(s, value))
            return err_set(err, "provider %s: %s must be %s, it is %s", k->type, key, wanted(s),
                           json_kind(value));
        if (s->kind == OPT_WALLTIME && walltime_seconds(value, err) < 0)
            return err_prefix(err, "provider %s", k->type);
    }
    if (launcher_check(json_at(options, "launcher"), k->launcher, err) != 0)
        return -1;
    return k->check != NULL ? k->check(options, err) : 0;
}

static void add_defaults(struct json_object *into, const struct option_spec *list)
{
    for (; list->name != NULL; list++)
        if (json_at(into, list->name) == NULL && list->otherwise != NULL)
            json_add(into, list->name, json_tokener_parse(list->otherwise));
}

struct provider *provider_create(struct loop *l, struct json_object *options, const char *dir,
                                 struct err *err)
{
    if (provider_check(options, err) != 0)
        return NULL;
    struct provider *p = xcalloc(1, sizeof(*p));
    *p = (struct provider){.kind = kind_of(options),
                           .loop = l,
                           .options = json_object_new_object(),
                           .script_dir = xasprintf("%s/submit_scripts", dir)};
    json_object_object_foreach(options, key, value)
    {
        if (value != NULL)
            json_object_object_add(p->options, key, json_object_get(value));
    }
    add_defaults(p->options, p->kind->options);
    add_defaults(p->options, common);
    if (fs_mkdirs(p->script_dir, 0700, err) != 0) {
        provider_destroy(p);
        return NULL;
    }
    if (p->kind->create != NULL)
        p->own = p->kind->create(p);
    return p;
}

void provider_destroy(struct provider *p)
{
    if (p == NULL)
        return;
    if (p->kind->destroy != NULL && p->own != NULL)
        p->kind->destroy(p->own);
    json_object_put(p->options);
    free(p->script_dir);
    free(p);
}

const char *provider_text(const struct provider *p, const char *key)
{
    struct json_object *v = json_at(p->options, key);
    return v != NULL ? json_object_get_string(v) : "";
}

int64_t provider_int(const struct provider *p, const char *key)
{
    return json_object_get_int64(json_at(p->options, key));
}

double provider_number(const struct provider *p, const char *key)
{
    return json_object_get_double(json_at(p->options, key));
}

bool provider_bool(const struct provider *p, const char *key)
{
    return json_object_get_boolean(json_at(p->options, key));
}

bool provider_has(const struct provider *p, const char *key)
{
    return json_at(p->options, key) != NULL;
}

int64_t provider_default_int(struct json_object *options, const char *key)
{
    int64_t v;
    if (json_get_int(options, key, &v, NULL) == 0)
        return v;
    const struct provider_kind *k = kind_of(options);
    const struct option_spec *s = k != NULL ? spec_of(k, key) : NULL;
    return s != NULL && s->otherwise != NULL ? strtoll(s->otherwise, NULL, 10) : 0;
}
