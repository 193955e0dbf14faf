/* See epdir.h. */
#include "cli/gce/epdir.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/uuid.h"

#define ID_FILE_MAX 65536

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

const char *epdir_base(void)
{
    static char base[PATH_MAX];
    if (base[0])
        return base;
    const char *own = getenv("GLOBUS_COMPUTE_USER_DIR");
    const char *home = getenv("HOME");
    char cwd[PATH_MAX] = "";
    if (own && own[0] == '/')
        snprintf(base, sizeof(base), "%s", own);
    else if (own && *own && getcwd(cwd, sizeof(cwd)))
        snprintf(base, sizeof(base), "%.2000s/%.2000s", cwd, own);
    else if (home && *home)
        snprintf(base, sizeof(base), "%.4000s/.globus_compute", home);
    else {
        const struct passwd *pw = getpwuid(getuid());
        snprintf(base, sizeof(base), "%.4000s/.globus_compute", pw ? pw->pw_dir : "/root");
    }
    for (size_t n = strlen(base); n > 1 && base[n - 1] == '/'; n--)
        base[n - 1] = '\0';
    return base;
}

int epdir_base_make(struct err *err)
{
    const char *base = epdir_base();
    struct err local = ERR_INIT;
    if (is_dir(base))
        return 0;
    if (access(base, F_OK) == 0)
        return err_set(
            err, "Error creating directory %s, please remove or rename the conflicting file", base);
    if (fs_mkdirs(base, 0700, &local) < 0)
        return err_set(err, "%s", local.text);
    return 0;
}

const char *epdir_name(const char *epdir)
{
    const char *slash = strrchr(epdir, '/');
    return slash ? slash + 1 : epdir;
}

/* <base>/<name>, whether it is there or not; the override of the environment counts. */
static char *epdir_path(const char *name)
{
    const char *own = getenv("GLOBUS_COMPUTE_ENDPOINT_DIR");
    if (own && *own)
        return xstrdup(own);
    return xasprintf("%s/%s", epdir_base(), name);
}

char *epdir_id(const char *epdir, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    struct err local = ERR_INIT;
    const char *id = NULL;
    autofree char *path = xasprintf("%s/endpoint.json", epdir);
    if (fs_read(path, ID_FILE_MAX, &text, &local) < 0) {
        if (local.code != ENOENT && err)
            *err = local;
        return NULL;
    }
    autojson struct json_object *doc = json_read(text.data, text.len, ID_FILE_MAX, path, err);
    if (!doc || json_get_str(doc, "endpoint_id", &id, err) < 0) {
        err_prefix(err, "%s", path);
        return NULL;
    }
    return xstrdup(id);
}

/* The endpoint that was registered under the id, as it was typed. */
static char *find_by_id(const char *id)
{
    char *found = NULL;
    char **list = epdir_list();
    for (char **at = list; *at && !found; at++) {
        autofree char *own = epdir_id(*at, NULL); /* a broken one hides nobody else */
        if (own && strcmp(own, id) == 0)
            found = xstrdup(*at);
    }
    epdir_list_free(list);
    return found;
}

/* One folder below the base and nothing else: `delete ..` must not find the base itself. */
static bool is_one_folder(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

char *epdir_find(const char *arg, struct err *err)
{
    char id[UUID_TEXT];
    const char *own = getenv("GLOBUS_COMPUTE_ENDPOINT_DIR");
    bool is_set = own && *own; /* whatever the name */
    bool is_id = !is_set && uuid_parse(arg, id);
    char *path = is_id ? find_by_id(arg) : *arg ? epdir_path(arg) : NULL;
    if (path && (is_set || is_id || is_one_folder(arg)) && is_dir(path))
        return path;
    err_set(err, "Failed to find endpoint configuration (%s)", is_id || !path ? arg : path);
    free(path);
    return NULL;
}

const char *ep_status_text(enum ep_status s)
{
    static const char *const texts[] = {"Initialized", "Running", "Disconnected", "Stopped"};
    return texts[s];
}

bool epdir_is_active(const char *epdir)
{
    struct stat st;
    autofree char *pid = xasprintf("%s/daemon.pid", epdir);
    return stat(pid, &st) == 0 && time(NULL) - st.st_mtime <= EPDIR_FRESH_S;
}

enum ep_status epdir_status(const char *epdir)
{
    autofree char *pid = xasprintf("%s/daemon.pid", epdir);
    autofree char *id = xasprintf("%s/endpoint.json", epdir);
    if (access(id, F_OK) != 0)
        return EP_INITIALIZED;
    if (access(pid, F_OK) != 0)
        return EP_STOPPED;
    return epdir_is_active(epdir) ? EP_RUNNING : EP_DISCONNECTED;
}

static bool has_config(const char *path)
{
    autofree char *yaml = xasprintf("%s/config.yaml", path);
    autofree char *python = xasprintf("%s/config.py", path);
    return access(yaml, F_OK) == 0 || access(python, F_OK) == 0;
}

char **epdir_list(void)
{
    size_t n = 0;
    char **list = xcalloc(1, sizeof(*list));
    DIR *dir = opendir(epdir_base());
    const struct dirent *e;
    while (dir && (e = readdir(dir))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char *path = xasprintf("%s/%s", epdir_base(), e->d_name);
        if (!has_config(path)) {
            free(path);
            continue;
        }
        list = xrealloc(list, (n + 2) * sizeof(*list));
        list[n++] = path;
        list[n] = NULL;
    }
    if (dir)
        closedir(dir);
    return list;
}

void epdir_list_free(char **list)
{
    for (char **at = list; *at; at++)
        free(*at);
    free(list);
}
