#include "endpoint/home.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/uuid.h"

#define ENTRIES_MAX 100000

static char *compute_dir(struct err *err)
{
    const char *given = getenv("GLOBUS_COMPUTE_USER_DIR"), *home = getenv("HOME");
    struct stat st;
    char *dir = given != NULL && *given != '\0'
                    ? xstrdup(given)
                    : xasprintf("%s/.globus_compute", home != NULL ? home : "");
    if (stat(dir, &st) == 0 && !S_ISDIR(st.st_mode)) {
        err_set(err, "%s is not a directory", dir);
        free(dir);
        return NULL;
    }
    (void)fs_mkdirs(dir, 0700, NULL); /* what is missing then is said of the endpoint's own */
    return dir;
}

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Has a config.* file, and its endpoint.json names the id. */
static bool is_home_of(const char *dir, const char *id)
{
    static const char *const configs[] = {"config.yaml", "config.yml", "config.py"};
    bool configured = false;
    for (size_t i = 0; i < 3 && !configured; i++) {
        autofree char *path = xasprintf("%s/%s", dir, configs[i]);
        configured = access(path, F_OK) == 0;
    }
    autofree char *path = xasprintf("%s/endpoint.json", dir);
    autobuf struct buf text = BUF_INIT;
    char found[UUID_TEXT];
    if (!configured || fs_read(path, 64 << 10, &text, NULL) != 0)
        return false;
    autojson struct json_object *o = json_read(text.data, text.len, 64 << 10, path, NULL);
    return uuid_parse(json_str_or(o, "endpoint_id", ""), found) && strcmp(found, id) == 0;
}

static char *by_id(const char *base, const char *id)
{
    DIR *d = opendir(base);
    struct dirent *e;
    char *found = NULL;
    for (int n = 0; d != NULL && found == NULL && n < ENTRIES_MAX && (e = readdir(d)) != NULL;
         n++) {
        char *dir = xasprintf("%s/%s", base, e->d_name);
        if (e->d_name[0] != '.' && is_dir(dir) && is_home_of(dir, id))
            found = dir;
        else
            free(dir);
    }
    if (d != NULL)
        closedir(d);
    return found;
}

static char *look(const char *name, struct err *err)
{
    const char *given = getenv("GLOBUS_COMPUTE_ENDPOINT_DIR");
    char id[UUID_TEXT];
    if (given != NULL && *given != '\0')
        return xstrdup(given);
    autofree char *base = compute_dir(err);
    if (base == NULL)
        return NULL;
    char *dir = uuid_parse(name, id) ? by_id(base, id) : NULL;
    return dir != NULL ? dir : xasprintf("%s/%s", base, name);
}

char *home_find(const char *name, struct err *err)
{
    autofree char *dir = look(name, err);
    if (dir == NULL)
        return NULL;
    char *real = is_dir(dir) ? realpath(dir, NULL) : NULL;
    if (real == NULL)
        err_set(err, "Failed to find endpoint configuration (%s)", dir);
    return real;
}

char *home_export(const char *dir)
{
    const char *given = getenv("GLOBUS_COMPUTE_LOG_PATH");
    char *log =
        given != NULL && *given != '\0' ? xstrdup(given) : xasprintf("%s/endpoint.log", dir);
    setenv("GLOBUS_COMPUTE_ENDPOINT_DIR", dir, 1);
    setenv("GLOBUS_COMPUTE_LOG_PATH", log, 1);
    return log;
}
