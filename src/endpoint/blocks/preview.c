/* What a first request would come to: for `globus-compute-endpoint simulate`. */
#include "endpoint/blocks/private.h"
#include "endpoint/launchers/launcher.h"
#include "lib/base/alloc.h"

static struct json_object *limits(const struct blocks_opts *o, const struct provider *p)
{
    static const char *const keys[] = {"init_blocks", "min_blocks", "max_blocks",
                                       "nodes_per_block"};
    struct json_object *out = json_object_new_object();
    struct json_object *walltime = json_object_object_get(p->options, "walltime");
    int64_t failures = o->failures_max;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        json_add_int(out, keys[i], provider_int(p, keys[i]));
    json_add_int(out, "slots_per_node", o->slots_per_node > 0 ? o->slots_per_node : 1);
    json_add_int(out, "jobs_per_hour", blocks_per_hour(o, p));
    if (failures == 0)
        failures = provider_int(p, "max_failed_blocks");
    json_add_int(out, "failures_in_a_row", failures > 0 ? failures : BREAKER_FAILURES_MAX);
    int64_t seconds = walltime != NULL ? walltime_seconds(walltime, NULL) : -1;
    if (seconds >= 0)
        json_add_int(out, "walltime_s", seconds);
    else
        json_add(out, "walltime_s", NULL);
    return out;
}

static void add_text(struct json_object *o, const char *key, const struct buf *text)
{
    json_add_str(o, key, text->len > 0 ? text->data : NULL);
}

struct json_object *blocks_preview(struct loop *l, const struct blocks_opts *o, struct err *err)
{
    struct submission_preview files = {.path = BUF_INIT};
    autobuf struct buf launched = BUF_INIT;
    struct provider *p = provider_open(l, o->provider, o->dir, err);
    if (p == NULL)
        return NULL;
    autofree char *label = blocks_safe_label(o->label);
    autofree char *job_name = block_job_name(p->kind, label, "0");
    p->label = label;
    block_launch(p, o->command, "0", &launched);
    p->kind->work->preview(p, job_name, launched.data, &files);
    struct json_object *out = json_object_new_object();
    json_add_str(out, "provider", p->kind->type);
    json_add_str(
        out, "launcher",
        p->kind->launcher == NULL
            ? NULL
            : launcher_type(json_object_object_get(p->options, "launcher"), p->kind->launcher));
    add_text(out, "path", &files.path);
    add_text(out, "script", &files.script);
    add_text(out, "second_path", &files.second_path);
    add_text(out, "second", &files.second);
    add_text(out, "command", &files.command);
    json_add(out, "limits", limits(o, p));
    submission_preview_clear(&files);
    provider_destroy(p);
    return out;
}
