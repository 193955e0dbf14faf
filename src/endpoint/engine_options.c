#include "endpoint/engine_options.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"

enum { C = 1, M = 2, P = 4, T = 8, PILOT = C | M, POOL = P | T, ALL = PILOT | POOL };

enum shape { TEXT, INT, NUMBER, BOOL, LIST, RANGE, MAP, ANY };

static const struct {
    const char *name;
    unsigned engines;
    enum shape shape;
    const char *otherwise; /* JSON; NULL = absent */
} table[] = {
    {"label", ALL, TEXT, NULL},
    {"max_retries_on_system_failure", ALL, INT, "0"},
    {"working_dir", ALL, TEXT, "\"tasks_working_dir\""},
    {"allowed_serializers", ALL, LIST, NULL},
    {"run_in_sandbox", PILOT, BOOL, "false"},
    {"encrypted", PILOT, BOOL, "true"},
    {"strategy", PILOT, ANY, NULL}, /* text or the mapping of old templates */
    {"job_status_kwargs", PILOT, MAP, NULL},
    {"container_type", PILOT, TEXT, NULL},
    {"container_uri", PILOT, TEXT, NULL},
    {"container_cmd_options", PILOT, TEXT, NULL},
    {"provider", PILOT, MAP, NULL},
    {"address", PILOT, ANY, NULL},
    {"loopback_address", PILOT, TEXT, "\"127.0.0.1\""},
    {"worker_port", PILOT, INT, NULL},
    {"worker_port_range", PILOT, RANGE, "[54000, 55000]"},
    {"interchange_port_range", PILOT, RANGE, NULL},
    {"prefetch_capacity", PILOT, INT, "0"},
    {"heartbeat_period", PILOT, INT, "30"},
    {"heartbeat_threshold", PILOT, INT, "120"},
    {"drain_period", PILOT, INT, NULL},
    {"poll_period", PILOT, INT, NULL},
    {"address_probe_timeout", PILOT, INT, NULL},
    {"worker_logdir_root", PILOT, TEXT, NULL},
    {"worker_debug", PILOT, BOOL, "false"},
    {"block_error_handler", PILOT, BOOL, "true"},
    {"launch_cmd", PILOT, TEXT, NULL},
    {"interchange_launch_cmd", PILOT, ANY, NULL},
    {"storage_access", PILOT, LIST, NULL},
    {"remote_monitoring_radio", PILOT, ANY, NULL},
    {"cores_per_worker", C, NUMBER, "1.0"},
    {"mem_per_worker", C, NUMBER, NULL},
    {"max_workers_per_node", C, INT, NULL},
    {"max_workers", C, INT, NULL}, /* its old name */
    {"cpu_affinity", C, TEXT, "\"none\""},
    {"available_accelerators", C, ANY, NULL},
    {"enable_mpi_mode", PILOT, BOOL, NULL},
    {"mpi_launcher", PILOT, TEXT, NULL},
    {"max_workers_per_block", M, INT, "1"},
    {"max_workers", POOL, INT, NULL},
    {"thread_name_prefix", T, TEXT, NULL},
    {"max_tasks_per_child", P, INT, NULL},
    {"python", PILOT | POOL, MAP, NULL}, /* ours: "3.12": interpreter */
};
#define ROWS (sizeof(table) / sizeof(table[0]))

static unsigned bit_of(enum engine_kind kind)
{
    static const unsigned bits[] = {
        [ENGINE_COMPUTE] = C, [ENGINE_MPI] = M, [ENGINE_PROCESSES] = P, [ENGINE_THREADS] = T};
    return bits[kind];
}

static const char *const wanted[] = {
    [TEXT] = "text",          [INT] = "a whole number", [NUMBER] = "a number",
    [BOOL] = "true or false", [LIST] = "a list",        [RANGE] = "a list of two port numbers",
    [MAP] = "a mapping",      [ANY] = "anything",
};

static bool is_range(struct json_object *v)
{
    if (!json_object_is_type(v, json_type_array) || json_object_array_length(v) != 2)
        return false;
    int64_t port[2];
    for (size_t i = 0; i < 2; i++) {
        struct json_object *p = json_object_array_get_idx(v, i);
        port[i] = json_object_is_type(p, json_type_int) ? json_object_get_int64(p) : 0;
    }
    return port[0] >= 1 && port[1] >= port[0] && port[1] <= 65535;
}

static bool fits(enum shape shape, struct json_object *v)
{
    enum json_type t = json_object_get_type(v);
    switch (shape) {
    case TEXT:
        return t == json_type_string;
    case INT:
        return t == json_type_int;
    case NUMBER:
        return t == json_type_int || t == json_type_double;
    case BOOL:
        return t == json_type_boolean;
    case LIST:
        return t == json_type_array;
    case RANGE:
        return is_range(v);
    case MAP:
        return t == json_type_object;
    case ANY:
        return true;
    }
    return false;
}

static int unknown(unsigned bit, const char *type, const char *key, struct err *err)
{
    autobuf struct buf known = BUF_INIT;
    for (size_t i = 0; i < ROWS; i++)
        if (table[i].engines & bit)
            buf_fmt(&known, "%s%s", known.len > 0 ? ", " : "", table[i].name);
    return err_set(err, "%s.__init__() got an unexpected keyword argument '%s'; known are %s", type,
                   key, known.data);
}

static int check_one(unsigned bit, const char *type, const char *key, struct json_object *v,
                     struct err *err)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (!(table[i].engines & bit) || strcmp(table[i].name, key) != 0)
            continue;
        if (fits(table[i].shape, v))
            return 0;
        autobuf struct buf shown = BUF_INIT;
        json_write(&shown, v);
        return err_set(err, "engine option %s must be %s, it is %s (%.80s)", key,
                       wanted[table[i].shape], json_kind(v), shown.data);
    }
    return unknown(bit, type, key, err);
}

int engine_options_read(enum engine_kind kind, const char *type, struct json_object *o,
                        struct json_object **out, struct err *err)
{
    unsigned bit = bit_of(kind);
    *out = json_object_new_object();
    json_object_object_foreach(o, key, value)
    {
        if (strcmp(key, "type") == 0 || value == NULL)
            continue;
        if (check_one(bit, type, key, value, err) != 0) {
            json_object_put(*out);
            *out = NULL;
            return -1;
        }
        json_object_object_add(*out, key, json_object_get(value));
    }
    for (size_t i = 0; i < ROWS; i++)
        if ((table[i].engines & bit) && table[i].otherwise != NULL &&
            json_at(*out, table[i].name) == NULL)
            json_add(*out, table[i].name, json_tokener_parse(table[i].otherwise));
    return 0;
}
