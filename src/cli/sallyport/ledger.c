#include "cli/sallyport/ledger.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/sallyport/commands.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/yaml/yaml.h"
#include "service/auth/admin.h"

#define SETTINGS_MAX (1u << 20)

struct ledger {
    struct loop *loop;
    struct store *store;
    struct json_object *settings; /* or NULL */
};

struct json_object *settings_read(const char *data_dir, struct err *err)
{
    autofree char *path = xasprintf("%s/service.yaml", data_dir);
    err->text[0] = '\0';
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return NULL;
    struct buf b = BUF_INIT;
    struct json_object *o = NULL;
    if (fs_read(path, SETTINGS_MAX, &b, err) == 0)
        o = yaml_read(b.data == NULL ? "" : b.data, b.len, path, err);
    if (o != NULL && !json_object_is_type(o, json_type_object)) {
        err_set(err, "%s is %s; it has to be a mapping of settings", path, json_kind(o));
        json_object_put(o);
        o = NULL;
    }
    buf_free(&b);
    return o;
}

#define SERVICE_ACCOUNT "sallyport" /* what the service takes on when root starts it */

/* The folder, made when it is missing: others may pass through, as the broker's account has to. */
static int make_folder(const char *dir, const char *user, struct err *err)
{
    struct stat st;
    if (stat(dir, &st) == 0)
        return 0;
    if (fs_mkdirs(dir, 0711, err) != 0)
        return -1;
    const struct passwd *pw =
        geteuid() == 0 ? getpwnam(user != NULL ? user : SERVICE_ACCOUNT) : NULL;
    if (pw != NULL && chown(dir, pw->pw_uid, pw->pw_gid) != 0)
        return err_errno(err, "%s", dir);
    return 0;
}

int become_owner(const char *dir, struct err *err)
{
    struct stat st;
    if (stat(dir, &st) != 0)
        return err_errno(err, "%s", dir);
    if (geteuid() != 0 || st.st_uid == 0)
        return 0;
    if (setgroups(0, NULL) != 0 || setresgid(st.st_gid, st.st_gid, st.st_gid) != 0 ||
        setresuid(st.st_uid, st.st_uid, st.st_uid) != 0)
        return err_errno(err, "the account that owns %s could not be taken on", dir);
    return 0;
}

static void ledger_close(struct ledger *l)
{
    if (l == NULL)
        return;
    if (l->store != NULL)
        store_close(l->store);
    loop_destroy(l->loop);
    json_object_put(l->settings);
    free(l);
}

static struct ledger *ledger_open(const struct args *a, struct err *err)
{
    const char *dir = args_data(a);
    struct ledger *l = xcalloc(1, sizeof *l);
    l->settings = settings_read(dir, err);
    if (l->settings == NULL && err->text[0] != '\0') {
        free(l);
        return NULL;
    }
    if (make_folder(dir, json_str_or(l->settings, "user", NULL), err) != 0 ||
        become_owner(dir, err) != 0) {
        json_object_put(l->settings);
        free(l);
        return NULL;
    }
    const char *url = args_get(a, "--store");
    autofree char *usual = xasprintf("sqlite:%s/ledger.db", dir);
    if (url == NULL)
        url = json_str_or(l->settings, "store", usual);
    umask(077);
    l->loop = loop_create();
    l->store = store_open(l->loop, url, err);
    if (l->store == NULL) {
        ledger_close(l);
        return NULL;
    }
    return l;
}

const char *ledger_domain(const struct ledger *l)
{
    return json_str_or(l->settings, "auth.domain", ADMIN_DOMAIN);
}

int ledger_run(const struct args *a, store_job_f *job, void *arg,
               void (*prepare)(void *arg, struct ledger *l))
{
    struct err err = ERR_INIT;
    struct ledger *l = ledger_open(a, &err);
    int rc = l == NULL ? -1 : 0;
    if (rc == 0) {
        if (prepare != NULL)
            prepare(arg, l);
        rc = store_now(l->store, job, arg, &err);
    }
    ledger_close(l);
    return rc == 0 ? 0 : fail("%s", err.text);
}
