/* The bytes are a template; a small context has a value of each kind. */
#include <stdint.h>
#include <stdlib.h>

#include "lib/template/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct json_object *context;
    if (context == NULL)
        context = json_tokener_parse("{\"t\":\"\\\"text\\\"\",\"i\":7,\"f\":1.5,\"b\":true,"
                                     "\"n\":null,\"l\":[1,2,3],\"o\":{\"k\":\"v\"}}");
    struct template_input in = {
        .name = "fuzz", .text = (const char *)data, .len = size, .context = context};
    struct template_error err;
    struct json_object *used;
    struct buf out = BUF_INIT;
    if (template_render(&in, &out, &used, &err) == 0)
        json_object_put(used);
    else
        template_error_free(&err);
    buf_free(&out);
    struct json_object *names = template_variables(&in, &err);
    if (names == NULL)
        template_error_free(&err);
    json_object_put(names);
    return 0;
}
