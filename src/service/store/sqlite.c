/* SQLite: one file, WAL, every commit synced.  Statements are prepared once a connection and kept
 * by their text; a second use while the first is still stepping gets one of its own. */
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/map.h"
#include "service/store/engine.h"

#define BUSY_MS 20000
#define STATEMENTS_MAX 512
/* The empty transaction finds out whether the file can be written at all. */
#define SET_UP_WRITER                                                                              \
    "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA foreign_keys=ON;"                      \
    "PRAGMA temp_store=MEMORY;PRAGMA cache_size=-32768;PRAGMA wal_autocheckpoint=4000;"            \
    "BEGIN IMMEDIATE;ROLLBACK"
#define SET_UP_READER "PRAGMA query_only=ON;PRAGMA temp_store=MEMORY;PRAGMA cache_size=-8192"

struct lite {
    struct db base;
    sqlite3 *h;
    struct map *statements;
    bool must_rerun;
};

struct cached {
    sqlite3_stmt *st;
    bool busy;
    bool own; /* not in the cache */
};

struct lite_rows {
    struct db_rows base;
    struct cached *c;
    sqlite3_stmt *st;
};

static struct lite *lite(struct db *db)
{
    return (struct lite *)db;
}

static void finalize(void *p)
{
    struct cached *c = p;
    sqlite3_finalize(c->st);
    free(c);
}

static int failed(struct lite *l, const char *sql, struct err *err)
{
    int code = sqlite3_extended_errcode(l->h);
    int low = code & 0xff;
    /* The transaction may be gone altogether (disk full, I/O error): then all of it failed. */
    l->must_rerun = low == SQLITE_BUSY || low == SQLITE_LOCKED;
    return err_code(err, low == SQLITE_FULL ? ENOSPC : EIO, "ledger: %s (%.60s)",
                    sqlite3_errmsg(l->h), sql);
}

/* keep: SQLITE_STATIC when the values outlive the statement's run, else SQLITE_TRANSIENT. */
static int bind(sqlite3_stmt *st, const struct db_value *p, size_t n, sqlite3_destructor_type keep)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; i < n && rc == SQLITE_OK; i++) {
        int at = (int)i + 1;
        switch (p[i].type) {
        case 'i':
            rc = sqlite3_bind_int64(st, at, p[i].i);
            break;
        case 'd':
            rc = sqlite3_bind_double(st, at, p[i].d);
            break;
        case 's':
            rc = sqlite3_bind_text64(st, at, p[i].bytes.p, p[i].bytes.n, keep, SQLITE_UTF8);
            break;
        case 'b':
            rc = sqlite3_bind_blob64(st, at, p[i].bytes.p, p[i].bytes.n, keep);
            break;
        default:
            rc = sqlite3_bind_null(st, at);
        }
    }
    return rc;
}

/* Out of the cache, or new; give_back() when done. */
static struct cached *statement(struct lite *l, const char *sql, struct err *err)
{
    struct cached *c = map_get(l->statements, sql);
    if (c && !c->busy) {
        c->busy = true;
        return c;
    }
    bool own = c || map_count(l->statements) >= STATEMENTS_MAX;
    sqlite3_stmt *st;
    if (sqlite3_prepare_v3(l->h, sql, -1, own ? 0 : SQLITE_PREPARE_PERSISTENT, &st, NULL) !=
        SQLITE_OK) {
        failed(l, sql, err);
        return NULL;
    }
    c = xcalloc(1, sizeof(*c));
    *c = (struct cached){.st = st, .busy = true, .own = own};
    if (!own)
        map_put(l->statements, sql, c);
    return c;
}

static void give_back(struct cached *c)
{
    if (c->own) {
        finalize(c);
        return;
    }
    sqlite3_reset(c->st);
    sqlite3_clear_bindings(c->st);
    c->busy = false;
}

static int64_t run(struct db *db, const char *sql, const struct db_value *p, size_t n, size_t rows,
                   db_take_f *take, void *arg, struct err *err)
{
    struct lite *l = lite(db);
    int64_t changed = 0;
    struct cached *c = statement(l, sql, err);
    if (!c)
        return -1;
    struct lite_rows row = {{db->engine, db}, c, c->st};
    for (size_t i = 0; i < rows; i++) {
        int rc = bind(c->st, p + i * n, n, SQLITE_STATIC);
        if (rc == SQLITE_OK)
            rc = sqlite3_step(c->st);
        for (; rc == SQLITE_ROW; rc = sqlite3_step(c->st))
            if (take)
                take(arg, i, &row.base);
        if (rc != SQLITE_DONE) {
            failed(l, sql, err);
            give_back(c);
            return -1;
        }
        changed += sqlite3_changes64(l->h);
        sqlite3_reset(c->st);
    }
    give_back(c);
    return changed;
}

/* Several statements at once are rare and not kept; a single one ("COMMIT") is. */
static int exec(struct db *db, const char *sql, struct err *err)
{
    struct lite *l = lite(db);
    if (!strchr(sql, ';'))
        return run(db, sql, NULL, 0, 1, NULL, NULL, err) < 0 ? -1 : 0;
    return sqlite3_exec(l->h, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(l, sql, err);
}

static void close_db(struct db *db)
{
    struct lite *l = lite(db);
    map_destroy(l->statements, finalize);
    sqlite3_close(l->h);
    free(l);
}

/* Its memory statistics, which nobody reads, put one lock around every allocation. */
static void set_up_library(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static bool has_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    autofree char *folder = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
    return access(folder, F_OK) == 0;
}

/* Why the file can't be the ledger, and what helps; -1. */
static int unusable(struct lite *l, const char *path, struct err *err)
{
    int low = l->h ? sqlite3_errcode(l->h) & 0xff : SQLITE_NOMEM;
    int why = l->h ? sqlite3_system_errno(l->h) : 0;
    const char *text = l->h ? sqlite3_errmsg(l->h) : "out of memory";
    if (low == SQLITE_BUSY || low == SQLITE_LOCKED)
        return err_set(err, "%s: the ledger is locked by another program; end that one first",
                       path);
    if (low == SQLITE_NOTADB)
        return err_set(err, "%s: can't be the ledger: %s; name another file, or restore a backup",
                       path, text);
    /* SQLite's last try is to open it for reading: that finds no file where none could be made. */
    if (why == ENOENT && has_folder(path))
        why = EACCES;
    if (why == ENOENT)
        return err_set(err, "%s: can't open the ledger: its folder does not exist", path);
    if (low == SQLITE_READONLY || low == SQLITE_PERM || why == EACCES || why == EROFS)
        return err_set(err,
                       "%s: can't write the ledger: %s; the account that runs the service has to "
                       "own the file and its folder, on a file system that can be written",
                       path, why ? strerror(why) : text);
    return err_set(err, "%s: can't open the ledger: %s", path, text);
}

static struct db *open_db(const char *url, bool writer, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *path = url + strlen("sqlite:");
    pthread_once(&once, set_up_library);
    struct lite *l = xcalloc(1, sizeof(*l));
    l->base.engine = &engine_sqlite;
    l->statements = map_create();
    mode_t before = umask(077);
    int rc = sqlite3_open_v2(
        path, &l->h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    umask(before);
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(l->h, BUSY_MS);
        rc = sqlite3_exec(l->h, writer ? SET_UP_WRITER : SET_UP_READER, NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK)
        return &l->base;
    unusable(l, path, err);
    close_db(&l->base);
    return NULL;
}

static struct db_rows *query(struct db *db, const char *sql, const struct db_value *p, size_t n,
                             struct err *err)
{
    struct lite *l = lite(db);
    struct cached *c = statement(l, sql, err);
    if (!c)
        return NULL;
    if (bind(c->st, p, n, SQLITE_TRANSIENT) != SQLITE_OK) {
        failed(l, sql, err);
        give_back(c);
        return NULL;
    }
    struct lite_rows *r = xcalloc(1, sizeof(*r));
    r->base.engine = db->engine;
    r->base.db = db;
    r->c = c;
    r->st = c->st;
    return &r->base;
}

static int next(struct db_rows *rows, struct err *err)
{
    struct lite_rows *r = (struct lite_rows *)rows;
    int rc = sqlite3_step(r->st);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE) {
        sqlite3_reset(r->st); /* the read lock goes now, not with rows_end() */
        return 0;
    }
    return failed(lite(r->base.db), sqlite3_sql(r->st), err);
}

static struct db_value get(struct db_rows *r, int column, char want)
{
    sqlite3_stmt *st = ((struct lite_rows *)r)->st;
    struct db_value v = {.type = want};
    if (sqlite3_column_type(st, column) == SQLITE_NULL) {
        v.type = 'n';
    } else if (want == 'i') {
        v.i = sqlite3_column_int64(st, column);
    } else if (want == 'd') {
        v.d = sqlite3_column_double(st, column);
    } else {
        v.bytes.p = want == 's' ? (const void *)sqlite3_column_text(st, column)
                                : sqlite3_column_blob(st, column);
        v.bytes.n = (size_t)sqlite3_column_bytes(st, column);
    }
    return v;
}

static void rows_end(struct db_rows *rows)
{
    struct lite_rows *r = (struct lite_rows *)rows;
    give_back(r->c);
    free(r);
}

static bool must_rerun(struct db *db, bool forget)
{
    bool was = lite(db)->must_rerun;
    if (forget)
        lite(db)->must_rerun = false;
    return was;
}

const struct db_engine engine_sqlite = {
    .name = "sqlite",
    .open = open_db,
    .close = close_db,
    .exec = exec,
    .run = run,
    .query = query,
    .next = next,
    .get = get,
    .rows_end = rows_end,
    .must_rerun = must_rerun,
};
