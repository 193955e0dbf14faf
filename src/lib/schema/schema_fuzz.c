/* First half: the schema; second half: the value. */
#include <stdint.h>

#include "lib/schema/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    size_t half = size / 2;
    struct schema_error err;
    struct json_object *value = json_read(text + half, size - half, size, "value", NULL);
    if (schema_check(text, half, value, &err) < 0)
        schema_error_free(&err);
    json_object_put(value);
    return 0;
}
