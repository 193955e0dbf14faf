/* The start command (amqp.md 8): what a manager is told, signed. */
#include "service/api/grants.h"
#include "service/api/private.h"

#define EXPIRES_MS "10000" /* it would pile up for a manager that is away */

static struct json_object *body_of(struct api *a, const struct start_command *s)
{
    struct json_object *o = json_object_new_object();
    struct json_object *kwargs = json_object_new_object();
    autofree char *name = xasprintf("uep.%s.%s", s->endpoint, s->uep);
    json_add_str(kwargs, "name", name);
    json_add(kwargs, "user_opts",
             s->config ? json_object_get(s->config) : json_object_new_object());
    if (s->runtime)
        json_add(kwargs, "user_runtime", json_object_get(s->runtime));
    json_add(kwargs, "amqp_creds", broker_queue_infos(a->broker, s->uep, s->password, false, true));
    json_add_str(o, "command", "cmd_start_endpoint");
    json_add(o, "args", json_object_new_array());
    json_add(o, "kwargs", kwargs);
    json_add_str(o, "globus_username", s->username);
    json_add_str(o, "globus_effective_identity", s->owner);
    json_add(o, "globus_identity_set", json_object_get(s->identity_set));
    return o;
}

static void outcome(void *arg, enum amqp_outcome outcome)
{
    (void)arg;
    if (outcome != AMQP_ACKED)
        log_warning("event=start-command outcome=%s",
                    outcome == AMQP_RETURNED ? "no command queue" : "lost");
}

static amqp_table_entry_t text_header(const char *key, const char *value)
{
    return (amqp_table_entry_t){
        .key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)}};
}

void start_command_send(struct api *a, const struct start_command *s)
{
    struct buf b = BUF_INIT;
    autojson struct json_object *o = body_of(a, s);
    autofree char *key = xasprintf("%s.commands", s->endpoint);
    int64_t now_s = (int64_t)clock_unix();
    json_write(&b, o);
    const struct grant what = {.endpoint_id = s->endpoint,
                               .identity = s->owner,
                               .user_endpoint_id = s->uep,
                               .body = b.data,
                               .body_len = b.len};
    autofree char *grant = grants_header(a->grants, &what, now_s);
    amqp_table_entry_t headers[] = {text_header("request_id", s->request_id),
                                    text_header(GRANT_HEADER, grant)};
    amqp_basic_properties_t props = amqp_props("application/json", now_s, EXPIRES_MS);
    props._flags |= AMQP_BASIC_CONTENT_ENCODING_FLAG | AMQP_BASIC_HEADERS_FLAG;
    props.content_encoding = amqp_cstring_bytes("utf-8");
    props.headers = (amqp_table_t){.num_entries = 2, .entries = headers};
    log_info("event=start-command uep=%s endpoint=%s user=%s request=%s", s->uep, s->endpoint,
             s->username, s->request_id);
    size_t n = b.len;
    broker_publish(a->broker, "commands", key, buf_take(&b), n, &props, outcome, NULL);
    fault_point("start-published");
}
