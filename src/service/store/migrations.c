/* Every module's tables, in the order in which they are made. */
#include "service/store/migrations.h"

#include <string.h>

#include "lib/base/log.h"
#include "service/store/engine.h"

static const struct migration *const *modules(void)
{
    static const struct migration *const list[] = {
        auth_migrations,
        api_migrations,
        broker_migrations,
        NULL,
    };
    return list;
}

static int is_applied(struct db *db, const char *name, struct err *err)
{
    struct db_rows *r = db_query(db, err, "SELECT 1 FROM migrations WHERE name = ?", "s", name);
    if (!r)
        return -1;
    int rc = db_next(r, err);
    db_rows_end(r);
    return rc;
}

static int apply(struct db *db, const struct migration *m, struct err *err)
{
    const char *sql = db_is_postgres(db) && m->postgres ? m->postgres : m->sql;
    int rc = is_applied(db, m->name, err);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (db->engine->exec(db, sql, err) < 0 ||
        db_run(db, err, "INSERT INTO migrations(name) VALUES (?)", "s", m->name) < 0)
        return err_prefix(err, "migration %s", m->name);
    log_info("ledger: migration %s applied", m->name);
    return 0;
}

static bool is_known(const char *name)
{
    for (const struct migration *const *list = modules(); *list; list++)
        for (const struct migration *m = *list; m->name; m++)
            if (strcmp(m->name, name) == 0)
                return true;
    return false;
}

/* A newer program has been here: what it has changed, this one would misread. */
static int refuse_newer(struct db *db, struct err *err)
{
    int rc;
    struct db_rows *r = db_query(db, err, "SELECT name FROM migrations ORDER BY name", "");
    if (!r)
        return -1;
    while ((rc = db_next(r, err)) == 1)
        if (!is_known(db_text(r, 0))) {
            rc = err_set(err,
                         "the ledger was changed by a newer version of Sallyport (%.60s): start "
                         "that version, or restore a backup from before the upgrade",
                         db_text(r, 0));
            break;
        }
    db_rows_end(r);
    return rc;
}

int migrations_apply(struct db *db, struct err *err)
{
    /* Several processes may start at once: the lock makes them take turns. */
    const char *begin =
        db_is_postgres(db)
            ? "BEGIN; SELECT pg_advisory_xact_lock(7236145); "
              "CREATE TABLE IF NOT EXISTS migrations(name TEXT PRIMARY KEY)"
            : "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS migrations(name TEXT PRIMARY KEY)";
    int rc = db->engine->exec(db, begin, err);
    if (rc == 0)
        rc = refuse_newer(db, err);
    for (const struct migration *const *list = modules(); rc == 0 && *list; list++)
        for (const struct migration *m = *list; rc == 0 && m->name; m++)
            rc = apply(db, m, err);
    if (rc == 0)
        rc = db->engine->exec(db, "COMMIT", err);
    if (rc < 0)
        db->engine->exec(db, "ROLLBACK", NULL);
    return rc;
}
