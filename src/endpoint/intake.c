#include "endpoint/intake.h"

#include <string.h>

#include "lib/link/link.h"

#define SPEC_MAX (32u << 10) /* it travels in a header of the link, which has a limit as well */
#define SERIALIZERS_MAX 64

/* A JSON text; nothing, "" and null are no specification. */
static int read_spec(const char *text, struct json_object **out, struct err *err)
{
    *out = NULL;
    if (text == NULL || text[strspn(text, " \t\r\n")] == '\0')
        return 0;
    if (strcmp(text + strspn(text, " \t\r\n"), "null") == 0)
        return 0;
    *out = json_read(text, strlen(text), SPEC_MAX, "resource_specification", err);
    return *out != NULL ? 0 : -1;
}

enum intake_verdict intake_judge(const struct intake_headers *h, char id[UUID_TEXT],
                                 char function_id[UUID_TEXT], struct json_object **spec,
                                 struct err *err)
{
    *spec = NULL;
    id[0] = function_id[0] = '\0';
    if (h->task_id == NULL || !uuid_parse(h->task_id, id)) {
        id[0] = '\0';
        err_set(err, "a message on the task queue has %s task_uuid header; it is rejected",
                h->task_id == NULL ? "no" : "an invalid");
        return INTAKE_REJECT;
    }
    if (h->function_id == NULL || !uuid_parse(h->function_id, function_id)) {
        function_id[0] = '\0';
        err_set(err, "the message has %s function_uuid header",
                h->function_id == NULL ? "no" : "an invalid");
        return INTAKE_FAIL;
    }
    if (read_spec(h->resource_specification, spec, err) != 0)
        return INTAKE_FAIL;
    return INTAKE_TASK;
}

static struct json_object *read_serializers(const struct amqp_message *m)
{
    struct json_object *list = NULL;
    const char *name;
    for (size_t i = 0; i < SERIALIZERS_MAX; i++) {
        name = amqp_header_array(m, "result_serializers", i);
        if (name == NULL)
            break;
        if (list == NULL)
            list = json_object_new_array();
        json_object_array_add(list, json_object_new_string(name));
    }
    return list;
}

enum intake_verdict intake_read(struct amqp_message *m, struct task **task, char id[UUID_TEXT],
                                struct err *err)
{
    struct intake_headers h = {amqp_header_str(m, "task_uuid"), amqp_header_str(m, "function_uuid"),
                               amqp_header_str(m, "resource_specification")};
    char function_id[UUID_TEXT];
    struct json_object *spec;
    *task = NULL;
    enum intake_verdict verdict = intake_judge(&h, id, function_id, &spec, err);
    if (verdict == INTAKE_TASK && m->body_len > LINK_BODY_MAX - 1024) {
        err_set(err, "its message of %zu bytes is too large, at most %u are accepted", m->body_len,
                LINK_BODY_MAX - 1024);
        verdict = INTAKE_FAIL;
    }
    if (verdict != INTAKE_TASK) {
        json_object_put(spec);
        return verdict;
    }
    struct task *t = task_new(id);
    strcpy(t->function_id, function_id);
    task_set_spec(t, spec);
    t->serializers = read_serializers(m);
    t->message = m;
    t->tag = m->tag;
    t->body = m->body;
    t->body_len = m->body_len;
    *task = t;
    return INTAKE_TASK;
}
