/* What a template wants from the user, and what of it the schema doesn't know. */
#include "lib/render/private.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/schema/schema.h"
#include "lib/template/template.h"

static bool is_reserved(const char *name, size_t len)
{
    for (size_t i = 0; render_reserved[i] != NULL; i++)
        if (strlen(render_reserved[i]) == len && memcmp(render_reserved[i], name, len) == 0)
            return true;
    return false;
}

static bool has(struct json_object *list, const char *name, size_t len)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        if ((size_t)json_object_get_string_len(o) == len &&
            memcmp(json_object_get_string(o), name, len) == 0)
            return true;
    }
    return false;
}

/* "a.b" and "a.c" are both the option `a`. */
static struct json_object *options_of(struct json_object *names)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < json_object_array_length(names); i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(names, i));
        size_t len = strcspn(name, ".");
        if (!is_reserved(name, len) && !has(list, name, len))
            json_object_array_add(list, json_object_new_string_len(name, (int)len));
    }
    return list;
}

static struct json_object *unknown_to(struct json_object *schema, struct json_object *wanted)
{
    struct json_object *list = json_object_new_array();
    struct json_object *found, *properties = json_at(schema, "properties");
    if (!json_object_is_type(schema, json_type_object) || json_object_object_length(schema) == 0 ||
        json_at(schema, "patternProperties") != NULL)
        return list;
    for (size_t i = 0; i < json_object_array_length(wanted); i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(wanted, i));
        if (!json_object_is_type(properties, json_type_object) ||
            !json_object_object_get_ex(properties, name, &found))
            json_object_array_add(list, json_object_new_string(name));
    }
    return list;
}

int render_lint(const struct render_input *in, struct json_object **wanted,
                struct json_object **not_in_schema, struct render_error *err)
{
    struct template_input t = {
        .name = in->template_name != NULL ? in->template_name : "user_config_template.yaml.j2",
        .text = in->template_text,
        .len = in->template_len,
        .dir = in->template_dir,
    };
    struct template_error failure;
    struct err why = ERR_INIT;
    autojson struct json_object *schema = NULL;
    autojson struct json_object *names = template_variables(&t, &failure);
    *wanted = *not_in_schema = NULL;
    if (names == NULL) {
        render_fail(err, failure.kind, "TemplateSyntaxError", "%s", failure.message);
        if (failure.line > 0)
            err->where = xasprintf("%s:%d", t.name, failure.line);
        template_error_free(&failure);
        return -1;
    }
    if (in->schema_text != NULL) {
        schema =
            json_read(in->schema_text, in->schema_len, SCHEMA_SIZE_MAX, "user config schema", &why);
        if (schema == NULL && why.text[0] != '\0')
            return render_fail(err, "schema-invalid", "SchemaError", "%s", why.text);
    }
    *wanted = options_of(names);
    *not_in_schema = unknown_to(schema, *wanted);
    return 0;
}
