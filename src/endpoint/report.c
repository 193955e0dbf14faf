#include "endpoint/report.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/proc.h"

#define GROUPS_MAX 65536

static struct json_object *groups(void)
{
    struct json_object *list = json_object_new_array();
    int n = getgroups(0, NULL);
    if (n <= 0 || n > GROUPS_MAX)
        return list;
    gid_t *ids = xcalloc((size_t)n, sizeof(*ids));
    n = getgroups(n, ids);
    for (int i = 0; i < n; i++)
        json_object_array_add(list, json_object_new_int64(ids[i]));
    free(ids);
    return list;
}

struct json_object *report_identity(struct json_object *ep_info, const char *config)
{
    struct json_object *o = json_object_new_object();
    const struct passwd *pw = getpwuid(getuid());
    int64_t now = clock_unix_ns();
    char iso[64];
    clock_iso_local(now, iso, sizeof(iso));
    json_object_object_foreach(ep_info, key, value)
    {
        json_object_object_add(o, key, json_object_get(value));
    }
    json_add_str(o, "posix_username", pw != NULL ? pw->pw_name : NULL);
    json_add_int(o, "posix_uid", getuid());
    json_add_int(o, "posix_gid", getgid());
    json_add(o, "posix_groups", groups());
    json_add_int(o, "posix_pid", getpid());
    json_add_int(o, "posix_sid", getsid(0));
    json_add_str(o, "config_raw", config);
    json_add_str(o, "start_iso", iso);
    json_add_double(o, "start_unix", (double)now / 1e9);
    return o;
}

static void add_option(struct json_object *o, const char *key, struct json_object *from)
{
    struct json_object *v = json_at(from, key);
    json_object_object_add(o, key, v != NULL ? json_object_get(v) : NULL);
}

/* The first of the keys that is set. */
static const char *first_text(struct json_object *o, const char *a, const char *b, const char *c)
{
    const char *s = json_str_or(o, a, NULL);
    s = s != NULL || b == NULL ? s : json_str_or(o, b, NULL);
    return s != NULL || c == NULL ? s : json_str_or(o, c, NULL);
}

static void add_pilot(struct json_object *o, const struct report *r)
{
    const struct engine *e = r->engine;
    struct nodes_count c;
    nodes_count(r->nodes, &c);
    json_add_int(o, "managers", (int64_t)c.agents);
    json_add_int(o, "active_managers", (int64_t)c.active);
    json_add_int(o, "total_workers", (int64_t)c.workers);
    json_add_int(o, "idle_workers", (int64_t)c.idle_workers);
    json_add_int(o, "pending_tasks",
                 (int64_t)(r->outstanding > c.held ? r->outstanding - c.held : 0));
    json_add_int(o, "outstanding_tasks", (int64_t)r->outstanding);
    json_add_int(o, "total_tasks", (int64_t)r->total);
    json_add_bool(o, "scaling_enabled", e->max_blocks > 0);
    add_option(o, "mem_per_worker", e->options);
    add_option(o, "cores_per_worker", e->options);
    add_option(o, "prefetch_capacity", e->options);
    if (e->kind == ENGINE_MPI)
        json_add_int(o, "max_workers_per_node", engine_int(e, "max_workers_per_block"));
    else
        add_option(o, "max_workers_per_node", e->options);
    json_add_int(o, "max_blocks", e->max_blocks);
    json_add_int(o, "min_blocks", e->min_blocks);
    json_add_int(o, "nodes_per_block", e->nodes_per_block);
    json_add(o, "node_info", nodes_info(r->nodes));
    json_add_str(o, "engine_type", e->type);
    json_add_str(o, "provider_type", json_str_or(e->provider, "type", "LocalProvider"));
    json_add_str(o, "queue", first_text(e->provider, "queue", "partition", NULL));
    json_add_str(o, "account", first_text(e->provider, "account", "allocation", "project"));
}

static void add_pool(struct json_object *o, const struct report *r)
{
    const struct engine *e = r->engine;
    struct nodes_count c;
    int64_t workers = engine_int(e, "max_workers");
    nodes_count(r->nodes, &c);
    json_add_int(o, "total_cores", sysconf(_SC_NPROCESSORS_ONLN));
    json_add_double(o, "total_mem", proc_memory_gib());
    json_add_int(o, "total_core_hrs", 0);
    json_add_int(o, "total_workers", workers);
    json_add_int(o, "pending_tasks",
                 (int64_t)(r->outstanding > c.held ? r->outstanding - c.held : 0));
    json_add_int(o, "outstanding_tasks", (int64_t)r->outstanding);
    json_add_bool(o, "scaling_enabled", false);
    json_add_int(o, "max_blocks", 1);
    json_add_int(o, "min_blocks", 1);
    json_add_int(o, "max_workers_per_node", workers);
    json_add_int(o, "nodes_per_block", 1);
    json_add_str(o, "engine_type", e->type);
}

struct json_object *report_state(const struct report *r)
{
    struct json_object *o = json_object_new_object();
    if (engine_is_pool(r->engine))
        add_pool(o, r);
    else
        add_pilot(o, r);
    json_object_object_foreach(r->identity, key, value)
    {
        json_object_object_add(o, key, json_object_get(value));
    }
    json_add_double(o, "heartbeat_period", r->heartbeat_period);
    json_add_bool(o, "active", r->active);
    return o;
}

struct json_object *report_status(const struct report *r, const struct report_moment *m)
{
    struct json_object *o = json_object_new_object(), *tasks = json_object_new_object();
    struct nodes_count c;
    nodes_count(r->nodes, &c);
    json_add_str(o, "endpoint_id", m->endpoint_id);
    json_add_int(o, "pid", getpid());
    json_add_str(o, "phase", m->phase);
    json_add_double(o, "now", clock_unix());
    json_add_double(o, "started", json_object_get_double(json_at(r->identity, "start_unix")));
    json_add_str(o, "engine", r->engine->type);
    json_add_str(o, "provider", json_str_or(r->engine->provider, "type", "LocalProvider"));
    json_add_bool(o, "taking_tasks", m->taking);
    json_add_bool(o, "publishing", m->publishing);
    json_add_int(tasks, "waiting", (int64_t)m->waiting);
    json_add_int(tasks, "on_nodes", (int64_t)c.held);
    json_add_int(tasks, "results_unconfirmed", (int64_t)m->unconfirmed);
    json_add_int(tasks, "received_total", (int64_t)m->received);
    json_add_int(tasks, "submitted_total", (int64_t)r->total);
    json_add_int(tasks, "confirmed_total", (int64_t)m->confirmed);
    json_add(o, "tasks", tasks);
    json_add_int(o, "workers", (int64_t)c.workers);
    json_add_int(o, "idle_workers", (int64_t)c.idle_workers);
    json_add_int(o, "max_blocks", r->engine->max_blocks);
    json_add(o, "blocks", nodes_blocks(r->nodes));
    json_add(o, "nodes", nodes_list(r->nodes));
    return o;
}
