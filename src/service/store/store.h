/* The service's memory: SQLite in one file (WAL), or PostgreSQL.
 *
 * Work is done in jobs: a function that runs on a thread of the store with a connection, and a
 * callback on the loop's thread.  Write jobs that wait are run in one transaction (group commit),
 * each behind a savepoint, so one that fails takes no other with it; their callbacks come after the
 * commit.  A job must depend on nothing but its argument and the database: it may run again when a
 * commit is refused (serialisation failure, lost connection).
 *
 * SQL is the common part of both dialects, with `?` for parameters. */
#ifndef SALLYPORT_SERVICE_STORE_H
#define SALLYPORT_SERVICE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"

struct store;
struct db;
struct db_rows;

/* ---- in a job ---- */

/* types, one letter a parameter: s text (NULL = null), i int64_t, d double, b const void * and
 * size_t, n null (no argument).  Returns the number of rows changed, or -1. */
int64_t db_run(struct db *db, struct err *err, const char *sql, const char *types, ...);
/* The same statement for rows sets of values: bind(arg, row, b) calls db_bind() once with the row's
 * values; what they point to must live until db_run_many() returns.  Few round trips. */
struct db_binder;
void db_bind(struct db_binder *b, const char *types, ...);
typedef void db_bind_f(void *arg, size_t row, struct db_binder *b);
int64_t db_run_many(struct db *db, struct err *err, const char *sql, size_t rows, db_bind_f *bind,
                    void *arg);
/* The same, and take(arg, row, r) gets each row that comes back (RETURNING, SELECT): row is the
 * number of the set of values, r is good for the getters until take returns. */
typedef void db_take_f(void *arg, size_t row, struct db_rows *r);
int64_t db_query_many(struct db *db, struct err *err, const char *sql, size_t rows, db_bind_f *bind,
                      db_take_f *take, void *arg);
/* NULL with err.  End with db_rows_end().  One result at a time in a job, or several: both work. */
struct db_rows *db_query(struct db *db, struct err *err, const char *sql, const char *types, ...);
/* 1 a row, 0 the end, -1 with err. */
int db_next(struct db_rows *r, struct err *err);
int64_t db_int(struct db_rows *r, int column); /* null = 0 */
double db_double(struct db_rows *r, int column);
const char *db_text(struct db_rows *r, int column); /* NULL = null; valid until db_next() */
const void *db_blob(struct db_rows *r, int column, size_t *n);
bool db_is_null(struct db_rows *r, int column);
void db_rows_end(struct db_rows *r); /* NULL is fine */
/* All of it as a new list, make() turning one row into one member; ends the rows.  NULL with err;
 * so it is when r is NULL, the query having failed. */
struct json_object *db_list(struct db_rows *r, struct json_object *(*make)(struct db_rows *),
                            struct err *err);
bool db_is_postgres(const struct db *db);

/* ---- from the loop ---- */

/* 0 = commit, -1 = this job's effects are taken back and done gets the sentence; its code is ENOSPC
 * when the disk is full. */
typedef int store_job_f(struct db *db, void *arg, struct err *err);
typedef void store_done_f(void *arg, int rc, const struct err *err);

/* url: "sqlite:/path/file.db" or "postgresql://...".  Migrations are applied before it returns. */
struct store *store_open(struct loop *l, const char *url, struct err *err);
/* Finishes what was given to it. */
void store_close(struct store *s);
void store_write(struct store *s, store_job_f *job, store_done_f *done, void *arg);
void store_read(struct store *s, store_job_f *job, store_done_f *done, void *arg);
/* For commands and start-up, where waiting is allowed: runs the job now, in its own transaction. */
int store_now(struct store *s, store_job_f *job, void *arg, struct err *err);
/* Jobs that wait; for metrics and back-pressure. */
size_t store_backlog(const struct store *s);

/* ---- schema ---- */

/* Applied once, in order of the tables in migrations.c; statements for both dialects, where they
 * differ `postgres` isn't NULL.  A module keeps its own list and migrations.c names it. */
struct migration {
    const char *name; /* "auth-1" */
    const char *sql;
    const char *postgres;
};

#endif
