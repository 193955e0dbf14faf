/* `*_queue_info`: where a party consumes or publishes (spec: amqp.md section 3).
 *
 * {"connection_url", "exchange", "queue",
 *  "queue_publish_kwargs": {"exchange", "routing_key", "mandatory", "properties": {...}}}
 * Properties are AMQP basic properties under pika's names (delivery_mode, content_type, headers,
 * …). Nothing may be assumed about the names beyond the given strings. */
#ifndef SALLYPORT_WIRE_QUEUE_INFO_H
#define SALLYPORT_WIRE_QUEUE_INFO_H

#include <stdbool.h>

#include <amqp.h>

#include "lib/base/err.h"
#include "lib/base/json.h"

struct wire_queue_info {
    char *connection_url; /* holds credentials: never log it unmasked */
    char *exchange;       /* NULL when absent */
    char *queue;
    struct {
        char *exchange; /* NULL when there are no queue_publish_kwargs */
        char *routing_key;
        bool mandatory;
        const amqp_basic_properties_t *props; /* NULL = none; owned by this structure */
    } publish;
    struct wire_props *props_mem;
};

/* o: the object; what: its name in errors ("task_queue_info").  publisher: queue_publish_kwargs is
 * required.  *out needs no clearing after an error. */
int wire_queue_info_read(struct json_object *o, const char *what, bool publisher,
                         struct wire_queue_info *out, struct err *err);
void wire_queue_info_clear(struct wire_queue_info *q);

#endif
