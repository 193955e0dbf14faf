/* backup: a copy of all that counts in the service's folder, while the service runs.
 *
 * The ledger comes first: a payload is on disk before the ledger names it, so what the copy of the
 * ledger names is there when payloads are copied. */
#include <dirent.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/sallyport/commands.h"
#include "cli/sallyport/copies.h"
#include "cli/sallyport/ledger.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"

#define BUSY_MS 10000
#define TRIES 600 /* a ledger that is locked for a minute is left alone */

struct backup {
    const char *data, *target;
    struct json_object *files; /* name -> hash */
    size_t payloads;
    bool made; /* target is ours to remove */
};

/* The file of the ledger; NULL with err. Caller frees. */
static char *ledger_file(const char *data, struct err *err)
{
    autojson struct json_object *settings = settings_read(data, err);
    if (!settings && err->text[0])
        return NULL;
    const char *url = json_str_or(settings, "store", NULL);
    if (!url)
        return xasprintf("%s/" COPIES_LEDGER, data);
    if (strncmp(url, "sqlite:", 7) == 0)
        return xstrdup(url + 7);
    err_set(err,
            "the ledger is not in SQLite (store of %s/service.yaml): copy it with pg_dump, and "
            "the files of %s beside it",
            data, data);
    return NULL;
}

static int copy_pages(sqlite3 *from, sqlite3 *to)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
    int rc = SQLITE_ERROR;
    for (int i = 0; b && i < TRIES; i++) {
        rc = sqlite3_backup_step(b, -1); /* of one moment: the service goes on writing meanwhile */
        if (rc != SQLITE_BUSY && rc != SQLITE_LOCKED)
            break;
        sqlite3_sleep(100);
    }
    if (b)
        (void)sqlite3_backup_finish(b);
    return rc == SQLITE_DONE ? 0 : -1;
}

static int copy_ledger(struct backup *b, struct err *err)
{
    char hash[HASH_TEXT];
    sqlite3 *from = NULL, *to = NULL;
    autofree char *source = ledger_file(b->data, err);
    autofree char *copy = xasprintf("%s/" COPIES_LEDGER, b->target);
    if (!source)
        return -1;
    int rc = 0;
    if (sqlite3_open_v2(source, &from, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        rc = err_set(err, "the ledger %s can't be opened: %s", source, sqlite3_errmsg(from));
    else if (sqlite3_open_v2(copy, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
             SQLITE_OK)
        rc = err_set(err, "%s can't be made: %s", copy, sqlite3_errmsg(to));
    else {
        sqlite3_busy_timeout(from, BUSY_MS);
        if (copy_pages(from, to) < 0 ||
            sqlite3_exec(to, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL) != SQLITE_OK)
            rc = err_set(err, "%s can't be copied to %s: %s", source, copy, sqlite3_errmsg(to));
    }
    sqlite3_close(to);
    sqlite3_close(from);
    if (rc < 0 || ledger_check(copy, err) < 0 || hash_file(copy, hash, err) < 0)
        return -1;
    json_add_str(b->files, COPIES_LEDGER, hash);
    return 0;
}

static int copy_payload(void *arg, const char *below, const char *hash, struct err *err)
{
    struct backup *b = arg;
    struct err local = ERR_INIT;
    char found[HASH_TEXT];
    autofree char *from = xasprintf("%s/" COPIES_PAYLOADS "/%s", b->data, below);
    autofree char *to = xasprintf("%s/" COPIES_PAYLOADS "/%s", b->target, below);
    autofree char *folder = xstrndup(to, strlen(to) - 63);
    if (access(from, F_OK) < 0 && errno == ENOENT)
        return 0; /* its time was over meanwhile */
    if (fs_mkdirs(folder, 0700, err) < 0)
        return -1;
    if (copy_file(from, to, found, &local) < 0)
        return err_set(err, "%s", local.text);
    if (strcmp(found, hash) != 0)
        return err_set(err, "%s is damaged: its bytes are not those of its name", from);
    b->payloads++;
    return 0;
}

static int copy_small(struct backup *b, struct err *err)
{
    char hash[HASH_TEXT];
    struct stat st;
    DIR *d = opendir(b->data);
    const struct dirent *e;
    int rc = d ? 0 : err_errno(err, "%s can't be read", b->data);
    while (rc == 0 && (e = readdir(d))) {
        autofree char *from = xasprintf("%s/%s", b->data, e->d_name);
        autofree char *to = xasprintf("%s/%s", b->target, e->d_name);
        if (!is_small_file(e->d_name) || lstat(from, &st) < 0 || !S_ISREG(st.st_mode))
            continue;
        rc = copy_file(from, to, hash, err);
        if (rc == 0)
            json_add_str(b->files, e->d_name, hash);
    }
    if (d)
        closedir(d);
    return rc;
}

static int write_list(struct backup *b, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    autojson struct json_object *o = json_object_new_object();
    char made[64];
    autofree char *path = xasprintf("%s/" COPIES_LIST, b->target);
    clock_iso_utc(clock_unix_ns(), made, sizeof(made));
    json_add_int(o, "format", COPIES_FORMAT);
    json_add_str(o, "made", made);
    json_add_str(o, "version", SALLYPORT_VERSION);
    json_add_int(o, "payloads", (int64_t)b->payloads);
    json_object_object_add(o, "files", json_object_get(b->files));
    json_write(&text, o);
    buf_char(&text, '\n');
    sync(); /* all before the list */
    return fs_write(path, text.data, text.len, 0600, true, err);
}

/* Made by whoever runs this; then by the account that owns the service's folder. */
static int begin(struct backup *b, struct err *err)
{
    struct stat st;
    if (stat(b->data, &st) < 0)
        return err_errno(err, "%s, the service's folder, can't be read", b->data);
    if (mkdir(b->target, 0700) < 0)
        return errno == EEXIST
                   ? err_set(err, "%s is there already: name a folder that is not", b->target)
                   : err_errno(err, "%s can't be made", b->target);
    b->made = true;
    if (geteuid() == 0 && chown(b->target, st.st_uid, st.st_gid) < 0)
        return err_errno(err, "%s can't be given to the service's account", b->target);
    if (become_owner(b->data, err) < 0)
        return -1;
    if (access(b->target, R_OK | W_OK | X_OK) < 0)
        return err_set(err,
                       "%s can't be reached by the account that owns %s: name a folder that it may "
                       "pass through",
                       b->target, b->data);
    umask(077);
    return 0;
}

int cmd_backup(const struct args *a)
{
    struct err err = ERR_INIT;
    struct backup b = {.data = args_data(a), .target = args_operand(a, 0)};
    b.files = json_object_new_object();
    autofree char *payloads = xasprintf("%s/" COPIES_PAYLOADS, b.data);
    int rc = begin(&b, &err);
    if (rc == 0)
        rc = copy_ledger(&b, &err);
    if (rc == 0)
        rc = payloads_each(payloads, copy_payload, &b, &err);
    if (rc == 0)
        rc = copy_small(&b, &err);
    if (rc == 0)
        rc = write_list(&b, &err);
    json_object_put(b.files);
    if (rc < 0 && b.made && fs_remove_tree(b.target, NULL) < 0)
        fprintf(stderr, "Warning: %s is left and is no backup\n", b.target);
    if (rc < 0)
        return fail("%s", err.text);
    printf("%s holds the ledger, %zu payloads and the keys of %s.  Who can read it can act for "
           "every user: keep it closed.\n",
           b.target, b.payloads, b.data);
    return 0;
}
