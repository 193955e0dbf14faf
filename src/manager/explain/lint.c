/* What is wrong with an endpoint's files, before a user finds out.
 *
 * A finding is an error (starts will fail, or somebody else can change what root reads), or a
 * warning.  Exit code 0 without errors. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/paths.h"
#include "lib/idmap/idmap.h"
#include "lib/render/render.h"
#include "lib/yaml/yaml.h"
#include "manager/explain/explain.h"

#define TEXT_MAX (1u << 20)
#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

struct lint {
    struct explain *x;
    struct json_object *findings;
    unsigned errors;
};

static void found(struct lint *l, const char *level, const char *file, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void found(struct lint *l, const char *level, const char *file, const char *fmt, ...)
{
    autofree char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        abort();
    va_end(ap);
    struct json_object *o = json_object_new_object();
    json_add_str(o, "level", level);
    json_add_str(o, "file", file);
    json_add_str(o, "text", text);
    json_object_array_add(l->findings, o);
    l->errors += strcmp(level, "error") == 0;
}

/* ---- who can change it? ---- */

static void check_owner(struct lint *l, const char *path, const struct stat *st)
{
    if (st->st_mode & S_IWOTH)
        found(l, "error", path, "everybody may write to it; chmod o-w");
    else if (st->st_mode & S_IWGRP && st->st_gid != 0)
        found(l, "warning", path, "the group %u may write to it; chmod g-w", (unsigned)st->st_gid);
    if (st->st_uid != 0 && st->st_uid != geteuid())
        found(l, "error", path, "it belongs to uid %u, who can change what the manager does",
              (unsigned)st->st_uid);
}

/* The file's text when it is there; its folder is looked at as well. */
static bool read_checked(struct lint *l, const char *path, bool is_needed, struct buf *text)
{
    struct err err = ERR_INIT;
    struct stat st;
    autofree char *folder = xstrdup(path);
    char *slash = strrchr(folder, '/');
    if (stat(path, &st) < 0) {
        if (is_needed || errno != ENOENT)
            found(l, "error", path, "%s", strerror(errno));
        return false;
    }
    check_owner(l, path, &st);
    if (slash && slash != folder) {
        *slash = '\0';
        if (strcmp(folder, l->x->dir) != 0 && stat(folder, &st) == 0 && !(st.st_mode & S_ISVTX))
            check_owner(l, folder, &st);
    }
    if (fs_read(path, TEXT_MAX, text, &err) == 0)
        return true;
    found(l, "error", path, "%s", err.text);
    return false;
}

/* ---- the files ---- */

static bool looks_secret(const char *key)
{
    static const char *const words[] = {"password", "secret", "token", "credential", "private_key"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasestr(key, words[i]))
            return true;
    return false;
}

static void check_config(struct lint *l)
{
    const struct config *c = l->x->config;
    autofree char *path = explain_path(l->x, "config.yaml");
    struct buf text = BUF_INIT;
    read_checked(l, path, false, &text);
    buf_free(&text);
    for (size_t i = 0; i < json_object_array_length(c->warnings); i++)
        found(l, "warning", path, "%s",
              json_object_get_string(json_object_array_get_idx(c->warnings, i)));
    if (c->has_engine)
        found(l, "error", path, "it has an `engine`: see migrate-to-template-capable");
    if (!c->seed_style && c->identity_mapping_config_path && !(c->email && *c->email))
        found(l, "error", path,
              "multi-user endpoints require a contact email address; add `email`");
    json_object_object_foreach(c->tree, key, value)
    {
        (void)value;
        if (looks_secret(key))
            found(l, "warning", path,
                  "`%s` looks like a secret; the whole file is sent to the web service", key);
    }
}

static void check_program(struct lint *l, const char *file, const char *program)
{
    struct stat st;
    if (program[0] != '/')
        found(l, "warning", file, "the mapping program %s is not an absolute path", program);
    else if (stat(program, &st) < 0)
        found(l, "error", file, "the mapping program %s: %s", program, strerror(errno));
    else if (!(st.st_mode & S_IXOTH))
        found(l, "warning", file,
              "the mapping program %s may not be executable for the listener's account", program);
    else
        check_owner(l, program, &st);
}

static void check_mapping(struct lint *l)
{
    struct explain *x = l->x;
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    if (!x->mapping_file || !read_checked(l, x->mapping_file, true, &text))
        return;
    struct idmap *rules = idmap_load(text.data ? text.data : "", text.len, &err);
    if (!rules)
        found(l, "error", x->mapping_file, "%s", err.text);
    for (size_t i = 0; rules && i < json_object_array_length(idmap_warnings(rules)); i++)
        found(l, "warning", x->mapping_file, "%s",
              json_object_get_string(json_object_array_get_idx(idmap_warnings(rules), i)));
    if (rules && idmap_count(rules) == 0)
        found(l, "warning", x->mapping_file, "it maps nobody");
    autojson struct json_object *list =
        rules ? json_read(text.data, text.len, IDMAP_FILE_MAX, "mapping", NULL) : NULL;
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *command = json_at(json_object_array_get_idx(list, i), "command");
        if (json_object_is_type(command, json_type_array))
            check_program(l, x->mapping_file,
                          json_object_get_string(json_object_array_get_idx(command, 0)));
    }
    idmap_free(rules);
    buf_free(&text);
}

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
        found(l, "error", path, "(%s) %s", failure.type, failure.message);
        render_error_free(&failure);
        return;
    }
    for (size_t i = 0; unknown && i < json_object_array_length(unknown); i++)
        found(l, "warning", path, "the variable `%s` is not in the schema",
              json_object_get_string(json_object_array_get_idx(unknown, i)));
    json_object_put(wanted);
    json_object_put(unknown);
}

/* Users list the folder themselves when a template includes another. */
static void check_includes(struct lint *l, const char *path, const struct buf *template)
{
    static const char *const tags[] = {"{% include", "{% extends", "{% import", "{% from",
                                       "{%- include"};
    struct stat st;
    autofree char *folder = xstrdup(path);
    bool uses = false;
    for (size_t i = 0; template->data && i < sizeof(tags) / sizeof(tags[0]); i++)
        uses = uses || strstr(template->data, tags[i]);
    if (!uses)
        return;
    *strrchr(folder, '/') = '\0';
    if (stat(folder, &st) == 0 && !(st.st_mode & S_IROTH))
        found(l, "error", path,
              "it includes other templates, but users can't list %s: include, extends and import "
              "fail",
              folder);
}

static void check_template(struct lint *l)
{
    autofree char *template = config_template_path(l->x->config, l->x->dir);
    autofree char *schema = config_schema_path(l->x->config, l->x->dir);
    autofree char *template_at = explain_path(l->x, template);
    autofree char *schema_at = explain_path(l->x, schema);
    autobuf struct buf text = BUF_INIT, rules = BUF_INIT;
    bool is_named = l->x->config->user_config_schema_path != NULL;
    bool has_schema = read_checked(l, schema_at, is_named, &rules);
    if (has_schema) {
        struct err err = ERR_INIT;
        autojson struct json_object *o =
            json_read(rules.data ? rules.data : "", rules.len, TEXT_MAX, "the schema", &err);
        if (!o)
            found(l, "error", schema_at, "%s", err.text);
        has_schema = o != NULL;
    }
    if (!has_schema)
        buf_free(&rules);
    if (!read_checked(l, template_at, true, &text))
        return;
    check_variables(l, template_at, &text, &rules);
    check_includes(l, template_at, &text);
}

/* ---- the program of user endpoints ---- */

/* May everybody get there and run it?  The first part that is in the way, or NULL. */
static char *blocked_at(const char *path)
{
    struct stat st;
    for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        char *part = xstrndup(path, (size_t)(p - path));
        if (stat(part, &st) < 0 || !(st.st_mode & S_IXOTH))
            return part;
        free(part);
    }
    return stat(path, &st) < 0 || !(st.st_mode & S_IXOTH) ? xstrdup(path) : NULL;
}

static void check_reachable(struct lint *l, const char *file, const char *program)
{
    autofree char *part = blocked_at(program);
    if (part)
        found(l, "error", file, "users can't run %s: %s is closed to them", program, part);
}

static void check_path(struct lint *l, const char *file, const char *list)
{
    autofree char *copy = xstrdup(list);
    char *rest = NULL;
    for (char *d = strtok_r(copy, ":", &rest); d; d = strtok_r(NULL, ":", &rest)) {
        autofree char *program = xasprintf("%s/globus-compute-endpoint", d);
        if (access(program, X_OK) != 0)
            continue;
        check_reachable(l, file, program);
        return;
    }
    found(l, "error", file, "globus-compute-endpoint is not on the PATH of user endpoints: %s",
          list);
}

static void check_environment(struct lint *l)
{
    const struct config *c = l->x->config;
    struct err err = ERR_INIT;
    autofree char *path = config_environment_path(c, l->x->dir);
    autofree char *own = paths_bin("");
    autofree char *otherwise = xasprintf("%s:%s", DEFAULT_PATH, own);
    autobuf struct buf text = BUF_INIT;
    autojson struct json_object *o = NULL;
    if (read_checked(l, path, false, &text)) {
        o = yaml_read(text.data ? text.data : "", text.len, path, &err);
        if (!o && err.text[0])
            found(l, "error", path, "%s", err.text);
        else if (o && !json_object_is_type(o, json_type_object))
            found(l, "error", path, "it is %s, not a mapping", json_kind(o));
    }
    if (c->user_endpoint_executable)
        check_reachable(l, "config.yaml", c->user_endpoint_executable);
    else
        check_path(l, path, o ? json_str_or(o, "PATH", otherwise) : otherwise);
}

/* ---- all ---- */

int explain_lint(struct explain *x)
{
    struct lint l = {.x = x, .findings = json_object_new_array()};
    if (!x->config)
        return explain_fail(x, "no endpoint is given");
    check_config(&l);
    check_mapping(&l);
    check_template(&l);
    check_environment(&l);
    size_t n = json_object_array_length(l.findings);
    if (x->json)
        print_json(stdout, l.findings);
    for (size_t i = 0; !x->json && i < n; i++) {
        struct json_object *o = json_object_array_get_idx(l.findings, i);
        printf("%s: %s: %s\n", json_str_or(o, "level", ""), json_str_or(o, "file", ""),
               json_str_or(o, "text", ""));
    }
    if (!x->json)
        printf("%zu finding%s, %u error%s\n", n, n == 1 ? "" : "s", l.errors,
               l.errors == 1 ? "" : "s");
    json_object_put(l.findings);
    return l.errors ? 1 : 0;
}
