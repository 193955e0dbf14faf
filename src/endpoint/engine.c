/* Reading an engine: the table first, then what the types can't say. */
#include "endpoint/engine.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "endpoint/address.h"
#include "endpoint/blocks/blocks.h"
#include "endpoint/engine_options.h"
#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/base/log.h"

static const char *const types[] = {
    [ENGINE_COMPUTE] = "GlobusComputeEngine",
    [ENGINE_MPI] = "GlobusMPIEngine",
    [ENGINE_PROCESSES] = "ProcessPoolEngine",
    [ENGINE_THREADS] = "ThreadPoolEngine",
};

int64_t engine_int(const struct engine *e, const char *key)
{
    return json_object_get_int64(json_at(e->options, key));
}

static double engine_number(const struct engine *e, const char *key)
{
    return json_object_get_double(json_at(e->options, key));
}

bool engine_bool(const struct engine *e, const char *key)
{
    return json_object_get_boolean(json_at(e->options, key));
}

const char *engine_text(const struct engine *e, const char *key)
{
    return json_str_or(e->options, key, NULL);
}

bool engine_is_pool(const struct engine *e)
{
    return e->kind == ENGINE_PROCESSES || e->kind == ENGINE_THREADS;
}

static int read_type(struct engine *e, struct json_object *o, struct err *err)
{
    if (!json_object_is_type(o, json_type_object))
        return err_set(err, "engine must be a mapping with a type, it is %s", json_kind(o));
    const char *type = json_str_or(o, "type", NULL);
    for (size_t i = 0; type != NULL && i < sizeof(types) / sizeof(*types); i++)
        if (strcmp(types[i], type) == 0) {
            e->kind = (enum engine_kind)i;
            e->type = types[i];
            return 0;
        }
    const char *hint = type != NULL && (strcmp(type, "HighThroughputEngine") == 0 ||
                                        strcmp(type, "HighThroughputExecutor") == 0)
                           ? " (it was replaced by GlobusComputeEngine)"
                           : "";
    return err_set(err,
                   "'%s' is not a valid engine%s. Valid options are: GlobusComputeEngine, "
                   "GlobusMPIEngine, ProcessPoolEngine, ThreadPoolEngine",
                   type != NULL ? type : "", hint);
}

/* ---- strategy -------------------------------------------------------------------------------- */

static int set_strategy(struct engine *e, const char *name, struct err *err)
{
    if (strcmp(name, "simple") != 0 && strcmp(name, "htex_auto_scale") != 0 &&
        strcmp(name, "none") != 0)
        return err_set(err, "strategy '%s' is not known; known are simple, htex_auto_scale, none",
                       name);
    free(e->strategy);
    e->strategy = xstrdup(name);
    return 0;
}

static int positive(struct json_object *v, const char *key, double *out, struct err *err)
{
    if (!json_object_is_type(v, json_type_int) && !json_object_is_type(v, json_type_double))
        return err_set(err, "%s must be a number of seconds, it is %s", key, json_kind(v));
    *out = json_object_get_double(v);
    if (!(*out >= 0 && *out <= 1e9))
        return err_set(err, "%s must be a number of seconds, not %g", key, *out);
    return 0;
}

/* The mapping of templates from the days of release 2: {type: SimpleStrategy, max_idletime: 30} */
static int old_strategy(struct engine *e, struct json_object *o, struct err *err)
{
    static const char *const simple[] = {"SimpleStrategy", "KubeSimpleStrategy", NULL};
    static const char *const eager[] = {"HtexAutoScaleStrategy", "HtexAutoScale", "ComplexStrategy",
                                        NULL};
    const char *type = json_str_or(o, "type", ""), *name = NULL;
    for (size_t i = 0; simple[i] != NULL; i++)
        name = strcmp(type, simple[i]) == 0 ? "simple" : name;
    for (size_t i = 0; eager[i] != NULL; i++)
        name = strcmp(type, eager[i]) == 0 ? "htex_auto_scale" : name;
    if (name == NULL)
        return err_set(err,
                       "strategy type '%s' is not known; known are SimpleStrategy, "
                       "KubeSimpleStrategy, HtexAutoScaleStrategy, or the plain words simple, "
                       "htex_auto_scale, none",
                       type);
    e->max_idletime = 60;
    e->strategy_period = 1;
    json_object_object_foreach(o, key, value)
    {
        if (strcmp(key, "type") == 0 || value == NULL)
            continue;
        double *out = strcmp(key, "max_idletime") == 0 ? &e->max_idletime
                      : strcmp(key, "interval") == 0   ? &e->strategy_period
                                                       : NULL;
        if (out == NULL)
            return err_set(err,
                           "strategy does not know the option %s; it knows max_idletime and "
                           "interval",
                           key);
        if (positive(value, key, out, err) != 0)
            return -1;
    }
    return set_strategy(e, name, err);
}

static int job_status(struct engine *e, struct json_object *o, struct err *err)
{
    json_object_object_foreach(o, key, value)
    {
        int rc = 0;
        if (value == NULL)
            continue;
        if (strcmp(key, "strategy") == 0)
            rc = set_strategy(e, json_str_or(o, key, ""), err);
        else if (strcmp(key, "max_idletime") == 0)
            rc = positive(value, key, &e->max_idletime, err);
        else if (strcmp(key, "strategy_period") == 0)
            rc = positive(value, key, &e->strategy_period, err);
        else
            rc = err_set(err,
                         "job_status_kwargs does not know the option %s; it knows strategy, "
                         "max_idletime, strategy_period",
                         key);
        if (rc != 0)
            return -1;
    }
    return 0;
}

static int read_strategy(struct engine *e, struct err *err)
{
    struct json_object *o = json_at(e->options, "strategy");
    int rc;
    e->max_idletime = 120;
    e->strategy_period = 5;
    if (o == NULL)
        rc = set_strategy(e, "simple", err);
    else if (json_object_is_type(o, json_type_string))
        rc = set_strategy(e, json_object_get_string(o), err);
    else if (json_object_is_type(o, json_type_object))
        rc = old_strategy(e, o, err);
    else
        rc = err_set(err, "strategy must be simple, htex_auto_scale or none, it is %s",
                     json_kind(o));
    if (rc == 0 && json_at(e->options, "job_status_kwargs") != NULL)
        rc = job_status(e, json_at(e->options, "job_status_kwargs"), err);
    if (e->strategy_period < 0.2)
        e->strategy_period = 0.2;
    return rc;
}

/* ---- provider, addresses, workers ------------------------------------------------------------ */

static const char *provider_type(const struct engine *e)
{
    return json_str_or(e->provider, "type", "LocalProvider");
}

static int read_provider(struct engine *e, struct err *err)
{
    struct json_object *o = json_at(e->options, "provider");
    if (o == NULL)
        o = json_tokener_parse(engine_is_pool(e) ? "{\"type\":\"LocalProvider\",\"init_blocks\":0,"
                                                   "\"min_blocks\":0,\"max_blocks\":1}"
                                                 : "{\"type\":\"LocalProvider\"}");
    else
        json_object_get(o);
    e->provider = o;
    if (json_at(o, "type") == NULL)
        return err_set(err, "provider has no type");
    if (blocks_check(o, err) != 0)
        return -1;
    const char *launcher = json_str_or(o, "launcher.type", "");
    if (e->kind == ENGINE_MPI && strcmp(launcher, "SimpleLauncher") != 0)
        return err_set(err, "mpi_mode requires the provider to be configured to use a "
                            "SimpleLauncher");
    e->nodes_per_block = blocks_provider_int(o, "nodes_per_block");
    e->init_blocks = blocks_provider_int(o, "init_blocks");
    e->min_blocks = blocks_provider_int(o, "min_blocks");
    e->max_blocks = blocks_provider_int(o, "max_blocks");
    return 0;
}

/* Agents that can only run on this very host need no address that others see. */
static bool runs_here(const struct engine *e)
{
    const char *launcher = json_str_or(e->provider, "launcher.type", "SingleNodeLauncher");
    return engine_is_pool(e) || (strcmp(provider_type(e), "LocalProvider") == 0 &&
                                 engine_text(e, "container_type") == NULL &&
                                 (strcmp(launcher, "SingleNodeLauncher") == 0 ||
                                  strcmp(launcher, "SimpleLauncher") == 0));
}

static bool is_literal(const char *text)
{
    unsigned char bits[16];
    return inet_pton(AF_INET, text, bits) == 1 || inet_pton(AF_INET6, text, bits) == 1;
}

static int read_address(struct engine *e, struct err *err)
{
    struct json_object *spec = json_at(e->options, "address");
    struct json_object *range = json_at(e->options, "worker_port_range");
    e->stays_here = runs_here(e);
    if (spec != NULL)
        e->address = address_resolve(spec, err);
    else if (e->stays_here)
        e->address = xstrdup("127.0.0.1");
    else
        e->address = address_all();
    if (e->address == NULL)
        return -1;
    if (strpbrk(e->address, " \t\n'\"$`\\;&|<>(){}*?!#~") != NULL)
        return err_set(err, "address '%s' is neither an address nor a host name", e->address);
    if (is_literal(e->address))
        e->listen = xstrdup(e->address);
    if (range != NULL) {
        e->port_from = json_object_get_int(json_object_array_get_idx(range, 0));
        e->port_to = json_object_get_int(json_object_array_get_idx(range, 1));
    }
    e->port = (int)engine_int(e, "worker_port");
    if (e->port < 0 || e->port > 65535)
        return err_set(err, "worker_port must be a port from 1 to 65535, not %d", e->port);
    return 0;
}

/* int n → "0" … "n-1"; a list keeps its names, numbers become text. */
static int read_accelerators(struct engine *e, struct err *err)
{
    struct json_object *o = json_at(e->options, "available_accelerators");
    if (o == NULL)
        return 0;
    struct json_object *list = json_object_new_array();
    int64_t n = json_object_is_type(o, json_type_int) ? json_object_get_int64(o) : -1;
    bool ok = (n >= 0 && n <= 4096) || json_object_is_type(o, json_type_array);
    for (int64_t i = 0; ok && i < n; i++) {
        autofree char *name = xasprintf("%d", (int)i);
        json_object_array_add(list, json_object_new_string(name));
    }
    for (size_t i = 0; ok && n < 0 && i < json_object_array_length(o); i++) {
        struct json_object *v = json_object_array_get_idx(o, i);
        ok = json_object_is_type(v, json_type_string) || json_object_is_type(v, json_type_int);
        json_object_array_add(list, json_object_new_string(json_object_get_string(v)));
    }
    if (!ok) {
        json_object_put(list);
        return err_set(err,
                       "available_accelerators must be a number from 0 to 4096 or a list of "
                       "names, it is %s",
                       json_kind(o));
    }
    json_object_object_add(e->options, "available_accelerators", list);
    return 0;
}

static int check_affinity(const char *text, struct err *err)
{
    static const char *const words[] = {"none", "block", "block-reverse", "alternating"};
    for (size_t i = 0; i < 4; i++)
        if (strcmp(text, words[i]) == 0)
            return 0;
    if (strncmp(text, "list:", 5) == 0 && text[5] != '\0' &&
        text[5 + strspn(text + 5, "0123456789-,:")] == '\0')
        return 0;
    return err_set(err,
                   "cpu_affinity '%s' is not known; known are none, block, block-reverse, "
                   "alternating, list:<cores>:<cores>… with cores such as 0-3,8",
                   text);
}

static int not_below(const struct engine *e, const char *key, double least, struct err *err)
{
    struct json_object *v = json_at(e->options, key);
    if (v == NULL || json_object_get_double(v) >= least)
        return 0;
    return err_set(err, "engine option %s must be at least %g, it is %s", key, least,
                   json_object_get_string(v));
}

static int read_workers(struct engine *e, struct err *err)
{
    struct json_object *old = json_at(e->options, "max_workers");
    if (old != NULL && e->kind == ENGINE_COMPUTE) {
        log_warning("engine option max_workers is called max_workers_per_node now");
        if (json_at(e->options, "max_workers_per_node") == NULL)
            json_object_object_add(e->options, "max_workers_per_node", json_object_get(old));
    }
    if (engine_is_pool(e) && old == NULL) {
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        long n = e->kind == ENGINE_THREADS ? (cpus + 4 < 32 ? cpus + 4 : 32) : cpus;
        json_add_int(e->options, "max_workers", n);
    }
    if (read_accelerators(e, err) != 0 || not_below(e, "cores_per_worker", 1e-6, err) != 0 ||
        not_below(e, "mem_per_worker", 0, err) != 0 ||
        not_below(e, "max_workers_per_node", 0, err) != 0 ||
        not_below(e, "max_workers", engine_is_pool(e) ? 1 : 0, err) != 0 ||
        not_below(e, "prefetch_capacity", 0, err) != 0 ||
        not_below(e, "heartbeat_period", 1, err) != 0 ||
        not_below(e, "heartbeat_threshold", 1, err) != 0 ||
        not_below(e, "max_retries_on_system_failure", 0, err) != 0 ||
        not_below(e, "max_workers_per_block", 1, err) != 0)
        return -1;
    e->retries = engine_int(e, "max_retries_on_system_failure");
    const char *affinity = engine_text(e, "cpu_affinity");
    return affinity != NULL ? check_affinity(affinity, err) : 0;
}

/* Workers of a node as far as the configuration tells (5.3); 1 when it doesn't. */
static void count_slots(struct engine *e)
{
    double n = INFINITY, most = engine_number(e, "max_workers_per_node");
    double per_worker = engine_number(e, "cores_per_worker");
    double memory_each = engine_number(e, "mem_per_worker");
    double memory = json_object_get_double(json_at(e->provider, "mem_per_node"));
    double cores = json_object_get_double(json_at(e->provider, "cores_per_node"));
    size_t devices = 0;
    if (json_at(e->options, "available_accelerators") != NULL)
        devices = json_object_array_length(json_at(e->options, "available_accelerators"));
    if (e->kind == ENGINE_MPI)
        n = engine_number(e, "max_workers_per_block") / (double)e->nodes_per_block;
    if (engine_is_pool(e))
        n = engine_number(e, "max_workers");
    if (most > 0)
        n = fmin(n, most);
    if (memory > 0 && memory_each > 0)
        n = fmin(n, floor(memory / memory_each));
    if (cores > 0 && per_worker > 0)
        n = fmin(n, floor(cores / per_worker));
    if (devices > 0)
        n = fmin(n, (double)devices);
    e->slots_per_node = isinf(n) || n < 1 ? 1 : (int64_t)n;
}

static int check_containers(const struct engine *e, struct err *err)
{
    static const char *const known[] = {"docker",      "podman", "podman-hpc", "apptainer",
                                        "singularity", "custom", NULL};
    const char *type = engine_text(e, "container_type");
    size_t i = 0;
    if (type == NULL)
        return 0;
    while (known[i] != NULL && strcmp(known[i], type) != 0)
        i++;
    if (known[i] == NULL)
        return err_set(err,
                       "%s is not a valid container_type; known are docker, podman, "
                       "podman-hpc, apptainer, singularity, custom",
                       type);
    if (strcmp(type, "custom") == 0 && engine_text(e, "container_cmd_options") == NULL)
        return err_set(err, "GCE.container_cmd_options is required for GCE.container_type=custom");
    if (strcmp(type, "custom") != 0 && engine_text(e, "container_uri") == NULL)
        return err_set(err, "GCE.container_uri is required for GCE.container_type=%s", type);
    return 0;
}

static int check_mpi(const struct engine *e, struct err *err)
{
    const char *launcher = engine_text(e, "mpi_launcher");
    if (e->kind == ENGINE_COMPUTE && (engine_bool(e, "enable_mpi_mode") || launcher != NULL))
        return err_set(err, "MPI mode is not supported on GlobusComputeEngine. Use "
                            "GlobusMPIEngine instead.");
    if (e->kind == ENGINE_MPI && launcher != NULL && strcmp(launcher, "srun") != 0 &&
        strcmp(launcher, "aprun") != 0 && strcmp(launcher, "mpiexec") != 0)
        return err_set(err,
                       "mpi_launcher set to:%s must be set to one of ('srun', 'aprun', "
                       "'mpiexec')",
                       launcher);
    return 0;
}

/* Wildcards and classes: at least one code and one data entry (worker.md 3.1). */
static int check_serializers(const struct engine *e, struct err *err)
{
    struct json_object *list = json_at(e->options, "allowed_serializers");
    bool code = false, data = false;
    size_t n = list != NULL ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < n; i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        const char *name =
            json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
        if (strncmp(name, "globus_compute_sdk.", 19) != 0)
            return err_set(err,
                           "allowed_serializers: '%s' is not an import path below "
                           "globus_compute_sdk.serialize, nor globus_compute_sdk.*Code or "
                           "globus_compute_sdk.*Data",
                           name);
        bool is_data =
            strstr(name, "Data") != NULL || strcmp(name, "globus_compute_sdk.*Data") == 0;
        data = data || is_data;
        code = code || !is_data;
    }
    if (n > 0 && !(code && data))
        return err_set(err, "allowed_serializers needs at least one code and one data entry");
    return 0;
}

static char *executor_label(const struct engine *e)
{
    static const char *const executors[] = {[ENGINE_COMPUTE] = "HighThroughputExecutor",
                                            [ENGINE_MPI] = "MPIExecutor",
                                            [ENGINE_PROCESSES] = "ProcessPoolExecutor",
                                            [ENGINE_THREADS] = "ThreadPoolExecutor"};
    const char *label = engine_text(e, "label");
    char *out = xasprintf("%s-%s", label != NULL ? label : e->type, executors[e->kind]);
    for (char *p = out; *p != '\0'; p++)
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@+-", *p) ==
            NULL)
            *p = '_';
    return out;
}

int engine_read(struct json_object *o, struct engine *out, struct err *err)
{
    *out = (struct engine){.retries = 0};
    if (read_type(out, o, err) != 0)
        return -1;
    if (engine_options_read(out->kind, out->type, o, &out->options, err) != 0 ||
        check_mpi(out, err) != 0 || read_strategy(out, err) != 0 || read_workers(out, err) != 0 ||
        check_containers(out, err) != 0 || check_serializers(out, err) != 0 ||
        engine_check_python(out, getenv("GC_USER_PYTHON_VERSION"), err) != 0 ||
        read_provider(out, err) != 0 || read_address(out, err) != 0) {
        engine_clear(out);
        return -1;
    }
    if (engine_check_launch_cmd(out, err) != 0) {
        engine_clear(out);
        return -1;
    }
    engine_note_unused(&out->warnings, out->type, o);
    out->label = executor_label(out);
    out->encrypted = engine_is_pool(out) || engine_bool(out, "encrypted");
    count_slots(out);
    return 0;
}

void engine_clear(struct engine *e)
{
    json_object_put(e->options);
    json_object_put(e->provider);
    free(e->label);
    free(e->address);
    free(e->listen);
    free(e->strategy);
    buf_free(&e->warnings);
    memset(e, 0, sizeof(*e));
}
