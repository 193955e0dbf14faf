/* template.h in a build without Rust: one clear refusal. */
#include "lib/template/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"

static void refuse(struct template_error *err)
{
    memset(err, 0, sizeof(*err));
    snprintf(err->kind, sizeof(err->kind), "internal");
    err->message = xstrdup("this build has no templates (-Dtemplates=disabled); build it with "
                           "cargo installed to start user endpoints from a template");
}

int template_render(const struct template_input *in, struct buf *out, struct json_object **used,
                    struct template_error *err)
{
    if (used != NULL)
        *used = NULL;
    refuse(err);
    return -1;
}

struct json_object *template_variables(const struct template_input *in, struct template_error *err)
{
    refuse(err);
    return NULL;
}

void template_error_free(struct template_error *err)
{
    free(err->message);
    free(err->name);
    memset(err, 0, sizeof(*err));
}
