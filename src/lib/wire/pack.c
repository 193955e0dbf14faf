/* Writing message bodies: keys in the order in which the original writes them. */
#include "lib/wire/wire.h"

#include <inttypes.h>
#include <string.h>

static void open_body(struct buf *out, const char *type)
{
    buf_char(out, WIRE_VERSION);
    buf_fmt(out, "{\"message_type\":\"%s\",\"data\":{", type);
}

static void add_text(struct buf *out, const char *key, const char *text, size_t n)
{
    buf_fmt(out, "\"%s\":", key);
    buf_json_str(out, text, n);
}

void wire_pack_task(struct buf *out, const char *task_id, const char *task_buffer, size_t n)
{
    open_body(out, "task");
    add_text(out, "task_id", task_id, strlen(task_id));
    buf_str(out, ",\"container_id\":null,\"container\":null,");
    add_text(out, "task_buffer", task_buffer, n);
    buf_str(out, "}}");
}

void wire_pack_failure(struct buf *out, const struct wire_failure *f)
{
    const char *said =
        f->user_message ? f->user_message : "An error occurred during the execution of this task";
    open_body(out, "result");
    add_text(out, "task_id", f->task_id, strlen(f->task_id));
    buf_char(out, ',');
    add_text(out, "data", f->text, strlen(f->text));
    buf_str(out, ",\"details\":");
    if (f->details)
        json_write(out, f->details);
    else
        buf_str(out, "null");
    buf_str(out, ",\"error_details\":{");
    add_text(out, "code", f->code, strlen(f->code));
    buf_char(out, ',');
    add_text(out, "user_message", said, strlen(said));
    buf_fmt(out, "},\"task_statuses\":%s}}", f->statuses ? f->statuses : "null");
}

void wire_add_transition(struct buf *out, int64_t unix_ns, const char *state, const char *actor)
{
    buf_fmt(out, "{\"timestamp\":%" PRId64 ",\"state\":\"%s\",\"actor\":\"%s\"}", unix_ns, state,
            actor);
}

void wire_pack_status(struct buf *out, const char *endpoint_id, struct json_object *global_state,
                      struct json_object *task_statuses)
{
    open_body(out, "ep_status_report");
    add_text(out, "endpoint_id", endpoint_id, strlen(endpoint_id));
    buf_str(out, ",\"global_state\":");
    json_write(out, global_state);
    buf_str(out, ",\"task_statuses\":");
    if (task_statuses)
        json_write(out, task_statuses);
    else
        buf_str(out, "{}");
    buf_str(out, "}}");
}

void wire_pack_start_failure(struct buf *out, const char *endpoint_id, const char *text)
{
    struct json_object *state autojson = json_object_new_object();
    json_add_str(state, "error", text);
    json_add_int(state, "heartbeat_period", 3);
    wire_pack_status(out, endpoint_id, state, NULL);
}
