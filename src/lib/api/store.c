/* The token store on disk: <base>/storage.db, in the layout of the Python package (schema 2), so
 * that a sign-in made by one program serves the other.  (spec: auth.md 3)
 *
 * Short transactions, and 5 s of patience when the other program holds the lock. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/api/private.h"
#include "lib/base/alloc.h"

#define BUSY_MS 5000
#define TOKEN_MAX (256u << 10)

struct token_store {
    sqlite3 *db;
    char *path;
};

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS token_storage (namespace VARCHAR NOT NULL,"
    " resource_server VARCHAR NOT NULL, token_data_json VARCHAR NOT NULL,"
    " PRIMARY KEY (namespace, resource_server));"
    "CREATE TABLE IF NOT EXISTS sdk_storage_adapter_internal (attribute VARCHAR NOT NULL,"
    " value VARCHAR NOT NULL, PRIMARY KEY (attribute));"
    "INSERT OR IGNORE INTO sdk_storage_adapter_internal VALUES"
    " ('globus-sdk.version', '4.9.1'), ('globus-sdk.database_schema_version', '2');"
    "COMMIT;";

static int failed(struct token_store *s, struct err *err)
{
    return err_set(err, "token store %s: %s", s->path, sqlite3_errmsg(s->db));
}

/* The file is made by us with its final mode; SQLite would follow the umask. */
static int make_file(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fchmod(fd, 0600) < 0) {
        err_errno(err, "token store %s can't be opened", path);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    close(fd);
    return 0;
}

struct token_store *token_store_open(const char *base_dir, struct err *err)
{
    struct token_store *s = xcalloc(1, sizeof(*s));
    s->path = xasprintf("%s/storage.db", base_dir);
    if (make_file(s->path, err) < 0)
        goto fail;
    if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        failed(s, err);
        goto fail;
    }
    sqlite3_busy_timeout(s->db, BUSY_MS);
    if (sqlite3_exec(s->db, schema, NULL, NULL, NULL) != SQLITE_OK) {
        failed(s, err);
        goto fail;
    }
    return s;
fail:
    token_store_close(s);
    return NULL;
}

void token_store_close(struct token_store *s)
{
    if (!s)
        return;
    sqlite3_close(s->db);
    free(s->path);
    free(s);
}

static void load_row(struct json_object *set, sqlite3_stmt *row)
{
    const char *server = (const char *)sqlite3_column_text(row, 0);
    const char *text = (const char *)sqlite3_column_text(row, 1);
    if (!server || !text)
        return;
    struct json_object *data = json_read(text, strlen(text), TOKEN_MAX, "token", NULL);
    /* A row that can't be read is as good as none: the sign-in replaces it. */
    if (json_object_is_type(data, json_type_object))
        json_object_object_add(set, server, data);
    else
        json_object_put(data);
}

struct json_object *token_store_load(struct token_store *s, const char *namespace, struct err *err)
{
    static const char query[] =
        "SELECT resource_server, token_data_json FROM token_storage WHERE namespace = ?";
    sqlite3_stmt *row = NULL;
    struct json_object *set = json_object_new_object();
    int rc = sqlite3_prepare_v2(s->db, query, -1, &row, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_text(row, 1, namespace, -1, SQLITE_TRANSIENT);
        while ((rc = sqlite3_step(row)) == SQLITE_ROW)
            load_row(set, row);
    }
    if (rc != SQLITE_DONE) {
        failed(s, err);
        json_object_put(set);
        set = NULL;
    }
    sqlite3_finalize(row);
    return set;
}

static int save_row(struct token_store *s, const char *namespace, const char *server,
                    struct json_object *data)
{
    static const char query[] = "REPLACE INTO token_storage VALUES (?, ?, ?)";
    sqlite3_stmt *row = NULL;
    autobuf struct buf text = BUF_INIT;
    json_write_ascii(&text, data);
    int rc = sqlite3_prepare_v2(s->db, query, -1, &row, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_text(row, 1, namespace, -1, SQLITE_TRANSIENT);
        sqlite3_bind_text(row, 2, server, -1, SQLITE_TRANSIENT);
        sqlite3_bind_text(row, 3, text.data, -1, SQLITE_TRANSIENT);
        rc = sqlite3_step(row);
    }
    sqlite3_finalize(row);
    explicit_bzero(text.data, text.len);
    return rc == SQLITE_DONE ? 0 : -1;
}

int token_store_save(struct token_store *s, const char *namespace, struct json_object *tokens,
                     struct err *err)
{
    if (sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return failed(s, err);
    json_object_object_foreach(tokens, server, data)
    {
        if (save_row(s, namespace, server, data) < 0) {
            failed(s, err);
            sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
            return -1;
        }
    }
    if (sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        return failed(s, err);
    return 0;
}

int token_store_clear(struct token_store *s, const char *namespace, struct err *err)
{
    sqlite3_stmt *row = NULL;
    int rc =
        sqlite3_prepare_v2(s->db, "DELETE FROM token_storage WHERE namespace = ?", -1, &row, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_text(row, 1, namespace, -1, SQLITE_TRANSIENT);
        rc = sqlite3_step(row);
    }
    sqlite3_finalize(row);
    return rc == SQLITE_DONE ? 0 : failed(s, err);
}
