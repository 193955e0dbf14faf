/* Message bodies come from the network.  What the walker takes, json-c must take as well. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wire/queue_info.h"
#include "lib/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_body(const void *p, size_t n)
{
    struct wire_message m;
    struct wire_result r;
    struct wire_status s;
    struct err err = ERR_INIT;
    struct buf text autobuf = BUF_INIT;
    if (wire_open(p, n, &m, &err) == 0) {
        struct json_object *o = wire_span_json(m.data, "data", &err);
        if (!o)
            abort();
        json_object_put(o);
    }
    if (wire_read_result(p, n, &r, &err) == 0 && wire_span_string(r.data, &text, &err) != 0)
        abort();
    if (wire_read_status(p, n, &s, &err) == 0)
        wire_status_clear(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf with autobuf = BUF_INIT;
    struct err err = ERR_INIT;
    try_body(data, size);
    buf_char(&with, WIRE_VERSION);
    buf_add(&with, data, size);
    try_body(with.data, with.len);
    struct json_object *o = json_read((const char *)data, size, 1 << 20, "queue info", &err);
    struct wire_queue_info q;
    if (o && wire_queue_info_read(o, "task_queue_info", true, &q, &err) == 0)
        wire_queue_info_clear(&q);
    json_object_put(o);
    return 0;
}
