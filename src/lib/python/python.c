#include "lib/python/python.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"

/* The first executable of that name on PATH; caller frees; NULL. */
static char *on_path(const char *name)
{
    const char *path = getenv("PATH");
    for (path = path != NULL ? path : "/usr/bin:/bin"; *path != '\0';) {
        size_t n = strcspn(path, ":");
        autofree char *file = xasprintf("%.*s/%s", n > 0 ? (int)n : 1, n > 0 ? path : ".", name);
        if (access(file, X_OK) == 0)
            return xstrdup(file);
        path += n + (path[n] == ':');
    }
    return NULL;
}

/* The interpreter in the first line of a Python script, NULL for anything else. */
static char *interpreter_of(const char *script)
{
    char line[512] = "";
    FILE *f = fopen(script, "re");
    if (f == NULL)
        return NULL;
    bool read = fgets(line, sizeof(line), f) != NULL;
    fclose(f);
    line[strcspn(line, "\r\n")] = '\0';
    if (!read || strncmp(line, "#!", 2) != 0 || strstr(line, "python") == NULL)
        return NULL;
    char *path = line + 2 + strspn(line + 2, " \t");
    path[strcspn(path, " \t")] = '\0';
    const char *base = strrchr(path, '/');
    if (base == NULL || strncmp(base + 1, "python", 6) != 0)
        return NULL; /* "#!/usr/bin/env python3" or a shell trampoline: PATH decides below */
    return access(path, X_OK) == 0 ? xstrdup(path) : NULL;
}

char *python_find(struct err *err)
{
    const char *asked = getenv("GC_WORKER_PYTHON");
    if (asked != NULL && *asked != '\0') {
        char *found = strchr(asked, '/') != NULL ? xstrdup(asked) : on_path(asked);
        if (found != NULL && access(found, X_OK) == 0)
            return found;
        free(found);
        err_set(err, "GC_WORKER_PYTHON names %s, which is not an executable here", asked);
        return NULL;
    }
    autofree char *script = on_path("globus-compute-endpoint");
    char *python = script != NULL ? interpreter_of(script) : NULL;
    if (python == NULL)
        python = on_path("python3");
    if (python == NULL)
        python = on_path("python");
    if (python == NULL)
        err_set(err, "no python3 on PATH on this node; load one in worker_init or set "
                     "GC_WORKER_PYTHON");
    return python;
}

bool python_release(const char *version, char out[PYTHON_RELEASE_TEXT])
{
    static const char digits[] = "0123456789";
    if (version == NULL)
        return false;
    size_t major = strspn(version, digits);
    if (major == 0 || version[major] != '.')
        return false;
    size_t minor = strspn(version + major + 1, digits), n = major + 1 + minor;
    if (minor == 0 || n >= PYTHON_RELEASE_TEXT || (version[n] != '\0' && version[n] != '.'))
        return false;
    memcpy(out, version, n);
    out[n] = '\0';
    return true;
}

char *python_choose(struct json_object *table, const char *user, struct err *err)
{
    char release[PYTHON_RELEASE_TEXT] = "default";
    struct json_object *row = NULL;
    if (python_release(user, release))
        json_object_object_get_ex(table, release, &row);
    if (row == NULL)
        json_object_object_get_ex(table, "default", &row);
    const char *name = row != NULL ? json_object_get_string(row) : NULL;
    if (name == NULL)
        return python_find(err);
    char *found = strchr(name, '/') != NULL ? xstrdup(name) : on_path(name);
    if (found != NULL && access(found, X_OK) == 0)
        return found;
    free(found);
    err_set(err,
            "the endpoint's configuration has %s for Python %s (engine option python), which is "
            "not an executable on this node",
            name, release);
    return NULL;
}
