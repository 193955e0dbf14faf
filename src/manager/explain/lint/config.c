/* config.yaml, and the identity mapping that it names. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/idmap/idmap.h"
#include "manager/explain/lint/lint.h"

/* ---- config.yaml ---- */

static bool looks_secret(const char *key)
{
    static const char *const words[] = {"password", "secret", "token", "credential", "private_key"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasestr(key, words[i]))
            return true;
    return false;
}

/* A line of a report, without its blanks and its end; the next one. */
static const char *next_line(const char *at, struct buf *line)
{
    size_t n = strcspn(at, "\n"), skip = strspn(at, " ");
    buf_clear(line);
    buf_add(line, at + (skip < n ? skip : n), n - (skip < n ? skip : n));
    return at + n + (at[n] == '\n');
}

/* The report of lib/config has for each problem the key, "  what is wrong [type=...,
 * input_value=...]" and perhaps "    line N". */
static void found_problem(struct lint *l, const char *path, const struct buf *text, const char *key,
                          char *what, const char *where)
{
    char *bracket = strstr(what, " [type=");
    unsigned line = strncmp(where, "line ", 5) == 0 ? (unsigned)strtoul(where + 5, NULL, 10)
                                                    : lint_line_of(text, key);
    if (bracket)
        *bracket = '\0';
    lint_found(l, LINT_ERROR, path, line, "`%s`: %s; the administrator's manual lists the keys",
               key, what);
}

static void found_report(struct lint *l, const char *path, const struct buf *text,
                         const char *report)
{
    autobuf struct buf key = BUF_INIT, what = BUF_INIT, where = BUF_INIT;
    const char *at = strchr(report, '\n');
    if (!at || !strstr(report, "validation error")) {
        lint_found(l, LINT_ERROR, path, lint_line_told(text, report),
                   "%s; the manager does not "
                   "start with it",
                   report);
        return;
    }
    for (at++; *at && *at != ' ';) {
        at = next_line(at, &key);
        at = next_line(at, &what);
        buf_clear(&where);
        buf_str(&where, "");
        if (strncmp(at, "    line ", 9) == 0)
            at = next_line(at, &where);
        if (key.len > 0 && what.len > 0)
            found_problem(l, path, text, key.data, what.data, where.data ? where.data : "");
    }
}

static void check_keys(struct lint *l, const char *path, const struct buf *text)
{
    const struct config *c = l->x->config;
    for (size_t i = 0; i < json_object_array_length(c->warnings); i++)
        lint_found(l, LINT_WARNING, path, 0, "%s",
                   json_object_get_string(json_object_array_get_idx(c->warnings, i)));
    if (c->has_engine)
        lint_found(l, LINT_ERROR, path, lint_line_of(text, "engine"),
                   "it has an `engine`, which belongs into a template; run "
                   "migrate-to-template-capable");
    if (!c->seed_style && c->identity_mapping_config_path && !(c->email && *c->email))
        lint_found(l, LINT_ERROR, path, 0,
                   "multi-user endpoints require a contact email address; add `email`");
    json_object_object_foreach(c->tree, key, value)
    {
        (void)value;
        if (looks_secret(key))
            lint_found(l, LINT_WARNING, path, lint_line_of(text, key),
                       "`%s` looks like a secret, and the whole file is sent to the web service; "
                       "keep secrets elsewhere",
                       key);
    }
}

void lint_config(struct lint *l)
{
    struct err err = ERR_INIT;
    struct stat st;
    autofree char *path = explain_path(l->x, "config.yaml");
    autobuf struct buf text = BUF_INIT, report = BUF_INIT;
    if (stat(l->x->dir, &st) == 0)
        lint_owner(l, l->x->dir, &st);
    lint_read(l, path, false, &text);
    if (l->x->config) {
        check_keys(l, path, &text);
        return;
    }
    struct config *c = config_load(l->x->dir, &report, &err);
    if (!c)
        found_report(l, path, &text, report.len > 0 ? report.data : err.text);
    config_free(c);
}

/* ---- the mapping ---- */

static void check_program(struct lint *l, const char *file, unsigned line, const char *program)
{
    struct stat st;
    if (program[0] != '/')
        lint_found(l, LINT_WARNING, file, line,
                   "the mapping program %s is not an absolute path; give the whole path", program);
    else if (stat(program, &st) < 0)
        lint_found(l, LINT_ERROR, file, line,
                   "the mapping program %s: %s; install it, or name the right one", program,
                   strerror(errno));
    else if (!(st.st_mode & S_IXOTH))
        lint_found(l, LINT_WARNING, file, line,
                   "the mapping program %s may not be executable for the listener's account; chmod "
                   "o+rx",
                   program);
    else
        lint_owner(l, program, &st);
}

static void check_programs(struct lint *l, const char *file, const struct buf *text)
{
    autojson struct json_object *list =
        json_read(text->data, text->len, IDMAP_FILE_MAX, "mapping", NULL);
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *command = json_at(json_object_array_get_idx(list, i), "command");
        if (!json_object_is_type(command, json_type_array))
            continue;
        const char *program = json_object_get_string(json_object_array_get_idx(command, 0));
        check_program(l, file, lint_line_of(text, program), program);
    }
}

void lint_mapping(struct lint *l)
{
    const char *file = l->x->mapping_file;
    autobuf struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    if (!file || !lint_read(l, file, true, &text))
        return;
    struct idmap *rules = idmap_load(text.data ? text.data : "", text.len, &err);
    if (!rules) {
        lint_found(l, LINT_ERROR, file, lint_line_told(&text, err.text),
                   "%s; nobody is mapped until that is mended", err.text);
        return;
    }
    for (size_t i = 0; i < json_object_array_length(idmap_warnings(rules)); i++)
        lint_found(l, LINT_WARNING, file, 0, "%s",
                   json_object_get_string(json_object_array_get_idx(idmap_warnings(rules), i)));
    if (idmap_count(rules) == 0)
        lint_found(l, LINT_WARNING, file, 0, "it maps nobody; add a mapping");
    check_programs(l, file, &text);
    idmap_free(rules);
}
