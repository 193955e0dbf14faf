/* libexec/sallyport/render: the work of `render-user-config` (render_user_config.c execs it).
 *
 *   render [--epdir DIR] [--template F] [--user-options F] [--user-schema F] [--parent-config F]
 *          [--user-runtime F] [--mapped-identity F] [--json]
 *
 * Files of the endpoint are the defaults, each file option replaces one; F may be "-".  The text on
 * standard output, all else on standard error in the original's words; 0 or 1.  --json: one object
 * on standard output, {"rendered", "warnings"} or {"error": {kind, type, message, where}}. */
#include <getopt.h>
#include <libgen.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/gce/render_runtime.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/config/config.h"
#include "lib/render/render.h"
#include "lib/schema/schema.h"
#include "lib/template/template.h"

struct work {
    const char *epdir;
    const char *template, *options, *schema, *parent, *runtime, *identity; /* files, or NULL */
    bool json;
};

struct material {
    struct buf template, schema;
    char *template_path;
    bool has_schema;
    struct config *config;
    struct json_object *options, *runtime, *identity;
};

/* ---- saying what is wrong ---- */

static int fail_json(const char *kind, const char *type, const char *message, const char *where)
{
    autobuf struct buf b = BUF_INIT;
    struct json_object *e = json_object_new_object();
    autojson struct json_object *o = json_object_new_object();
    json_add_str(e, "kind", kind);
    json_add_str(e, "type", type);
    json_add_str(e, "message", message);
    json_add_str(e, "where", where);
    json_add(o, "error", e);
    json_write(&b, o);
    puts(b.data);
    return 1;
}

/* "Error: <text>", then a line with the exception behind it when there is one. */
static int fail(const struct work *w, const char *text, const char *type, const char *cause)
{
    if (w->json)
        return fail_json("input", type != NULL ? type : "ClickException",
                         cause != NULL ? cause : text, text);
    fprintf(stderr, "Error: %s\n", text);
    if (cause != NULL)
        fprintf(stderr, "\t(%s) %s\n", type, cause);
    return 1;
}

static const char *module_of(const char *type)
{
    static const char *const jinja2[] = {"UndefinedError",      "SecurityError",
                                         "TemplateSyntaxError", "TemplateAssertionError",
                                         "TemplateNotFound",    NULL};
    static const char *const jsonschema[] = {"ValidationError", "SchemaError", NULL};
    for (size_t i = 0; jinja2[i] != NULL; i++)
        if (strcmp(jinja2[i], type) == 0)
            return "jinja2.exceptions";
    for (size_t i = 0; jsonschema[i] != NULL; i++)
        if (strcmp(jsonschema[i], type) == 0)
            return "jsonschema.exceptions";
    return "builtins";
}

static int fail_render(const struct work *w, const struct render_error *e)
{
    if (w->json)
        return fail_json(e->kind, e->type, e->message, e->where);
    fprintf(stderr, "Error: Failed to render user configuration template.\n\t(%s.%s) %s\n",
            module_of(e->type), e->type, e->message);
    if (e->where != NULL)
        fprintf(stderr, "\tat %s\n", e->where);
    return 1;
}

/* ---- reading ---- */

static const char *shown(const char *file)
{
    return strcmp(file, "-") == 0 ? "<stdin>" : file;
}

static int read_input(const struct work *w, const char *file, size_t max, struct buf *out)
{
    struct err err = ERR_INIT;
    int rc = strcmp(file, "-") == 0 ? fs_read_fd(STDIN_FILENO, max, "standard input", out, &err)
                                    : fs_read(file, max, out, &err);
    if (rc < 0)
        return fail(w, err.text, NULL, NULL);
    buf_add(out, "", 0); /* never NULL */
    return 0;
}

/* 0 with a new object, or 1. */
static int read_object(const struct work *w, const char *file, const char *what,
                       struct json_object **out)
{
    autobuf struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    if (read_input(w, file, RENDER_OPTIONS_MAX, &text))
        return 1;
    *out = json_read(text.data != NULL ? text.data : "", text.len, RENDER_OPTIONS_MAX, shown(file),
                     &err);
    if (*out == NULL && err.text[0] != '\0') {
        autofree char *line = xasprintf("Invalid JSON in %s for %s.", shown(file), what);
        return fail(w, line, "json.decoder.JSONDecodeError", err.text);
    }
    if (!json_object_is_type(*out, json_type_object)) {
        autofree char *line =
            xasprintf("Invalid %s data in %s: must be a JSON dictionary.", what, shown(file));
        return fail(w, line, NULL, NULL);
    }
    return 0;
}

static int load_endpoint(const struct work *w, struct material *m)
{
    autobuf struct buf report = BUF_INIT;
    struct err err = ERR_INIT;
    m->config = config_load(w->epdir, &report, &err);
    if (m->config == NULL)
        return fail(w, report.len > 0 ? report.data : err.text, NULL, NULL);
    if (m->config->has_engine) {
        autofree char *copy = xstrdup(w->epdir);
        autofree char *line = xasprintf("Endpoint %s does not support templating.", basename(copy));
        return fail(w, line, NULL, NULL);
    }
    autofree char *schema = config_schema_path(m->config, w->epdir);
    m->has_schema = access(schema, F_OK) == 0;
    if (m->has_schema && w->schema == NULL && read_input(w, schema, SCHEMA_SIZE_MAX, &m->schema))
        return 1;
    if (w->template != NULL)
        return 0;
    m->template_path = config_template_path(m->config, w->epdir);
    return read_input(w, m->template_path, TEMPLATE_SIZE_MAX, &m->template);
}

static int load_parent(const struct work *w, struct material *m)
{
    autobuf struct buf text = BUF_INIT, report = BUF_INIT;
    struct err err = ERR_INIT;
    if (read_input(w, w->parent, CONFIG_SIZE_MAX, &text))
        return 1;
    config_free(m->config);
    m->config =
        config_parse(text.data != NULL ? text.data : "", text.len, shown(w->parent), &report, &err);
    if (m->config == NULL) {
        autofree char *line = xasprintf("Invalid parent config data in %s.", shown(w->parent));
        return fail(w, line, "click.exceptions.ClickException",
                    report.len > 0 ? report.data : err.text);
    }
    if (m->config->has_engine)
        return fail(w, "Provided parent config does not support templating.", NULL, NULL);
    return 0;
}

static int load_schema(const struct work *w, struct material *m)
{
    struct json_object *o = NULL;
    buf_clear(&m->schema);
    m->has_schema = true;
    int rc = read_object(w, w->schema, "user schema", &o);
    if (rc == 0)
        json_write(&m->schema, o);
    json_object_put(o);
    return rc;
}

static int load(const struct work *w, struct material *m)
{
    struct err err = ERR_INIT;
    if (w->epdir != NULL && load_endpoint(w, m))
        return 1;
    if (w->parent != NULL && load_parent(w, m))
        return 1;
    if (m->config == NULL)
        m->config = config_parse("", 0, "config.yaml", NULL, &err);
    if (w->template != NULL && read_input(w, w->template, TEMPLATE_SIZE_MAX, &m->template))
        return 1;
    if (w->template != NULL)
        m->template_path = xstrdup(shown(w->template));
    if (w->schema != NULL && load_schema(w, m))
        return 1;
    if (w->options != NULL && read_object(w, w->options, "user options", &m->options))
        return 1;
    if (w->runtime != NULL ? read_object(w, w->runtime, "user runtime", &m->runtime)
                           : (m->runtime = render_runtime(), 0))
        return 1;
    if (w->identity != NULL)
        return read_object(w, w->identity, "mapped identity", &m->identity);
    m->identity = render_identity(getuid(), "00000000-0000-0000-0000-000000000000", &err);
    return m->identity == NULL ? fail(w, err.text, NULL, NULL) : 0;
}

static struct json_object *our_environment(void)
{
    struct json_object *o = json_object_new_object();
    for (char **at = environ; *at != NULL; at++) {
        const char *equals = strchr(*at, '=');
        if (equals == NULL)
            continue;
        autofree char *name = xstrndup(*at, (size_t)(equals - *at));
        json_add_str(o, name, equals + 1);
    }
    return o;
}

/* The folder of the template if we may list it: what the user's process will be allowed to. */
static char *folder_of(const char *template_path)
{
    autofree char *copy = xstrdup(template_path);
    const char *dir = dirname(copy);
    DIR *d = opendir(dir);
    if (d == NULL)
        return NULL;
    closedir(d);
    return xstrdup(dir);
}

/* ---- the work ---- */

static int tell(const struct work *w, const struct buf *text, struct json_object *warnings)
{
    if (w->json) {
        autobuf struct buf b = BUF_INIT;
        autojson struct json_object *o = json_object_new_object();
        json_add(o, "rendered",
                 json_object_new_string_len(text->data != NULL ? text->data : "", (int)text->len));
        json_add(o, "warnings", json_object_get(warnings));
        json_write(&b, o);
        puts(b.data);
        return 0;
    }
    for (size_t i = 0; i < json_object_array_length(warnings); i++)
        log_warning("%s", json_object_get_string(json_object_array_get_idx(warnings, i)));
    log_info("Rendered user config:");
    if (text->len > 0)
        fwrite(text->data, 1, text->len, stdout);
    putchar('\n');
    return fflush(stdout) == 0 ? 0 : 1;
}

static int render(const struct work *w, struct material *m)
{
    autofree char *dir = folder_of(m->template_path);
    autojson struct json_object *parent = config_as_json(m->config);
    autojson struct json_object *env = our_environment();
    autojson struct json_object *warnings = NULL;
    autobuf struct buf text = BUF_INIT;
    struct render_error failure;
    const char *slash = strrchr(m->template_path, '/');
    struct render_input in = {
        .template_text = m->template.data != NULL ? m->template.data : "",
        .template_len = m->template.len,
        .template_name = slash != NULL ? slash + 1 : m->template_path,
        .template_dir = dir,
        .schema_text = m->has_schema ? (m->schema.data != NULL ? m->schema.data : "") : NULL,
        .schema_len = m->schema.len,
        .user_opts = m->options,
        .user_runtime = m->runtime,
        .parent_config = parent,
        .parent_config_source = m->config->source,
        .mapped_identity = m->identity,
        .env = env,
    };
    if (render_user_config(&in, &text, &warnings, &failure) == 0)
        return tell(w, &text, warnings);
    int rc = fail_render(w, &failure);
    render_error_free(&failure);
    return rc;
}

static void release(struct material *m)
{
    buf_free(&m->template);
    buf_free(&m->schema);
    free(m->template_path);
    config_free(m->config);
    json_object_put(m->options);
    json_object_put(m->runtime);
    json_object_put(m->identity);
}

int main(int argc, char **argv)
{
    static const struct option table[] = {
        {"epdir", required_argument, NULL, 'e'},
        {"template", required_argument, NULL, 't'},
        {"user-options", required_argument, NULL, 'o'},
        {"user-schema", required_argument, NULL, 's'},
        {"parent-config", required_argument, NULL, 'p'},
        {"user-runtime", required_argument, NULL, 'r'},
        {"mapped-identity", required_argument, NULL, 'm'},
        {"json", no_argument, NULL, 'j'},
        {0},
    };
    struct work w = {0};
    struct material m = {0};
    int c;
    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
        const char **to = c == 'e'   ? &w.epdir
                          : c == 't' ? &w.template
                          : c == 'o' ? &w.options
                          : c == 's' ? &w.schema
                          : c == 'p' ? &w.parent
                          : c == 'r' ? &w.runtime
                          : c == 'm' ? &w.identity
                                     : NULL;
        if (c == 'j')
            w.json = true;
        else if (to == NULL)
            return 2;
        else
            *to = optarg;
    }
    if (w.epdir == NULL && w.template == NULL)
        return 2;
    log_init("MainProcess", LOG_L_INFO);
    log_console(true, false);
    int rc = load(&w, &m);
    if (rc == 0)
        rc = render(&w, &m);
    release(&m);
    return rc;
}
