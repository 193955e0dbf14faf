/* A kind of database behind store.h: one connection, used by one thread at a time. */
#ifndef SALLYPORT_SERVICE_STORE_ENGINE_H
#define SALLYPORT_SERVICE_STORE_ENGINE_H

#include "service/store/store.h"

/* A parameter, or a column of a row. */
struct db_value {
    char type; /* s i d b n as in store.h */
    union {
        int64_t i;
        double d;
        struct {
            const void *p;
            size_t n;
        } bytes; /* s, b */
    };
};
#define DB_PARAMS_MAX 64

struct db_engine {
    const char *name;
    bool is_postgres;
    struct db *(*open)(const char *url, bool writer, struct err *err);
    void (*close)(struct db *db);
    /* One or more statements without parameters or rows. */
    int (*exec)(struct db *db, const char *sql, struct err *err);
    /* The same statement for each of rows * n parameters, in as few round trips as possible; take
     * (or NULL) gets each row that comes back, with the number of the set that brought it. */
    int64_t (*run)(struct db *db, const char *sql, const struct db_value *p, size_t n, size_t rows,
                   db_take_f *take, void *arg, struct err *err);
    struct db_rows *(*query)(struct db *db, const char *sql, const struct db_value *p, size_t n,
                             struct err *err);
    int (*next)(struct db_rows *r, struct err *err);
    /* A column as the type that is wanted (s i d b), or n. */
    struct db_value (*get)(struct db_rows *r, int column, char want);
    void (*rows_end)(struct db_rows *r);
    /* After an error: the whole transaction is lost and may be run again. */
    bool (*must_rerun)(struct db *db, bool forget);
};

/* What every connection and every result begins with. */
struct db {
    const struct db_engine *engine;
};
struct db_rows {
    const struct db_engine *engine;
    struct db *db;
};

extern const struct db_engine engine_sqlite;
extern const struct db_engine engine_postgres;

/* Creates or updates the tables. */
int migrations_apply(struct db *db, struct err *err);

#endif
