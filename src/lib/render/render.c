/* See render.h: reserved words, schema, sanitising, template, in this order. */
#include "lib/render/private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/schema/schema.h"
#include "lib/template/template.h"

const char *const render_reserved[] = {"parent_config", "user_runtime", "mapped_identity", "_GC",
                                       NULL};

int render_fail(struct render_error *err, const char *kind, const char *type, const char *fmt, ...)
{
    struct buf b = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vfmt(&b, fmt, ap);
    va_end(ap);
    memset(err, 0, sizeof(*err));
    snprintf(err->kind, sizeof(err->kind), "%s", kind);
    snprintf(err->type, sizeof(err->type), "%s", type);
    err->message = buf_take(&b);
    return -1;
}

void render_error_free(struct render_error *err)
{
    free(err->message);
    free(err->where);
    memset(err, 0, sizeof(*err));
}

/* What the original raises for each kind. */
static const char *exception_of(const char *kind, const char *message)
{
    static const struct {
        const char *kind, *type;
    } t[] = {
        {"undefined", "UndefinedError"},
        {"security", "SecurityError"},
        {"template-not-found", "TemplateNotFound"},
        {"type", "TypeError"},
        {"schema", "ValidationError"},
        {"schema-invalid", "SchemaError"},
        {"limit", "TemplateLimitError"},
    };
    if (strcmp(kind, "syntax") == 0)
        return strncmp(message, "No filter", 9) == 0 || strncmp(message, "No test", 7) == 0
                   ? "TemplateAssertionError"
                   : "TemplateSyntaxError";
    if (strcmp(kind, "arithmetic") == 0)
        return strstr(message, "zero") != NULL ? "ZeroDivisionError" : "OverflowError";
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        if (strcmp(t[i].kind, kind) == 0)
            return t[i].type;
    return "RuntimeError";
}

static int check_names(struct json_object *opts, struct render_error *err)
{
    struct json_object *found;
    for (size_t i = 0; render_reserved[i] != NULL; i++)
        if (json_object_object_get_ex(opts, render_reserved[i], &found))
            return render_fail(err, "reserved", "ValueError",
                               "'%s' is a reserved word and cannot be passed in via user config",
                               render_reserved[i]);
    if (json_object_object_get_ex(opts, "self", &found))
        return render_fail(err, "type", "TypeError",
                           "an option cannot be called 'self'; choose another name");
    return 0;
}

static int check_keys(struct json_object *value, const char *what, struct render_error *err)
{
    if (render_bad_key(value) == NULL)
        return 0;
    return render_fail(err, "type", "ValueError",
                       "a name in the %s contains a line break or another control character", what);
}

static int check_options(const struct render_input *in, struct json_object *opts,
                         struct render_error *err)
{
    struct schema_error schema;
    if (check_names(opts, err) < 0)
        return -1;
    if (in->schema_text == NULL ||
        schema_check(in->schema_text, in->schema_len, opts, &schema) == 0)
        return 0;
    render_fail(err, schema.kind, exception_of(schema.kind, schema.message), "%s", schema.message);
    schema_error_free(&schema);
    return -1;
}

static struct json_object *object_or_new(struct json_object *o)
{
    return o != NULL ? json_object_get(o) : json_object_new_object();
}

/* The variables: options under their names, `_GC`, and the old names of three of its members. */
static struct json_object *context_of(const struct render_input *in, struct json_object *opts)
{
    struct json_object *context = render_sanitise(opts);
    struct json_object *gc = json_object_new_object();
    struct json_object *parent = json_object_new_object();
    if (in->parent_config != NULL) {
        json_object_object_foreach(in->parent_config, key, value)
        {
            json_add(parent, key, json_object_get(value));
        }
    }
    json_add_str(parent, "source_content",
                 in->parent_config_source != NULL ? in->parent_config_source : "");
    autojson struct json_object *runtime = object_or_new(in->user_runtime);
    json_add(gc, "env", object_or_new(in->env));
    json_add(gc, "parent_config", parent);
    json_add(gc, "mapped_identity", object_or_new(in->mapped_identity));
    json_add(gc, "user_runtime", render_sanitise(runtime));
    for (size_t i = 0; i < 3; i++)
        json_add(context, render_reserved[i],
                 json_object_get(json_object_object_get(gc, render_reserved[i])));
    json_add(context, "_GC", gc);
    return context;
}

static struct json_object *deprecations(struct json_object *used)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; used != NULL && i < json_object_array_length(used); i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(used, i));
        autofree char *text = xasprintf("Template access to `%s` is deprecated; access via `_GC` "
                                        "instead.  (i.e., _GC.%s)",
                                        name, name);
        json_object_array_add(list, json_object_new_string(text));
    }
    return list;
}

static int fail_template(struct template_error *t, const char *name, struct render_error *err)
{
    render_fail(err, t->kind, exception_of(t->kind, t->message), "%s", t->message);
    if (t->line > 0)
        err->where = xasprintf("%s:%d", t->name != NULL ? t->name : name, t->line);
    template_error_free(t);
    return -1;
}

int render_user_config(const struct render_input *in, struct buf *out,
                       struct json_object **warnings, struct render_error *err)
{
    autojson struct json_object *opts = object_or_new(in->user_opts);
    autojson struct json_object *used = NULL;
    const char *name =
        in->template_name != NULL ? in->template_name : "user_config_template.yaml.j2";
    struct template_error failure;

    memset(err, 0, sizeof(*err));
    if (warnings != NULL)
        *warnings = NULL;
    autobuf struct buf size = BUF_INIT;
    json_write(&size, opts);
    if (size.len > RENDER_OPTIONS_MAX)
        return render_fail(err, "limit", "ValueError",
                           "the options have %zu bytes; at most %u are accepted", size.len,
                           RENDER_OPTIONS_MAX);
    if (check_options(in, opts, err) < 0 || check_keys(opts, "user options", err) < 0 ||
        check_keys(in->user_runtime, "user runtime", err) < 0)
        return -1;

    autojson struct json_object *context = context_of(in, opts);
    autojson struct json_object *watched = json_object_new_array();
    for (size_t i = 0; i < 3; i++)
        json_object_array_add(watched, json_object_new_string(render_reserved[i]));
    struct template_input t = {
        .name = name,
        .text = in->template_text,
        .len = in->template_len,
        .dir = in->template_dir,
        .context = context,
        .watched = watched,
    };
    if (template_render(&t, out, &used, &failure) < 0)
        return fail_template(&failure, name, err);
    if (warnings != NULL)
        *warnings = deprecations(used);
    return 0;
}
