/* The bytes are a user's options as JSON: whatever they hold, the document keeps its two keys. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/render/render.h"
#include "lib/yaml/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char template[] = "a: {{ v|default(1) }}\nb: {c: {{ v|default(1) }}}\n";
    struct json_object *opts = json_read((const char *)data, size, 1 << 16, "options", NULL);
    struct render_input in = {
        .template_text = template, .template_len = sizeof(template) - 1, .user_opts = opts};
    struct render_error err;
    struct buf out = BUF_INIT;
    if (!json_object_is_type(opts, json_type_object)) {
        json_object_put(opts);
        return 0;
    }
    if (render_user_config(&in, &out, NULL, &err) < 0) {
        render_error_free(&err);
    } else {
        struct json_object *document = yaml_read(out.data, out.len, "document", NULL);
        if (document == NULL || json_object_object_length(document) != 2)
            abort();
        json_object_put(document);
    }
    buf_free(&out);
    json_object_put(opts);
    return 0;
}
