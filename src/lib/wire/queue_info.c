/* Queue-info objects: the strings, and pika's property names turned into rabbitmq-c's structure. */
#include "lib/wire/queue_info.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"

#define HEADERS_MAX 64

/* The property strings point into `source`, which is kept for as long. */
struct wire_props {
    amqp_basic_properties_t p;
    struct json_object *source;
    amqp_table_entry_t headers[HEADERS_MAX];
};

static int header_value(struct json_object *v, amqp_field_value_t *out, const char *name,
                        struct err *err)
{
    switch (json_object_get_type(v)) {
    case json_type_string:
        out->kind = AMQP_FIELD_KIND_UTF8;
        out->value.bytes = amqp_cstring_bytes(json_object_get_string(v));
        return 0;
    case json_type_int:
        out->kind = AMQP_FIELD_KIND_I64;
        out->value.i64 = json_object_get_int64(v);
        return 0;
    case json_type_double:
        out->kind = AMQP_FIELD_KIND_F64;
        out->value.f64 = json_object_get_double(v);
        return 0;
    case json_type_boolean:
        out->kind = AMQP_FIELD_KIND_BOOLEAN;
        out->value.boolean = json_object_get_boolean(v);
        return 0;
    case json_type_null:
        out->kind = AMQP_FIELD_KIND_VOID;
        return 0;
    default:
        return err_set(err,
                       "properties.headers.%s is %s; a string, number, boolean or null is accepted",
                       name, json_kind(v));
    }
}

static int read_headers(struct wire_props *m, struct json_object *headers, struct err *err)
{
    if (!json_object_is_type(headers, json_type_object))
        return err_set(err, "properties.headers is %s, wanted an object", json_kind(headers));
    int n = 0;
    json_object_object_foreach(headers, name, value)
    {
        if (n == HEADERS_MAX)
            return err_set(err, "properties.headers has more than %d entries", HEADERS_MAX);
        m->headers[n].key = amqp_cstring_bytes(name);
        if (header_value(value, &m->headers[n++].value, name, err) != 0)
            return -1;
    }
    m->p.headers = (amqp_table_t){.num_entries = n, .entries = m->headers};
    m->p._flags |= AMQP_BASIC_HEADERS_FLAG;
    return 0;
}

struct text_prop {
    const char *name;
    amqp_bytes_t *to;
    amqp_flags_t flag;
};

/* 1 = it was one of them. */
static int read_text_prop(const struct text_prop *table, const char *name, struct json_object *v,
                          amqp_flags_t *flags, struct err *err)
{
    for (const struct text_prop *t = table; t->name; t++) {
        if (strcmp(t->name, name) != 0)
            continue;
        if (!json_object_is_type(v, json_type_string))
            return err_set(err, "properties.%s is %s, wanted a string", name, json_kind(v));
        *t->to = amqp_cstring_bytes(json_object_get_string(v));
        *flags |= t->flag;
        return 1;
    }
    return 0;
}

static int read_number_prop(struct wire_props *m, const char *name, struct json_object *v,
                            struct err *err)
{
    bool mode = strcmp(name, "delivery_mode") == 0, prio = strcmp(name, "priority") == 0;
    if (!mode && !prio && strcmp(name, "timestamp") != 0)
        return err_set(err, "properties.%s is not an AMQP basic property", name);
    if (!json_object_is_type(v, json_type_int))
        return err_set(err, "properties.%s is %s, wanted an integer", name, json_kind(v));
    int64_t n = json_object_get_int64(v);
    if (n < 0 || ((mode || prio) && n > 255))
        return err_set(err, "properties.%s is out of range", name);
    if (mode)
        m->p.delivery_mode = (uint8_t)n;
    else if (prio)
        m->p.priority = (uint8_t)n;
    else
        m->p.timestamp = (uint64_t)n;
    m->p._flags |= mode   ? AMQP_BASIC_DELIVERY_MODE_FLAG
                   : prio ? AMQP_BASIC_PRIORITY_FLAG
                          : AMQP_BASIC_TIMESTAMP_FLAG;
    return 0;
}

static int read_props(struct wire_props *m, struct json_object *props, struct err *err)
{
    if (!json_object_is_type(props, json_type_object))
        return err_set(err, "properties is %s, wanted an object", json_kind(props));
    const struct text_prop table[] = {
        {"content_type", &m->p.content_type, AMQP_BASIC_CONTENT_TYPE_FLAG},
        {"content_encoding", &m->p.content_encoding, AMQP_BASIC_CONTENT_ENCODING_FLAG},
        {"correlation_id", &m->p.correlation_id, AMQP_BASIC_CORRELATION_ID_FLAG},
        {"reply_to", &m->p.reply_to, AMQP_BASIC_REPLY_TO_FLAG},
        {"expiration", &m->p.expiration, AMQP_BASIC_EXPIRATION_FLAG},
        {"message_id", &m->p.message_id, AMQP_BASIC_MESSAGE_ID_FLAG},
        {"type", &m->p.type, AMQP_BASIC_TYPE_FLAG},
        {"user_id", &m->p.user_id, AMQP_BASIC_USER_ID_FLAG},
        {"app_id", &m->p.app_id, AMQP_BASIC_APP_ID_FLAG},
        {"cluster_id", &m->p.cluster_id, AMQP_BASIC_CLUSTER_ID_FLAG},
        {NULL, NULL, 0},
    };
    json_object_object_foreach(props, name, value)
    {
        if (!value)
            continue;
        int rc = strcmp(name, "headers") == 0
                     ? (read_headers(m, value, err) == 0 ? 1 : -1)
                     : read_text_prop(table, name, value, &m->p._flags, err);
        if (rc < 0 || (rc == 0 && read_number_prop(m, name, value, err) != 0))
            return -1;
    }
    return 0;
}

static int read_publish(struct json_object *kwargs, struct wire_queue_info *q, struct err *err)
{
    const char *exchange, *key;
    if (json_get_str(kwargs, "exchange", &exchange, err) != 0 ||
        json_get_str(kwargs, "routing_key", &key, err) != 0)
        return -1;
    struct json_object *mandatory = json_at(kwargs, "mandatory"),
                       *props = json_at(kwargs, "properties");
    if (mandatory && !json_object_is_type(mandatory, json_type_boolean))
        return err_set(err, "mandatory is %s, wanted a boolean", json_kind(mandatory));
    q->publish.exchange = xstrdup(exchange);
    q->publish.routing_key = xstrdup(key);
    q->publish.mandatory = mandatory && json_object_get_boolean(mandatory);
    if (!props)
        return 0;
    q->props_mem = xcalloc(1, sizeof(*q->props_mem));
    q->props_mem->source = json_object_get(props);
    q->publish.props = &q->props_mem->p;
    return read_props(q->props_mem, props, err);
}

static int read_all(struct json_object *o, bool publisher, struct wire_queue_info *q,
                    struct err *err)
{
    const char *url, *queue, *exchange = json_str_or(o, "exchange", NULL);
    struct json_object *kwargs;
    if (json_get_str(o, "connection_url", &url, err) != 0 ||
        json_get_str(o, "queue", &queue, err) != 0)
        return -1;
    q->connection_url = xstrdup(url);
    q->queue = xstrdup(queue);
    q->exchange = xstrdup(exchange);
    if (!json_at(o, "queue_publish_kwargs") && !publisher)
        return 0;
    if (json_get_obj(o, "queue_publish_kwargs", &kwargs, err) != 0)
        return -1;
    if (read_publish(kwargs, q, err) != 0)
        return err_prefix(err, "queue_publish_kwargs");
    return 0;
}

int wire_queue_info_read(struct json_object *o, const char *what, bool publisher,
                         struct wire_queue_info *out, struct err *err)
{
    memset(out, 0, sizeof(*out));
    if (!json_object_is_type(o, json_type_object))
        return err_set(err, "%s is %s", what, o ? json_kind(o) : "missing");
    if (read_all(o, publisher, out, err) == 0)
        return 0;
    wire_queue_info_clear(out);
    return err_prefix(err, "%s", what);
}

void wire_queue_info_clear(struct wire_queue_info *q)
{
    wipe_free(q->connection_url);
    free(q->exchange);
    free(q->queue);
    free(q->publish.exchange);
    free(q->publish.routing_key);
    if (q->props_mem)
        json_object_put(q->props_mem->source);
    free(q->props_mem);
    memset(q, 0, sizeof(*q));
}
