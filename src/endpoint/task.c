#include "endpoint/task.h"

#include <math.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"

struct task *task_new(const char *id)
{
    struct task *t = xcalloc(1, sizeof(*t));
    strncpy(t->id, id, sizeof(t->id) - 1);
    t->priority = INFINITY;
    t->received_ns = clock_unix_ns();
    return t;
}

void task_free(struct task *t)
{
    if (t == NULL)
        return;
    amqp_message_free(t->message);
    free(t->journal_body);
    json_object_put(t->spec);
    json_object_put(t->serializers);
    failure_clear(&t->failure);
    free(t);
}

struct json_object *task_header(const struct task *t)
{
    struct json_object *o = json_object_new_object();
    json_add_str(o, "id", t->id);
    if (t->serializers != NULL)
        json_add(o, "serializers", json_object_get(t->serializers));
    if (t->spec != NULL)
        json_add(o, "spec", json_object_get(t->spec));
    return o;
}

void task_set_spec(struct task *t, struct json_object *spec)
{
    struct json_object *p = json_at(spec, "priority");
    t->spec = spec;
    if (json_object_is_type(p, json_type_int) || json_object_is_type(p, json_type_double))
        t->priority = json_object_get_double(p);
}
