/* restore: the service's folder from a backup.  All of the backup is checked before anything is
 * written, and nothing that is there is ever replaced. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/sallyport/commands.h"
#include "cli/sallyport/copies.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"

#define LIST_MAX (1u << 20)
#define SERVICE_ACCOUNT "sallyport"

struct restore {
    const char *source, *data;
    struct json_object *list;
    size_t payloads;
    bool gives; /* root: what is written goes to an account */
    uid_t uid;
    gid_t gid;
};

static int read_list(struct restore *r, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    struct json_object *files;
    int64_t format = 0;
    autofree char *path = xasprintf("%s/" COPIES_LIST, r->source);
    if (access(path, F_OK) < 0)
        return err_set(err, "%s is no whole backup: it has no " COPIES_LIST, r->source);
    if (fs_read(path, LIST_MAX, &text, err) < 0)
        return -1;
    r->list = json_read(text.data, text.len, LIST_MAX, path, err);
    if (!r->list || json_get_int(r->list, "format", &format, err) < 0 ||
        json_get_obj(r->list, "files", &files, err) < 0)
        return err_prefix(err, "%s", path);
    if (format != COPIES_FORMAT)
        return err_set(err, "%s has format %lld; this program reads %d", path, (long long)format,
                       COPIES_FORMAT);
    if (!json_object_object_get(files, COPIES_LEDGER))
        return err_set(err, "%s names no ledger", path);
    return 0;
}

static bool is_file_of_ours(const char *name)
{
    return !strchr(name, '/') && (strcmp(name, COPIES_LEDGER) == 0 || is_small_file(name));
}

static int check_payload(void *arg, const char *below, const char *hash, struct err *err)
{
    struct restore *r = arg;
    char found[HASH_TEXT];
    autofree char *path = xasprintf("%s/" COPIES_PAYLOADS "/%s", r->source, below);
    if (hash_file(path, found, err) < 0)
        return -1;
    if (strcmp(found, hash) != 0)
        return err_set(err, "%s is damaged: its bytes are not those of its name", path);
    r->payloads++;
    return 0;
}

static int check_all(struct restore *r, struct err *err)
{
    int64_t payloads = 0;
    char found[HASH_TEXT];
    json_object_object_foreach(json_object_object_get(r->list, "files"), name, hash)
    {
        autofree char *path = xasprintf("%s/%s", r->source, name);
        if (!is_file_of_ours(name))
            return err_set(err, "%s/" COPIES_LIST " names %.100s, which is no file of a backup",
                           r->source, name);
        if (hash_file(path, found, err) < 0)
            return -1;
        if (!hash || strcmp(found, json_object_get_string(hash)) != 0)
            return err_set(err, "%s is damaged: its bytes are not those of the backup", path);
    }
    autofree char *folder = xasprintf("%s/" COPIES_PAYLOADS, r->source);
    if (payloads_each(folder, check_payload, r, err) < 0)
        return -1;
    (void)json_get_int(r->list, "payloads", &payloads, NULL);
    if ((int64_t)r->payloads < payloads)
        return err_set(err, "%s has %zu payloads; it had %lld", folder, r->payloads,
                       (long long)payloads);
    return 0;
}

static int give(const struct restore *r, const char *path, struct err *err)
{
    if (r->gives && chown(path, r->uid, r->gid) < 0)
        return err_errno(err, "%s can't be given to the service's account", path);
    return 0;
}

static int write_payload(void *arg, const char *below, const char *hash, struct err *err)
{
    const struct restore *r = arg;
    (void)hash;
    autofree char *from = xasprintf("%s/" COPIES_PAYLOADS "/%s", r->source, below);
    autofree char *to = xasprintf("%s/" COPIES_PAYLOADS "/%s", r->data, below);
    autofree char *folder = xstrndup(to, strlen(to) - 63);
    if (fs_mkdirs(folder, 0700, err) < 0 || give(r, folder, err) < 0 ||
        copy_file(from, to, NULL, err) < 0)
        return -1;
    return give(r, to, err);
}

static int write_all(const struct restore *r, struct err *err)
{
    autofree char *payloads = xasprintf("%s/" COPIES_PAYLOADS, r->source);
    autofree char *folder = xasprintf("%s/" COPIES_PAYLOADS, r->data);
    autofree char *ledger = xasprintf("%s/" COPIES_LEDGER, r->data);
    if (fs_mkdirs(folder, 0700, err) < 0 || give(r, folder, err) < 0 ||
        payloads_each(payloads, write_payload, (void *)r, err) < 0)
        return -1;
    json_object_object_foreach(json_object_object_get(r->list, "files"), name, hash)
    {
        (void)hash;
        autofree char *from = xasprintf("%s/%s", r->source, name);
        autofree char *to = xasprintf("%s/%s", r->data, name);
        if (copy_file(from, to, NULL, err) < 0 || give(r, to, err) < 0)
            return -1;
    }
    if (ledger_check(ledger, err) < 0)
        return -1;
    return 0;
}

static bool is_empty(const char *dir)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    int n = 0;
    while (d && (e = readdir(d)))
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (d)
        closedir(d);
    return d && n == 0;
}

/* The folder, ours and closed until all is in it: nobody puts a link into it meanwhile. */
static int begin(struct restore *r, const char *user, struct err *err)
{
    struct stat st;
    bool is_there = lstat(r->data, &st) == 0;
    const struct passwd *pw = getpwnam(user ? user : SERVICE_ACCOUNT);
    if (user && !pw)
        return err_set(err, "there is no account %s", user);
    if (is_there && (!S_ISDIR(st.st_mode) || !is_empty(r->data)))
        return err_set(err, "%s is not an empty folder: move what is there away first", r->data);
    r->gives = geteuid() == 0;
    r->uid = pw ? pw->pw_uid : is_there ? st.st_uid : geteuid();
    r->gid = pw ? pw->pw_gid : is_there ? st.st_gid : getegid();
    umask(077);
    if (!is_there && fs_mkdirs(r->data, 0700, err) < 0)
        return -1;
    if (chown(r->data, geteuid(), getegid()) < 0 || chmod(r->data, 0700) < 0)
        return err_errno(err, "%s can't be taken", r->data);
    return is_empty(r->data) ? 0 : err_set(err, "%s has been filled by somebody else", r->data);
}

static int finish(const struct restore *r, struct err *err)
{
    sync();
    if (chmod(r->data, 0711) < 0) /* the broker's account passes through */
        return err_errno(err, "%s", r->data);
    return give(r, r->data, err);
}

int cmd_restore(const struct args *a)
{
    struct err err = ERR_INIT;
    struct restore r = {.source = args_operand(a, 0), .data = args_data(a)};
    int rc = read_list(&r, &err);
    if (rc == 0)
        rc = check_all(&r, &err);
    if (rc == 0)
        rc = begin(&r, args_get(a, "--user"), &err);
    if (rc == 0) {
        rc = write_all(&r, &err);
        if (rc < 0)
            (void)fs_remove_tree(r.data, NULL); /* what is in it is ours: it was empty */
    }
    if (rc == 0)
        rc = finish(&r, &err);
    if (rc == 0)
        printf("%s is as it was at %s (UTC), with %zu payloads.  Start the service, then the "
               "managers again if the broker's port is another one.\n",
               r.data, json_str_or(r.list, "made", "?"), r.payloads);
    json_object_put(r.list);
    return rc < 0 ? fail("%s", err.text) : 0;
}
