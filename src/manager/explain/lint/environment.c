/* user_environment.yaml, and the program of user endpoints that its PATH leads to. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/paths.h"
#include "lib/yaml/yaml.h"
#include "manager/explain/lint/lint.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

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

static void check_reachable(struct lint *l, const char *file, unsigned line, const char *program)
{
    autofree char *part = blocked_at(program);
    if (part)
        lint_found(l, LINT_ERROR, file, line,
                   "users can't run %s: %s is closed to them; chmod o+x, or install it elsewhere",
                   program, part);
}

static void check_path(struct lint *l, const char *file, unsigned line, const char *list)
{
    autofree char *copy = xstrdup(list);
    char *rest = NULL;
    for (char *d = strtok_r(copy, ":", &rest); d; d = strtok_r(NULL, ":", &rest)) {
        autofree char *program = xasprintf("%s/globus-compute-endpoint", d);
        if (access(program, X_OK) != 0)
            continue;
        check_reachable(l, file, line, program);
        return;
    }
    lint_found(
        l, LINT_ERROR, file, line,
        "globus-compute-endpoint is not on the PATH of user endpoints, %s; add its folder to "
        "PATH there",
        list);
}

void lint_environment(struct lint *l)
{
    const struct config *c = l->x->config;
    struct err err = ERR_INIT;
    autofree char *path = config_environment_path(c, l->x->dir);
    autofree char *config = explain_path(l->x, "config.yaml");
    autofree char *own = paths_bin("");
    autofree char *otherwise = xasprintf("%s:%s", DEFAULT_PATH, own);
    autobuf struct buf text = BUF_INIT, source = BUF_INIT;
    autojson struct json_object *o = NULL;
    if (lint_read(l, path, false, &text)) {
        o = yaml_read(text.data ? text.data : "", text.len, "the environment", &err);
        if (!o && err.text[0])
            lint_found(l, LINT_ERROR, path, lint_line_told(&text, err.text),
                       "%s; every start fails until that is mended", err.text);
        else if (o && !json_object_is_type(o, json_type_object))
            lint_found(l, LINT_ERROR, path, 1,
                       "it is %s, not a mapping; write NAME: value on each "
                       "line",
                       json_kind(o));
    }
    buf_str(&source, c->source ? c->source : "");
    if (c->user_endpoint_executable)
        check_reachable(l, config, lint_line_of(&source, "user_endpoint_executable"),
                        c->user_endpoint_executable);
    else
        check_path(l, path, lint_line_of(&text, "PATH"),
                   o ? json_str_or(o, "PATH", otherwise) : otherwise);
}
