/* POST /v2/submit, the earlier form: a list of [function, endpoint, payload] for one endpoint, an
 * answer for each task. */
#include <string.h>

#include "service/api/submit.h"

static bool invalid(struct call *c, const char *what)
{
    call_error(c, 422, "SEMANTICALLY_INVALID", "Request payload failed validation: %s", what);
    return false;
}

static bool function_index(struct call *c, struct submit *s, const char *text, size_t *out)
{
    char id[UUID_TEXT];
    if (!uuid_parse(text, id)) {
        call_error(c, 400, "INVALID_UUID", "tasks: %.60s is not a function's UUID", text);
        return false;
    }
    for (size_t i = 0; i < s->n_functions; i++) {
        if (strcmp(s->functions[i].id, id) == 0) {
            *out = i;
            return true;
        }
    }
    if (s->n_functions == SUBMIT_FUNCTIONS_MAX)
        return invalid(c, "there are too many functions");
    s->functions = xrealloc(s->functions, (s->n_functions + 1) * sizeof(*s->functions));
    memset(&s->functions[s->n_functions], 0, sizeof(*s->functions));
    strcpy(s->functions[s->n_functions].id, id);
    s->functions[s->n_functions].spelled = text;
    *out = s->n_functions++;
    return true;
}

static bool read_task(struct call *c, struct submit *s, struct json_object *item, size_t *bytes)
{
    const char *part[3];
    char endpoint[UUID_TEXT];
    if (!json_object_is_type(item, json_type_array) || json_object_array_length(item) != 3)
        return invalid(c, "a task is a list of function, endpoint and payload");
    for (size_t i = 0; i < 3; i++) {
        struct json_object *v = json_object_array_get_idx(item, i);
        if (!json_object_is_type(v, json_type_string))
            return invalid(c, "a task is a list of three strings");
        part[i] = json_object_get_string(v);
    }
    if (!uuid_parse(part[1], endpoint)) {
        call_error(c, 400, "INVALID_UUID", "tasks: %.60s is not an endpoint's UUID", part[1]);
        return false;
    }
    if (s->n_tasks && strcmp(s->endpoint_id, endpoint) != 0)
        return invalid(c, "all tasks of a request go to one endpoint");
    strcpy(s->endpoint_id, endpoint);
    struct submit_task *t = &s->tasks[s->n_tasks];
    if (!function_index(c, s, part[0], &t->function))
        return false;
    t->args = part[2];
    t->args_len = strlen(part[2]);
    *bytes += t->args_len;
    s->n_tasks++;
    return submit_is_packed(t->args) || invalid(c, "a task's payload is not a packed buffer");
}

static bool read_body(struct call *c, struct submit *s)
{
    struct json_object *o = call_json(c), *list = NULL;
    size_t bytes = 0;
    if (!o)
        return false;
    json_object_object_get_ex(o, "tasks", &list);
    if (!json_object_is_type(list, json_type_array)) {
        call_error(c, 400, "REQUEST_KEY_ERROR", "The request body lacks the list tasks");
        return false;
    }
    size_t n = json_object_array_length(list);
    if (n == 0)
        return invalid(c, "tasks is empty");
    if (n > TASKS_MAX) {
        call_error(c, 413, "BATCH_RUN_TOO_LARGE", "A request can hold at most %d tasks", TASKS_MAX);
        return false;
    }
    s->tasks = xcalloc(n, sizeof(*s->tasks));
    for (size_t i = 0; i < n; i++)
        if (!read_task(c, s, json_object_array_get_idx(list, i), &bytes))
            return false;
    if (bytes > BODY_SUBMIT_MAX) {
        call_error(c, 413, "TASK_PAYLOAD_TOO_LARGE",
                   "The payloads have %zu bytes; at most %u are accepted", bytes, BODY_SUBMIT_MAX);
        return false;
    }
    return field_bool(c, o, "create_websocket_queue", &s->create_queue) &&
           field_uuid(c, o, "task_group_id", false, s->group_id);
}

static void answer(struct call *c)
{
    struct submit *s = c->state;
    struct json_object *o = json_object_new_object(), *list = json_object_new_array();
    json_add_str(o, "response", "success");
    json_add_str(o, "task_group_id", s->group->id);
    for (size_t i = 0; i < s->n_tasks; i++) {
        struct json_object *t = json_object_new_object();
        json_add_str(t, "status", "success");
        json_add_str(t, "task_uuid", s->tasks[i].id);
        json_add_int(t, "http_status_code", 200);
        json_add_str(t, "reason", NULL);
        json_object_array_add(list, t);
    }
    json_add(o, "results", list);
    reply_json(c->req, 200, o);
}

static void begin(struct call *c)
{
    struct submit *s = xcalloc(1, sizeof(*s));
    c->state = s;
    c->free_state = submit_free;
    s->reply = answer;
    if (read_body(c, s))
        submit_go(c);
}

void on_submit_v2(struct req *r)
{
    call_begin(r, begin);
}
