/* The document on standard input, the configuration in it, and headers of deliveries: the first
 * byte chooses.  Addresses of interfaces are not asked for: host names would be resolved. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint/document.h"
#include "endpoint/engine.h"
#include "endpoint/intake.h"
#include "endpoint/settings.h"
#include "lib/base/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void configuration(const char *text)
{
    struct settings s;
    struct engine e;
    struct err err = ERR_INIT;
    if (strstr(text, "address_by") != NULL || strstr(text, "any_address") != NULL ||
        settings_read(text, "fuzz", &s, &err) != 0)
        return;
    if (engine_read(s.engine, &e, &err) == 0) {
        json_object_put(engine_settings(&e, "/d", "id", false));
        free(engine_command(&e, "/d", 1, "/k", false));
        (void)engine_check_spec(&e, s.tree, &err);
        engine_clear(&e);
    }
    settings_clear(&s);
}

static void document(const char *text, size_t n)
{
    struct document d;
    struct err err = ERR_INIT;
    if (document_read(text, n, &d, &err) != 0)
        return;
    configuration(d.config);
    document_clear(&d);
}

static void headers(const char *text)
{
    char id[UUID_TEXT], function_id[UUID_TEXT];
    struct json_object *spec;
    struct err err = ERR_INIT;
    struct intake_headers h = {text, text, text};
    (void)intake_judge(&h, id, function_id, &spec, &err);
    json_object_put(spec);
    h.task_id = h.function_id = "7f0c3d2e-1111-4222-8333-444455556666";
    (void)intake_judge(&h, id, function_id, &spec, &err);
    json_object_put(spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *text = xstrndup((const char *)data + 1, size - 1);
    if (data[0] % 3 == 0)
        document(text, strlen(text));
    else if (data[0] % 3 == 1)
        configuration(text);
    else
        headers(text);
    free(text);
    return 0;
}
