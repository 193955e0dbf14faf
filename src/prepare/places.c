/* See places.h. */
#include "prepare/places.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/base/fs.h"

/* ---- expansion ---- */

static size_t name_length(const char *s)
{
    size_t n = 0;
    while (isalnum((unsigned char)s[n]) || s[n] == '_')
        n++;
    return n;
}

static void expand_variables(const struct environment *e, const char *s, struct buf *out)
{
    while (*s != '\0') {
        bool braces = s[0] == '$' && s[1] == '{';
        const char *start = s + 1 + braces;
        size_t n = *s != '$' ? 0 : braces ? strcspn(start, "}") : name_length(start);
        size_t all = 1 + n + (braces ? 2u : 0u);
        if (n == 0 || (braces && start[n] != '}')) {
            buf_char(out, *s++);
            continue;
        }
        autofree char *name = xstrndup(start, n);
        const char *value = environment_get(e, name);
        if (value != NULL)
            buf_str(out, value);
        else
            buf_add(out, s, all);
        s += all;
    }
}

/* `$NAME`, `${NAME}` and a leading `~`, as the user; names that aren't set stay.  Caller frees. */
static char *places_expand(const struct environment *e, const char *path)
{
    autobuf struct buf b = BUF_INIT;
    expand_variables(e, path, &b);
    const char *text = b.data != NULL ? b.data : "";
    if (text[0] != '~')
        return xstrdup(text);
    size_t n = strcspn(text + 1, "/");
    autofree char *user = xstrndup(text + 1, n);
    const struct passwd *pw = n > 0 ? getpwnam(user) : NULL;
    const char *home = n > 0 ? (pw != NULL ? pw->pw_dir : NULL) : environment_get(e, "HOME");
    return home != NULL ? xasprintf("%s%s", home, text + 1 + n) : xstrdup(text);
}

/* ---- folder and log ---- */

static char *absolute(char *path)
{
    char cwd[PATH_MAX];
    if (path[0] == '/' || getcwd(cwd, sizeof(cwd)) == NULL)
        return path;
    char *whole = xasprintf("%s/%s", strcmp(cwd, "/") == 0 ? "" : cwd, path);
    free(path);
    return whole;
}

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The member of `paths`, else the variable, expanded; NULL when neither is set. */
static int wished(const struct environment *e, struct json_object *paths, const char *key,
                  const char *variable, char **out, struct err *err)
{
    struct json_object *o = NULL;
    const char *text = environment_get(e, variable);
    *out = NULL;
    if (json_object_object_get_ex(paths, key, &o) && o != NULL) {
        if (!json_object_is_type(o, json_type_string))
            return err_set(err, "paths.%s is not a text (it is %s)", key, json_kind(o));
        if (json_object_get_string_len(o) > 0)
            text = json_object_get_string(o);
    }
    if (text != NULL && *text != '\0')
        *out = absolute(places_expand(e, text));
    return 0;
}

static char *usual_dir(const struct environment *e, const char *name)
{
    const char *base = environment_get(e, "GLOBUS_COMPUTE_USER_DIR");
    if (base != NULL && *base != '\0')
        return absolute(xasprintf("%s/%s", base, name));
    const char *home = environment_get(e, "HOME");
    return absolute(
        xasprintf("%s/.globus_compute/%s", home != NULL && *home != '\0' ? home : "/", name));
}

static char *real(char *path)
{
    char *found = realpath(path, NULL);
    if (found == NULL)
        return path;
    free(path);
    return found;
}

char *places_make(struct environment *e, const char *name, struct json_object *paths,
                  bool only_look, struct err *err)
{
    char *dir = NULL, *log = NULL;
    if (wished(e, paths, "endpoint_dir", "GLOBUS_COMPUTE_ENDPOINT_DIR", &dir, err) < 0)
        return NULL;
    if (dir == NULL)
        dir = usual_dir(e, name);
    if (access(dir, F_OK) == 0 && !is_dir(dir)) {
        err_set(err, "GLOBUS_COMPUTE_ENDPOINT_DIR must be a directory: %s", dir);
        goto out;
    }
    if (!only_look && fs_mkdirs(dir, 0700, err) < 0)
        goto out;
    dir = real(dir);
    environment_set(e, "GLOBUS_COMPUTE_ENDPOINT_DIR", dir);
    if (wished(e, paths, "endpoint_log", "GLOBUS_COMPUTE_LOG_PATH", &log, err) < 0)
        goto out;
    if (log == NULL)
        log = xasprintf("%s/endpoint.log", dir);
    if (is_dir(log)) {
        err_set(err, "GLOBUS_COMPUTE_LOG_PATH can not be a directory: %s", log);
    } else {
        autofree char *copy = xstrdup(log);
        if (only_look || fs_mkdirs(dirname(copy), 0700, err) == 0) {
            environment_set(e, "GLOBUS_COMPUTE_LOG_PATH", log);
            free(dir);
            return log;
        }
    }
out:
    free(dir);
    free(log);
    return NULL;
}

/* ---- program ---- */

static bool can_run(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

char *places_find(const struct environment *e, const char *program)
{
    const char *path = environment_get(e, "PATH");
    if (strchr(program, '/') != NULL)
        return can_run(program) ? xstrdup(program) : NULL;
    for (const char *at = path; at != NULL && *at != '\0';) {
        size_t n = strcspn(at, ":");
        autofree char *folder = n > 0 ? xstrndup(at, n) : xstrdup(".");
        char *found = xasprintf("%s/%s", folder, program);
        if (can_run(found))
            return found;
        free(found);
        at += n + (at[n] == ':');
    }
    return NULL;
}

static int check_owner(const char *path, bool is_folder, bool privileged, struct err *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return err_errno(err, "%s", path);
    if (!is_folder && !S_ISREG(st.st_mode))
        return err_set(err, "%s is not a regular file", path);
    if (st.st_uid != 0 && (privileged || st.st_uid != getuid()))
        return err_set(err, "%s belongs to uid %u; it must belong to root", path, st.st_uid);
    bool shared = (st.st_mode & S_IWOTH) || ((st.st_mode & S_IWGRP) && st.st_gid != 0);
    if (shared && !(is_folder && (st.st_mode & S_ISVTX)))
        return err_set(err, "%s can be written by others (mode %04o); only root may", path,
                       st.st_mode & 07777);
    return 0;
}

int places_check_fixed(const char *path, bool privileged, struct err *err)
{
    if (path[0] != '/')
        return err_set(err, "user_endpoint_executable: %s is not an absolute path", path);
    autofree char *found = realpath(path, NULL);
    if (found == NULL)
        return err_errno(err, "%s", path);
    if (check_owner(found, false, privileged, err) < 0)
        return -1;
    for (char *slash = strrchr(found, '/'); slash != NULL; slash = strrchr(found, '/')) {
        *slash = '\0';
        if (check_owner(*found != '\0' ? found : "/", true, privileged, err) < 0)
            return -1;
    }
    if (access(path, X_OK) < 0)
        return err_errno(err, "%s", path);
    return 0;
}
