/* schema.h in a build without Rust: one clear refusal. */
#include "lib/schema/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"

int schema_check(const char *text, size_t len, struct json_object *instance,
                 struct schema_error *err)
{
    snprintf(err->kind, sizeof(err->kind), "internal");
    err->message = xstrdup("this build checks no schemas (-Dtemplates=disabled); build it with "
                           "cargo installed, or remove the user config schema");
    return -1;
}

void schema_error_free(struct schema_error *err)
{
    free(err->message);
    memset(err, 0, sizeof(*err));
}
