/* See environment.h. */
#include "prepare/environment.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/handover/handover.h"
#include "lib/render/render.h"
#include "lib/yaml/yaml.h"

struct environment {
    char **entries; /* "NAME=value", NULL-terminated */
    size_t n;
};

struct environment *environment_create(void)
{
    struct environment *e = xcalloc(1, sizeof(*e));
    e->entries = xcalloc(1, sizeof(*e->entries));
    return e;
}

static size_t find(const struct environment *e, const char *name)
{
    size_t len = strlen(name), i = 0;
    while (i < e->n && !(strncmp(e->entries[i], name, len) == 0 && e->entries[i][len] == '='))
        i++;
    return i;
}

const char *environment_get(const struct environment *e, const char *name)
{
    size_t i = find(e, name);
    return i < e->n ? strchr(e->entries[i], '=') + 1 : NULL;
}

void environment_set(struct environment *e, const char *name, const char *value)
{
    size_t i = find(e, name);
    if (i == e->n) {
        e->n++;
        e->entries = xrealloc(e->entries, (e->n + 1) * sizeof(*e->entries));
        e->entries[e->n] = NULL;
    } else {
        free(e->entries[i]);
    }
    e->entries[i] = xasprintf("%s=%s", name, value);
}

void environment_default(struct environment *e, const char *name, const char *value)
{
    if (environment_get(e, name) == NULL)
        environment_set(e, name, value);
}

static bool is_the_managers(const char *name)
{
    static const char *const own[] = {"GLOBUS_COMPUTE_CLIENT_SECRET", "NOTIFY_SOCKET",
                                      "WATCHDOG_USEC", "WATCHDOG_PID"};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (strcmp(name, own[i]) == 0)
            return true;
    return false;
}

void environment_pam(struct environment *e)
{
    const size_t n = sizeof(HANDOVER_PAM_PREFIX) - 1;
    for (char **at = environ; *at != NULL; at++) {
        const char *equals = strchr(*at, '=');
        if (equals == NULL || strncmp(*at, HANDOVER_PAM_PREFIX, n) != 0 || equals == *at + n)
            continue;
        autofree char *name = xstrndup(*at + n, (size_t)(equals - *at) - n);
        environment_set(e, name, equals + 1);
    }
}

void environment_inherit(struct environment *e)
{
    for (char **at = environ; *at != NULL; at++) {
        const char *equals = strchr(*at, '=');
        if (equals == NULL || equals == *at)
            continue;
        autofree char *name = xstrndup(*at, (size_t)(equals - *at));
        if (!is_the_managers(name))
            environment_set(e, name, equals + 1);
    }
}

char **environment_vector(struct environment *e)
{
    return e->entries;
}

struct json_object *environment_json(const struct environment *e)
{
    struct json_object *o = json_object_new_object();
    for (size_t i = 0; i < e->n; i++) {
        const char *equals = strchr(e->entries[i], '=');
        autofree char *name = xstrndup(e->entries[i], (size_t)(equals - e->entries[i]));
        json_add_str(o, name, equals + 1);
    }
    return o;
}

static void warn(const char *why)
{
    log_warning("Using only default environment variables as no variables read from "
                "user_environment.yaml.  Is it a valid YAML file?  %s",
                why);
}

static bool is_protected(const char *name)
{
    return strcmp(name, "HOME") == 0 || strcmp(name, "USER") == 0 || strcmp(name, "PWD") == 0;
}

/* False when the file's reading ends here. */
static bool take(struct environment *e, const char *name, struct json_object *value,
                 bool seed_style, char **wish)
{
    autobuf struct buf text = BUF_INIT;
    render_python_str(&text, value);
    const char *shown = text.data != NULL ? text.data : "";
    if (*name == '\0' || strchr(name, '=') != NULL || strlen(shown) != text.len) {
        autofree char *why =
            xasprintf("'%s' can't be a variable, or its value holds a NUL character", name);
        warn(why);
        return false;
    }
    if (seed_style && is_protected(name)) {
        log_warning("user_environment.yaml: %s cannot be set; ignored%s", name,
                    strcmp(name, "PWD") == 0 ? " (but the user endpoint starts in that folder)"
                                             : "");
        if (strcmp(name, "PWD") == 0 && wish != NULL) {
            free(*wish);
            *wish = xstrdup(shown);
        }
        return true;
    }
    environment_set(e, name, shown);
    return true;
}

void environment_file(struct environment *e, const char *text, size_t len, bool seed_style,
                      char **wish)
{
    struct err err = ERR_INIT;
    autojson struct json_object *o = yaml_read(text, len, "user_environment.yaml", &err);
    if (wish != NULL)
        *wish = NULL;
    if (o == NULL && err.text[0] == '\0') {
        log_info("No variables parsed from: user_environment.yaml");
        return;
    }
    if (o == NULL || !json_object_is_type(o, json_type_object)) {
        warn(o == NULL ? err.text : "It is not a mapping");
        return;
    }
    json_object_object_foreach(o, name, value)
    {
        if (!take(e, name, value, seed_style, wish))
            return;
    }
}
