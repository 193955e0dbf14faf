/* See schema.h. */
#include "lib/schema/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/template/rust.h"

static int fail(struct schema_error *err, const char *kind, const char *message)
{
    snprintf(err->kind, sizeof(err->kind), "%s", kind);
    err->message = xstrdup(message);
    return -1;
}

int schema_check(const char *text, size_t len, struct json_object *instance,
                 struct schema_error *err)
{
    autobuf struct buf value = BUF_INIT;
    struct rust_bytes failure = {0};
    memset(err, 0, sizeof(*err));
    if (len > SCHEMA_SIZE_MAX) {
        autofree char *message = xasprintf(
            "the user config schema has %zu bytes; at most %u are accepted", len, SCHEMA_SIZE_MAX);
        return fail(err, "schema-invalid", message);
    }
    json_write(&value, instance);
    struct rust_text schema = {.data = (const uint8_t *)text, .len = len};
    struct rust_text options = {.data = (const uint8_t *)value.data, .len = value.len};
    int rc = sallyport_schema_check(&schema, &options, &failure);
    if (rc < 0) {
        autojson struct json_object *o =
            json_read((const char *)failure.data, failure.len, failure.len + 1, "schema", NULL);
        const char *kind = json_str_or(o, "kind", "internal");
        fail(err, strcmp(kind, "syntax") == 0 ? "schema-invalid" : kind,
             json_str_or(o, "message", "the schema engine gave no reason"));
    }
    sallyport_bytes_free(&failure);
    return rc;
}

void schema_error_free(struct schema_error *err)
{
    free(err->message);
    memset(err, 0, sizeof(*err));
}
