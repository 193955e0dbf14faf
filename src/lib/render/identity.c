/* The local account as templates see it. */
#include "lib/render/render.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "lib/base/alloc.h"

#define GROUPS_MAX 65536

/* Those of this process when it runs as the account, with the primary group in front as
 * getgrouplist() has it; else the database's. */
static struct json_object *groups_of(const struct passwd *pw)
{
    struct json_object *list = json_object_new_array();
    int n = 64;
    gid_t *gids = xcalloc((size_t)n, sizeof(*gids));
    if (getuid() == pw->pw_uid && getgroups(0, NULL) >= 0) {
        int count = getgroups(0, NULL);
        gids = xrealloc(gids, ((size_t)count + 1) * sizeof(*gids));
        n = getgroups(count, gids);
        bool has_primary = false;
        for (int i = 0; i < n; i++)
            has_primary |= gids[i] == pw->pw_gid;
        if (!has_primary)
            json_object_array_add(list, json_object_new_int64(pw->pw_gid));
    } else {
        while (getgrouplist(pw->pw_name, pw->pw_gid, gids, &n) < 0 && n <= GROUPS_MAX)
            gids = xrealloc(gids, (size_t)n * sizeof(*gids));
    }
    for (int i = 0; i < n; i++)
        json_object_array_add(list, json_object_new_int64(gids[i]));
    free(gids);
    return list;
}

struct json_object *render_identity(uid_t uid, const char *globus_id, struct err *err)
{
    const struct passwd *pw = getpwuid(uid);
    if (pw == NULL) {
        err_set(err, "there is no local account with uid %u", (unsigned)uid);
        return NULL;
    }
    struct json_object *local = json_object_new_object();
    json_add_str(local, "uname", pw->pw_name);
    json_add_int(local, "uid", pw->pw_uid);
    json_add_int(local, "gid", pw->pw_gid);
    json_add_str(local, "gecos", pw->pw_gecos);
    json_add_str(local, "shell", pw->pw_shell);
    json_add_str(local, "dir", pw->pw_dir);
    json_add(local, "groups", groups_of(pw));
    struct json_object *globus = json_object_new_object();
    json_add_str(globus, "id", globus_id);
    struct json_object *identity = json_object_new_object();
    json_add(identity, "local", local);
    json_add(identity, "globus", globus);
    return identity;
}
