/* Options that are accepted for the sake of templates in the field and have no effect here.
 * docs/differences-batch.md lists them with the same reasons. */
#include <string.h>

#include "endpoint/engine_options.h"

static const struct {
    const char *owner; /* engine or provider type; NULL = every engine */
    const char *option, *reason;
} table[] = {
    {NULL, "interchange_launch_cmd", "there is no interchange process"},
    {NULL, "interchange_port_range", "there is no interchange process"},
    {NULL, "loopback_address", "there is no interchange process"},
    {NULL, "poll_period", "nothing is polled"},
    {NULL, "storage_access", "files are not staged"},
    {NULL, "remote_monitoring_radio", "there is no Parsl monitoring"},
    {"ThreadPoolEngine", "thread_name_prefix", "workers are processes"},
    {"SlurmProvider", "move_files", "scripts lie on a file system that the nodes share"},
    {"LocalProvider", "move_files", "scripts lie on a file system that the nodes share"},
    {"CondorProvider", "walltime",
     "HTCondor has no such limit; scheduler_options may set periodic_remove"},
};

static bool says_something(struct json_object *v)
{
    return v != NULL &&
           !(json_object_is_type(v, json_type_array) && json_object_array_length(v) == 0);
}

static void note(struct buf *out, const char *what, const char *type, struct json_object *given)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        bool fits = table[i].owner != NULL ? strcmp(table[i].owner, type) == 0
                                           : strcmp(what, "engine") == 0;
        if (fits && says_something(json_object_object_get(given, table[i].option)))
            buf_fmt(out, "%s option %s has no effect: %s\n", what, table[i].option,
                    table[i].reason);
    }
}

void engine_note_unused(struct buf *out, const char *type, struct json_object *given)
{
    struct json_object *provider = json_object_object_get(given, "provider");
    note(out, "engine", type, given);
    if (json_object_is_type(provider, json_type_object))
        note(out, "provider", json_str_or(provider, "type", ""), provider);
}
