/* The template and the schema of the users' options. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/alloc.h"
#include "lib/render/render.h"
#include "lib/schema/schema.h"
#include "manager/explain/lint/lint.h"

/* ---- the schema ---- */

/* A line for a schema's fault: that of the first key in `schema['properties']['x']` from behind
 * that the text has. */
static unsigned line_of_path(const struct buf *text, const char *message)
{
    const char *on = strstr(message, "On schema");
    autofree char *path = on ? xstrndup(on, strcspn(on, "\n")) : NULL;
    unsigned line = 0;
    for (const char *at = path, *end; at && (at = strstr(at, "['")) != NULL; at = end) {
        end = strstr(at, "']");
        if (!end)
            break;
        autofree char *key = xstrndup(at + 2, (size_t)(end - at - 2));
        unsigned found = lint_line_of(text, key);
        line = found > line ? found : line;
    }
    return line;
}

/* False when it can't be used for anything else. */
static bool check_schema(struct lint *l, const char *path, const struct buf *text)
{
    struct err err = ERR_INIT;
    struct schema_error failure;
    autojson struct json_object *o = NULL, *nothing = json_object_new_object();
    o = json_read(text->data ? text->data : "", text->len, LINT_TEXT_MAX, "the schema", &err);
    if (!o) {
        lint_found(l, LINT_ERROR, path, lint_line_told(text, err.text), "%s; mend it", err.text);
        return false;
    }
    if (schema_check(text->data, text->len, nothing, &failure) == 0)
        return true;
    bool is_valid = strcmp(failure.kind, "schema") == 0; /* just not for no options at all */
    if (!is_valid) {
        size_t n = strcspn(failure.message, "\n");
        lint_found(l, LINT_ERROR, path, line_of_path(text, failure.message),
                   "it is no valid schema, so every start fails: %.*s", (int)n, failure.message);
    } else if (json_object_is_type(o, json_type_boolean)) {
        lint_found(l, LINT_WARNING, path, 1,
                   "the schema `false` refuses every request; use {} to accept all");
    }
    schema_error_free(&failure);
    return is_valid;
}

/* ---- the template ---- */

static void check_variables(struct lint *l, const char *path, const struct buf *template,
                            const struct buf *schema)
{
    struct json_object *wanted = NULL, *unknown = NULL;
    struct render_error failure;
    struct render_input in = {.template_text = template->data ? template->data : "",
                              .template_len = template->len,
                              .schema_text = schema->data,
                              .schema_len = schema->len};
    if (render_lint(&in, &wanted, &unknown, &failure) < 0) {
        const char *colon = failure.where ? strrchr(failure.where, ':') : NULL;
        lint_found(l, LINT_ERROR, path, colon ? (unsigned)strtoul(colon + 1, NULL, 10) : 0,
                   "(%s) %s; every start fails until that is mended", failure.type,
                   failure.message);
        render_error_free(&failure);
        return;
    }
    for (size_t i = 0; unknown && i < json_object_array_length(unknown); i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(unknown, i));
        lint_found(l, LINT_WARNING, path, lint_line_of(template, name),
                   "the variable `%s` is not in the schema; add it there, with its type", name);
    }
    json_object_put(wanted);
    json_object_put(unknown);
}

/* Users list the folder themselves when a template includes another. */
static void check_includes(struct lint *l, const char *path, const struct buf *template)
{
    static const char *const tags[] = {"include", "extends", "import", "from"};
    struct stat st;
    autofree char *folder = xstrdup(path);
    const char *first = NULL;
    for (const char *at = template->data; at && !first && (at = strstr(at, "{%")) != NULL;
         at += 2) {
        const char *word = at + 2 + strspn(at + 2, "-+ \t\n");
        for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
            if (strncmp(word, tags[i], strlen(tags[i])) == 0)
                first = at;
    }
    if (!first)
        return;
    *strrchr(folder, '/') = '\0';
    if (stat(folder, &st) == 0 && !(st.st_mode & S_IROTH))
        lint_found(l, LINT_ERROR, path, lint_line_at(template, (size_t)(first - template->data)),
                   "it includes other templates, but users can't list %s, so that fails; chmod "
                   "o+rx the folder, or move them into one of their own",
                   folder);
}

void lint_template(struct lint *l)
{
    const struct config *c = l->x->config;
    autofree char *template = config_template_path(c, l->x->dir);
    autofree char *schema = config_schema_path(c, l->x->dir);
    autofree char *template_at = explain_path(l->x, template);
    autofree char *schema_at = explain_path(l->x, schema);
    autobuf struct buf text = BUF_INIT, rules = BUF_INIT;
    bool is_named = c->user_config_schema_path != NULL;
    if (!lint_read(l, schema_at, is_named, &rules) || !check_schema(l, schema_at, &rules))
        buf_free(&rules);
    if (!lint_read(l, template_at, true, &text))
        return;
    check_variables(l, template_at, &text, &rules);
    check_includes(l, template_at, &text);
}
