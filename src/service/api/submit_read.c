/* The body of a submit, checked.  What a user endpoint would drop in silence (amqp.md 5) is refused
 * here, in words. */
#include <string.h>

#include "service/api/submit.h"

#define CONFIG_MAX (48u << 10) /* a manager's pipe takes 64 KiB of everything */
#define SPEC_MAX (16u << 10)

static bool invalid(struct call *c, const char *what)
{
    call_error(c, 422, "SEMANTICALLY_INVALID", "Request payload failed validation: %s", what);
    return false;
}

/* Packed buffers: "<digits>\n" and what follows. */
bool submit_is_packed(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n > 0 && n < 12 && s[n] == '\n';
}

static bool read_payloads(struct call *c, struct submit *s, size_t index, struct json_object *list,
                          size_t *bytes)
{
    size_t n = json_object_array_length(list);
    if (n > TASKS_MAX - s->n_tasks) {
        call_error(c, 413, "BATCH_RUN_TOO_LARGE", "A request can hold at most %d tasks", TASKS_MAX);
        return false;
    }
    s->tasks = xrealloc(s->tasks, (s->n_tasks + n + 1) * sizeof(*s->tasks));
    for (size_t i = 0; i < n; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        struct submit_task *t = &s->tasks[s->n_tasks++];
        memset(t, 0, sizeof(*t));
        if (!json_object_is_type(item, json_type_string))
            return invalid(c, "a task's payload is not a string");
        t->function = index;
        t->args = json_object_get_string(item);
        t->args_len = (size_t)json_object_get_string_len(item);
        *bytes += t->args_len;
        if (strlen(t->args) != t->args_len || !submit_is_packed(t->args))
            return invalid(c, "a task's payload is not a packed buffer");
    }
    s->functions[index].count = n;
    return true;
}

static bool read_tasks(struct call *c, struct submit *s, struct json_object *tasks)
{
    size_t bytes = 0, n = (size_t)json_object_object_length(tasks);
    if (n > SUBMIT_FUNCTIONS_MAX) {
        call_error(c, 413, "BATCH_RUN_TOO_LARGE", "A request can hold at most %d functions",
                   SUBMIT_FUNCTIONS_MAX);
        return false;
    }
    s->functions = xcalloc(n + 1, sizeof(*s->functions));
    json_object_object_foreach(tasks, key, list)
    {
        struct submit_function *f = &s->functions[s->n_functions];
        f->spelled = key;
        if (!uuid_parse(key, f->id)) {
            call_error(c, 400, "INVALID_UUID", "tasks: %.60s is not a function's UUID", key);
            return false;
        }
        if (!json_object_is_type(list, json_type_array))
            return invalid(c, "tasks: a function's payloads are not a list");
        s->n_functions++;
        if (!read_payloads(c, s, s->n_functions - 1, list, &bytes))
            return false;
    }
    if (bytes > BODY_SUBMIT_MAX) {
        call_error(c, 413, "TASK_PAYLOAD_TOO_LARGE",
                   "The payloads have %zu bytes; at most %u are accepted", bytes, BODY_SUBMIT_MAX);
        return false;
    }
    return true;
}

static bool read_options(struct call *c, struct submit *s, struct json_object *o)
{
    struct json_object *spec, *names = NULL;
    struct buf b = BUF_INIT;
    if (!field_obj(c, o, "resource_specification", false, &spec))
        return false;
    json_object_object_get_ex(o, "result_serializers", &names);
    if (names && !json_object_is_type(names, json_type_array))
        return invalid(c, "result_serializers is not a list");
    size_t n = names ? json_object_array_length(names) : 0;
    if (n > 32)
        return invalid(c, "result_serializers has more than 32 members");
    for (size_t i = 0; i < n; i++) {
        struct json_object *name = json_object_array_get_idx(names, i);
        if (!json_object_is_type(name, json_type_string) || json_object_get_string_len(name) > 500)
            return invalid(c, "result_serializers has a member that is not an import path");
    }
    if ((!spec || json_object_object_length(spec) == 0) && n == 0)
        return true;
    autojson struct json_object *opts = json_object_new_object();
    if (spec && json_object_object_length(spec))
        json_add(opts, "resource_specification", json_object_get(spec));
    if (n)
        json_add(opts, "result_serializers", json_object_get(names));
    json_write(&b, opts);
    s->opts = buf_take(&b);
    return strlen(s->opts) <= SPEC_MAX || invalid(c, "resource_specification is too large");
}

static bool read_config(struct call *c, struct submit *s, struct json_object *o)
{
    autobuf struct buf b = BUF_INIT;
    if (!field_obj(c, o, "user_endpoint_config", false, &s->config) ||
        !field_obj(c, o, "user_runtime", false, &s->runtime))
        return false;
    if (s->config)
        json_write(&b, s->config);
    if (b.len > CONFIG_MAX)
        return invalid(c, "user_endpoint_config is larger than 48 KiB");
    buf_clear(&b);
    if (s->runtime)
        json_write(&b, s->runtime);
    return b.len <= SPEC_MAX || invalid(c, "user_runtime is larger than 16 KiB");
}

bool submit_read(struct call *c, struct submit *s)
{
    struct json_object *o = call_json(c), *tasks;
    if (!o)
        return false;
    return field_obj(c, o, "tasks", true, &tasks) && read_tasks(c, s, tasks) &&
           field_bool(c, o, "create_queue", &s->create_queue) &&
           field_uuid(c, o, "task_group_id", false, s->group_id) && read_options(c, s, o) &&
           read_config(c, s, o);
}
