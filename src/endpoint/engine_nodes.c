/* What an engine tells its nodes, and what it asks of a task. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "endpoint/engine.h"
#include "endpoint/engine_options.h"
#include "endpoint/launch_cmd.h"
#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/base/paths.h"
#include "lib/wire/wire.h"

static void pass_on(struct json_object *into, const char *as, const struct engine *e,
                    const char *key)
{
    struct json_object *v = json_at(e->options, key);
    if (v != NULL)
        json_object_object_add(into, as, json_object_get(v));
}

struct json_object *engine_settings(const struct engine *e, const char *dir,
                                    const char *endpoint_id, bool debug)
{
    struct json_object *o = json_object_new_object();
    const char *work = engine_text(e, "working_dir"), *logs = engine_text(e, "worker_logdir_root");
    autofree char *run_dir = work[0] == '/' ? xstrdup(work) : xasprintf("%s/%s", dir, work);
    autofree char *log_dir = xasprintf("%s/%s", logs != NULL ? logs : dir, e->label);
    json_add_str(o, "run_dir", run_dir);
    json_add_str(o, "log_dir", log_dir);
    json_add_str(o, "endpoint_id", endpoint_id);
    json_add_int(o, "result_max", WIRE_RESULT_MAX);
    json_add_bool(o, "sandbox", engine_bool(e, "run_in_sandbox"));
    json_add_bool(o, "debug", debug || engine_bool(e, "worker_debug"));
    pass_on(o, "allowed_serializers", e, "allowed_serializers");
    pass_on(o, "python", e, "python");
    if (getenv("GC_USER_PYTHON_VERSION") != NULL)
        json_add_str(o, "user_python", getenv("GC_USER_PYTHON_VERSION"));
    if (engine_is_pool(e)) {
        /* As many as asked for, whatever the cores. */
        pass_on(o, "max_workers", e, "max_workers");
        json_add_double(o, "cores_per_worker", 1e-4);
        pass_on(o, "max_tasks_per_child", e, "max_tasks_per_child");
        if (getenv("GLOBUS_COMPUTE_LOG_PATH") != NULL)
            json_add_str(o, "output", getenv("GLOBUS_COMPUTE_LOG_PATH"));
        return o;
    }
    pass_on(o, "max_workers", e, "max_workers_per_node");
    pass_on(o, "cores_per_worker", e, "cores_per_worker");
    pass_on(o, "mem_per_worker", e, "mem_per_worker");
    pass_on(o, "cpu_affinity", e, "cpu_affinity");
    pass_on(o, "accelerators", e, "available_accelerators");
    pass_on(o, "prefetch", e, "prefetch_capacity");
    pass_on(o, "heartbeat_period", e, "heartbeat_period");
    pass_on(o, "heartbeat_threshold", e, "heartbeat_threshold");
    pass_on(o, "drain_period", e, "drain_period");
    if (e->kind == ENGINE_MPI) {
        const char *launcher = engine_text(e, "mpi_launcher");
        json_add_str(o, "mpi_launcher", launcher != NULL ? launcher : "mpiexec");
        pass_on(o, "max_workers_per_block", e, "max_workers_per_block");
    }
    return o;
}

/* ---- the command ----------------------------------------------------------------------------- */

static void quote(struct buf *out, const char *text)
{
    if (*text != '\0' && text[strcspn(text, " \t\n'\"$`\\;&|<>(){}[]*?!#~")] == '\0') {
        buf_str(out, text);
        return;
    }
    buf_char(out, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            buf_str(out, "'\\''");
        else
            buf_char(out, *text);
    }
    buf_char(out, '\'');
}

static void bare_command(struct buf *out, const struct engine *e, int port, const char *key_file,
                         bool debug)
{
    autofree char *agent = paths_libexec("node-agent");
    int64_t probe = engine_int(e, "address_probe_timeout");
    quote(out, agent);
    buf_fmt(out, " --addresses %s --port %d --key-file ", e->address, port);
    quote(out, key_file);
    buf_str(out, " --block-id {block_id}");
    if (probe > 0)
        buf_fmt(out, " --probe-timeout %lld", (long long)probe);
    if (e->stays_here)
        buf_fmt(out, " --while-pid %d", (int)getpid());
    if (!e->encrypted)
        buf_str(out, " --plain");
    if (debug || engine_bool(e, "worker_debug"))
        buf_str(out, " --debug");
}

static void replace(struct buf *out, const char *text, const char *what, const char *by)
{
    const char *at;
    while ((at = strstr(text, what)) != NULL) {
        buf_add(out, text, (size_t)(at - text));
        buf_str(out, by);
        text = at + strlen(what);
    }
    buf_str(out, text);
}

/* ---- launch_cmd ------------------------------------------------------------------------------ */

struct launch_values {
    const struct engine *e;
    const char *dir, *key_file;
    int port;
    bool debug;
};

/* As Python prints an option. */
static void option_value(struct buf *out, const struct engine *e, const char *key)
{
    struct json_object *v = json_at(e->options, key);
    buf_str(out, v != NULL ? json_object_get_string(v) : "None");
}

static void accelerators_value(struct buf *out, const struct engine *e)
{
    struct json_object *list = json_at(e->options, "available_accelerators");
    for (size_t i = 0; list != NULL && i < json_object_array_length(list); i++)
        buf_fmt(out, "%s%s", i > 0 ? " " : "",
                json_object_get_string(json_object_array_get_idx(list, i)));
}

static bool launch_value_cb(void *arg, const char *name, struct buf *out)
{
    static const char *const options[] = {
        "prefetch_capacity", "cores_per_worker",    "mem_per_worker", "poll_period",
        "heartbeat_period",  "heartbeat_threshold", "drain_period",   "cpu_affinity"};
    const struct launch_values *v = arg;
    const struct engine *e = v->e;
    int64_t most = engine_int(e, "max_workers_per_node");
    int64_t probe = engine_int(e, "address_probe_timeout");
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (strcmp(name, options[i]) == 0) {
            option_value(out, e, name);
            return true;
        }
    if (strcmp(name, "debug") == 0)
        buf_str(out, v->debug || engine_bool(e, "worker_debug") ? "--debug" : "");
    else if (strcmp(name, "max_workers_per_node") == 0 && most > 0)
        buf_fmt(out, "--max_workers_per_node=%lld", (long long)most);
    else if (strcmp(name, "address_probe_timeout_string") == 0 && probe > 0)
        buf_fmt(out, "--address_probe_timeout=%lld", (long long)probe);
    else if (strcmp(name, "addresses") == 0)
        buf_str(out, e->address);
    else if (strcmp(name, "worker_port") == 0)
        buf_fmt(out, "%d", v->port);
    else if (strcmp(name, "cert_dir") == 0)
        buf_add(out, v->key_file, (size_t)(strrchr(v->key_file, '/') - v->key_file));
    else if (strcmp(name, "logdir") == 0)
        buf_fmt(out, "%s/%s", v->dir, e->label);
    else if (strcmp(name, "logconf") == 0)
        buf_str(out, "None");
    else if (strcmp(name, "enable_mpi_mode") == 0)
        buf_str(out, e->kind == ENGINE_MPI ? "--enable_mpi_mode " : "");
    else if (strcmp(name, "mpi_launcher") == 0)
        buf_str(out, engine_text(e, "mpi_launcher") != NULL ? engine_text(e, "mpi_launcher")
                                                            : "mpiexec");
    else if (strcmp(name, "accelerators") == 0)
        accelerators_value(out, e);
    else if (strcmp(name, "nodes_per_block") == 0)
        buf_fmt(out, "%lld", (long long)e->nodes_per_block);
    else
        return strcmp(name, "max_workers_per_node") == 0 ||
               strcmp(name, "address_probe_timeout_string") == 0;
    return true;
}

int engine_check_launch_cmd(struct engine *e, struct err *err)
{
    const char *text = engine_text(e, "launch_cmd");
    struct launch_values v = {.e = e, .dir = "/", .key_file = "/key", .port = 1};
    autobuf struct buf out = BUF_INIT, lost = BUF_INIT;
    if (text == NULL)
        return 0;
    if (launch_cmd_write(&out, text, "agent", launch_value_cb, &v, &lost, err) != 0)
        return -1;
    if (lost.len > 0)
        buf_fmt(&e->warnings,
                "engine option launch_cmd: %s has no effect; set the engine's own options "
                "instead (cores_per_worker, prefetch_capacity, ...)\n",
                lost.data);
    return 0;
}

static void node_command(struct buf *out, const struct engine *e, const char *dir, int port,
                         const char *key_file, bool debug)
{
    const char *text = engine_text(e, "launch_cmd");
    autobuf struct buf agent = BUF_INIT;
    struct launch_values v = {
        .e = e, .dir = dir, .key_file = key_file, .port = port, .debug = debug};
    bare_command(&agent, e, port, key_file, debug);
    if (text == NULL || launch_cmd_write(out, text, agent.data, launch_value_cb, &v, NULL, NULL))
        buf_str(out, agent.data); /* a wrong one was refused at the start */
}

char *engine_command(const struct engine *e, const char *dir, int port, const char *key_file,
                     bool debug)
{
    struct buf bare = BUF_INIT, out = BUF_INIT;
    const char *type = engine_text(e, "container_type");
    const char *options = engine_text(e, "container_cmd_options");
    node_command(&bare, e, dir, port, key_file, debug);
    if (type == NULL)
        return buf_take(&bare);
    if (strcmp(type, "custom") == 0) {
        autobuf struct buf half = BUF_INIT;
        replace(&half, options, "{EXECUTOR_RUNDIR}", dir);
        replace(&out, half.data, "{EXECUTOR_LAUNCH_CMD}", bare.data);
    } else if (strcmp(type, "apptainer") == 0 || strcmp(type, "singularity") == 0) {
        buf_fmt(&out, "%s run %s %s %s", type, options != NULL ? options : "",
                engine_text(e, "container_uri"), bare.data);
    } else {
        buf_fmt(&out, "%s run %s -v %s:%s -t %s %s", type, options != NULL ? options : "", dir, dir,
                engine_text(e, "container_uri"), bare.data);
    }
    buf_free(&bare);
    return buf_take(&out);
}

/* ---- resource specifications ----------------------------------------------------------------- */

#define INVALID                                                                                    \
    "parsl.executors.errors.InvalidResourceSpecification: Invalid Resource Specification "         \
    "Supplied: "

/* Keys that are not in `known`, as Python prints a set. */
static void other_keys(struct buf *out, struct json_object *spec, const char *known)
{
    json_object_object_foreach(spec, key, value)
    {
        (void)value;
        autofree char *word = xasprintf(" %s ", key);
        if (strstr(known, word) == NULL)
            buf_fmt(out, "%s'%s'", out->len > 0 ? ", " : "", key);
    }
}

static int check_pool(const struct engine *e, struct err *err)
{
    return err_set(err,
                   "ValueError: resource_specification is not supported on %s.  For MPI apps, use "
                   "GlobusMPIEngine.",
                   e->type);
}

static int check_compute(struct json_object *spec, struct err *err)
{
    autobuf struct buf others = BUF_INIT;
    other_keys(&others, spec, " priority ");
    if (others.len > 0)
        return err_set(err,
                       INVALID "{%s}. Task resource specification only accepts these types of "
                               "resources: priority",
                       others.data);
    struct json_object *p = json_at(spec, "priority");
    if (p != NULL && !json_object_is_type(p, json_type_int) &&
        !json_object_is_type(p, json_type_double))
        return err_set(err, INVALID "priority must be a number, it is %s", json_kind(p));
    return 0;
}

static int whole(struct json_object *spec, const char *key, int64_t least, int64_t most,
                 int64_t *out, struct err *err)
{
    struct json_object *v = json_at(spec, key);
    *out = 0;
    if (v == NULL)
        return 0;
    double n = json_object_get_double(v);
    bool number = json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double);
    if (!number || n != floor(n) || n < (double)least || n > (double)most)
        return err_set(err, INVALID "%s must be a whole number from %lld to %lld, it is %s", key,
                       (long long)least, (long long)most, json_object_get_string(v));
    *out = (int64_t)n;
    return 0;
}

static int check_mpi_spec(const struct engine *e, struct json_object *spec, struct err *err)
{
    autobuf struct buf others = BUF_INIT;
    int64_t nodes, ranks, per_node;
    if (json_object_object_length(spec) == 0)
        return err_set(err, INVALID "set(). MPI mode requires optional "
                                    "parsl_resource_specification keyword argument to be "
                                    "configured");
    other_keys(&others, spec, " num_nodes num_ranks ranks_per_node launcher_options priority ");
    if (others.len > 0)
        return err_set(err, INVALID "{%s}. ", others.data);
    if (whole(spec, "num_nodes", 1, e->nodes_per_block, &nodes, err) != 0 ||
        whole(spec, "num_ranks", 1, 1 << 30, &ranks, err) != 0 ||
        whole(spec, "ranks_per_node", 1, 1 << 20, &per_node, err) != 0)
        return -1;
    if (nodes == 0)
        nodes = 1;
    if (ranks > 0 && per_node == 0 && ranks % nodes != 0)
        return err_set(err,
                       INVALID "num_ranks %lld can't be divided evenly over num_nodes %lld; give "
                               "ranks_per_node",
                       (long long)ranks, (long long)nodes);
    return 0;
}

int engine_check_spec(const struct engine *e, struct json_object *spec, struct err *err)
{
    autojson struct json_object *none = json_object_new_object();
    struct json_object *o = spec != NULL ? spec : none;
    if (!json_object_is_type(o, json_type_object))
        return err_set(err, INVALID "it must be a mapping, it is %s", json_kind(o));
    if (e->kind == ENGINE_MPI)
        return check_mpi_spec(e, o, err);
    if (json_object_object_length(o) == 0)
        return 0;
    return engine_is_pool(e) ? check_pool(e, err) : check_compute(o, err);
}
