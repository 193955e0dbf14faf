#include "endpoint/providers/provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint/launchers/launcher.h"
#include "endpoint/providers/command.h"
#include "endpoint/providers/options.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"

static const struct provider_kind *const kinds[] = {
    &provider_local,       &provider_slurm, &provider_pbspro,       &provider_torque,
    &provider_grid_engine, &provider_lsf,   &provider_condor,       &provider_cobalt,
    &provider_kubernetes,  &provider_aws,   &provider_google_cloud, &provider_azure,
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

const struct provider_kind *provider_pretend;

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
    return provider_pretend != NULL && strcmp(provider_pretend->type, type) == 0 ? provider_pretend
                                                                                 : NULL;
}

static int unknown_type(struct json_object *options, struct err *err)
{
    autobuf struct buf known = BUF_INIT;
    for (size_t i = 0; i < KINDS; i++)
        buf_fmt(&known, "%s%s", i > 0 ? ", " : "", kinds[i]->type);
    return err_set(err, "provider type %.100s is not known; known are %s",
                   json_str_or(options, "type", "(none)"), known.data);
}

int provider_check(struct json_object *options, struct err *err)
{
    if (!json_object_is_type(options, json_type_object))
        return err_set(err, "provider must be a mapping with a type, it is %s", json_kind(options));
    const struct provider_kind *k = kind_of(options);
    if (k == NULL)
        return unknown_type(options, err);
    if (k->work == NULL) /* known by name only: says why */
        return k->check(options, err);
    if (options_check(k, options, err) != 0)
        return -1;
    if (k->launcher != NULL &&
        launcher_check(json_object_object_get(options, "launcher"), k->launcher, err) != 0)
        return -1;
    return k->check != NULL ? k->check(options, err) : 0;
}

struct provider *provider_open(struct loop *l, struct json_object *options, const char *dir,
                               struct err *err)
{
    if (provider_check(options, err) != 0)
        return NULL;
    struct provider *p = xcalloc(1, sizeof(*p));
    const struct provider_kind *k = kind_of(options);
    *p = (struct provider){.kind = k,
                           .loop = l,
                           .options = options_complete(k, options),
                           .script_dir = xasprintf("%s/submit_scripts", dir),
                           .label = "",
                           .poll_us = LOOP_S(k->poll_s)};
    p->commands = command_queue_create(p);
    if (k->work->create != NULL)
        p->own = k->work->create(p);
    return p;
}

struct provider *provider_create(struct loop *l, struct json_object *options, const char *dir,
                                 struct err *err)
{
    struct provider *p = provider_open(l, options, dir, err);
    if (p != NULL && fs_mkdirs(p->script_dir, 0700, err) == 0)
        return p;
    provider_destroy(p);
    return NULL;
}

void submission_preview_clear(struct submission_preview *s)
{
    buf_free(&s->path);
    buf_free(&s->script);
    buf_free(&s->second_path);
    buf_free(&s->second);
    buf_free(&s->command);
}

void provider_destroy(struct provider *p)
{
    if (p == NULL)
        return;
    command_queue_destroy(p->commands);
    if (p->kind->work->destroy != NULL && p->own != NULL)
        p->kind->work->destroy(p);
    json_object_put(p->options);
    free(p->script_dir);
    free(p);
}

static struct json_object *option(const struct provider *p, const char *key)
{
    return json_object_object_get(p->options, key);
}

const char *provider_text(const struct provider *p, const char *key)
{
    struct json_object *v = option(p, key);
    return v != NULL ? json_object_get_string(v) : "";
}

int64_t provider_int(const struct provider *p, const char *key)
{
    return json_object_get_int64(option(p, key));
}

double provider_number(const struct provider *p, const char *key)
{
    return json_object_get_double(option(p, key));
}

bool provider_bool(const struct provider *p, const char *key)
{
    return json_object_get_boolean(option(p, key));
}

bool provider_has(const struct provider *p, const char *key)
{
    return option(p, key) != NULL;
}

int64_t provider_default_int(struct json_object *options, const char *key)
{
    const struct provider_kind *k = kind_of(options);
    if (k == NULL || k->options == NULL)
        return 0;
    autojson struct json_object *all = options_complete(k, options);
    return json_object_get_int64(json_object_object_get(all, key));
}
