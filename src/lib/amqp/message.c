/* Deliveries: strings copied once, headers kept as rabbitmq-c decoded them in a pool of ours. */
#include "lib/amqp/internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"

struct held {
    struct amqp_message message; /* first: callers hold a pointer to it */
    amqp_pool_t pool;
    amqp_table_t headers;
    char *routing_key, *content_type, *body;
};

static char *text_of(amqp_bytes_t b)
{
    return xstrndup(b.bytes ? b.bytes : "", b.len);
}

/* Strings inside a table are not NUL-terminated; the getters hand out C strings, so each is copied
 * into the pool with its NUL here, once. */
static void terminate(amqp_pool_t *pool, amqp_field_value_t *v)
{
    if (v->kind == AMQP_FIELD_KIND_UTF8) {
        char *copy = amqp_pool_alloc(pool, v->value.bytes.len + 1);
        if (!copy)
            abort();
        if (v->value.bytes.len)
            memcpy(copy, v->value.bytes.bytes, v->value.bytes.len);
        copy[v->value.bytes.len] = '\0';
        v->value.bytes.bytes = copy;
    } else if (v->kind == AMQP_FIELD_KIND_ARRAY) {
        for (int i = 0; i < v->value.array.num_entries; i++)
            terminate(pool, &v->value.array.entries[i]);
    }
}

struct amqp_message *message_new(const amqp_basic_deliver_t *deliver,
                                 const amqp_basic_properties_t *props, uint64_t tag)
{
    struct held *h = xcalloc(1, sizeof(*h));
    init_amqp_pool(&h->pool, 1024);
    if (props->_flags & AMQP_BASIC_HEADERS_FLAG) {
        if (amqp_table_clone(&props->headers, &h->headers, &h->pool) != AMQP_STATUS_OK)
            abort(); /* only for want of memory */
        for (int i = 0; i < h->headers.num_entries; i++)
            terminate(&h->pool, &h->headers.entries[i].value);
    }
    h->routing_key = text_of(deliver->routing_key);
    h->content_type =
        props->_flags & AMQP_BASIC_CONTENT_TYPE_FLAG ? text_of(props->content_type) : xstrdup("");
    h->message = (struct amqp_message){
        .tag = tag,
        .redelivered = deliver->redelivered,
        .routing_key = h->routing_key,
        .content_type = h->content_type,
        .timestamp = props->_flags & AMQP_BASIC_TIMESTAMP_FLAG ? (int64_t)props->timestamp : -1,
        .headers = &h->headers,
    };
    return &h->message;
}

void message_take_body(struct amqp_message *m, char *body, size_t n)
{
    struct held *h = (struct held *)m;
    h->body = body;
    m->body = body;
    m->body_len = n;
}

void amqp_message_free(struct amqp_message *m)
{
    if (!m)
        return;
    struct held *h = (struct held *)m;
    empty_amqp_pool(&h->pool);
    free(h->routing_key);
    free(h->content_type);
    free(h->body);
    free(h);
}

static const amqp_field_value_t *header(const struct amqp_message *m, const char *name)
{
    const amqp_table_t *t = m->headers;
    size_t n = strlen(name);
    for (int i = 0; i < t->num_entries; i++)
        if (t->entries[i].key.len == n && memcmp(t->entries[i].key.bytes, name, n) == 0)
            return &t->entries[i].value;
    return NULL;
}

const char *amqp_header_str(const struct amqp_message *m, const char *name)
{
    const amqp_field_value_t *v = header(m, name);
    return v && v->kind == AMQP_FIELD_KIND_UTF8 ? v->value.bytes.bytes : NULL;
}

bool amqp_header_bool(const struct amqp_message *m, const char *name)
{
    const amqp_field_value_t *v = header(m, name);
    return v && v->kind == AMQP_FIELD_KIND_BOOLEAN && v->value.boolean;
}

const char *amqp_header_array(const struct amqp_message *m, const char *name, size_t i)
{
    const amqp_field_value_t *v = header(m, name);
    if (!v || v->kind != AMQP_FIELD_KIND_ARRAY || i >= (size_t)v->value.array.num_entries)
        return NULL;
    const amqp_field_value_t *entry = &v->value.array.entries[i];
    return entry->kind == AMQP_FIELD_KIND_UTF8 ? entry->value.bytes.bytes : "";
}

amqp_basic_properties_t amqp_props(const char *content_type, int64_t timestamp,
                                   const char *expiration_ms)
{
    amqp_basic_properties_t p = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
    if (content_type) {
        p._flags |= AMQP_BASIC_CONTENT_TYPE_FLAG;
        p.content_type = amqp_cstring_bytes(content_type);
    }
    if (timestamp >= 0) {
        p._flags |= AMQP_BASIC_TIMESTAMP_FLAG;
        p.timestamp = (uint64_t)timestamp;
    }
    if (expiration_ms) {
        p._flags |= AMQP_BASIC_EXPIRATION_FLAG;
        p.expiration = amqp_cstring_bytes(expiration_ms);
    }
    return p;
}
