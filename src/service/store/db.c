/* Calls of store.h that are made inside a job: parameters are gathered, the engine does the rest.
 */
#include <stdarg.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "service/store/engine.h"

static size_t gather(struct db_value *p, const char *types, va_list ap)
{
    size_t n = 0;
    for (; types && types[n]; n++) {
        if (n == DB_PARAMS_MAX)
            abort();
        p[n].type = types[n];
        switch (types[n]) {
        case 'i':
            p[n].i = va_arg(ap, int64_t);
            break;
        case 'd':
            p[n].d = va_arg(ap, double);
            break;
        case 's':
            p[n].bytes.p = va_arg(ap, const char *);
            p[n].bytes.n = p[n].bytes.p ? strlen(p[n].bytes.p) : 0;
            if (!p[n].bytes.p)
                p[n].type = 'n';
            break;
        case 'b':
            p[n].bytes.p = va_arg(ap, const void *);
            p[n].bytes.n = va_arg(ap, size_t);
            if (!p[n].bytes.p)
                p[n].type = 'n';
            break;
        case 'n':
            break;
        default:
            abort();
        }
    }
    return n;
}

int64_t db_run(struct db *db, struct err *err, const char *sql, const char *types, ...)
{
    struct db_value p[DB_PARAMS_MAX];
    va_list ap;
    va_start(ap, types);
    size_t n = gather(p, types, ap);
    va_end(ap);
    return db->engine->run(db, sql, p, n, 1, NULL, NULL, err);
}

struct db_binder {
    struct db_value *p;
    size_t n; /* of the row that was bound last */
    size_t cap;
    size_t used;
};

void db_bind(struct db_binder *b, const char *types, ...)
{
    va_list ap;
    if (b->used + DB_PARAMS_MAX > b->cap) {
        b->cap = b->cap ? b->cap * 2 : 512;
        b->p = xrealloc(b->p, b->cap * sizeof(*b->p));
    }
    va_start(ap, types);
    b->n = gather(b->p + b->used, types, ap);
    va_end(ap);
    b->used += b->n;
}

int64_t db_query_many(struct db *db, struct err *err, const char *sql, size_t rows, db_bind_f *bind,
                      db_take_f *take, void *arg)
{
    struct db_binder b = {0};
    for (size_t i = 0; i < rows; i++)
        bind(arg, i, &b);
    int64_t rc = rows ? db->engine->run(db, sql, b.p, b.n, rows, take, arg, err) : 0;
    free(b.p);
    return rc;
}

int64_t db_run_many(struct db *db, struct err *err, const char *sql, size_t rows, db_bind_f *bind,
                    void *arg)
{
    return db_query_many(db, err, sql, rows, bind, NULL, arg);
}

struct db_rows *db_query(struct db *db, struct err *err, const char *sql, const char *types, ...)
{
    struct db_value p[DB_PARAMS_MAX];
    va_list ap;
    va_start(ap, types);
    size_t n = gather(p, types, ap);
    va_end(ap);
    return db->engine->query(db, sql, p, n, err);
}

int db_next(struct db_rows *r, struct err *err)
{
    return r->engine->next(r, err);
}

int64_t db_int(struct db_rows *r, int column)
{
    struct db_value v = r->engine->get(r, column, 'i');
    return v.type == 'n' ? 0 : v.i;
}

double db_double(struct db_rows *r, int column)
{
    struct db_value v = r->engine->get(r, column, 'd');
    return v.type == 'n' ? 0 : v.d;
}

const char *db_text(struct db_rows *r, int column)
{
    struct db_value v = r->engine->get(r, column, 's');
    return v.type == 'n' ? NULL : v.bytes.p;
}

const void *db_blob(struct db_rows *r, int column, size_t *n)
{
    struct db_value v = r->engine->get(r, column, 'b');
    *n = v.type == 'n' ? 0 : v.bytes.n;
    return v.type == 'n' ? NULL : v.bytes.p;
}

bool db_is_null(struct db_rows *r, int column)
{
    return r->engine->get(r, column, 's').type == 'n';
}

void db_rows_end(struct db_rows *r)
{
    if (r)
        r->engine->rows_end(r);
}

struct json_object *db_list(struct db_rows *r, struct json_object *(*make)(struct db_rows *),
                            struct err *err)
{
    if (r == NULL)
        return NULL;
    struct json_object *list = json_object_new_array();
    int rc;
    while ((rc = db_next(r, err)) == 1)
        json_object_array_add(list, make(r));
    db_rows_end(r);
    if (rc == 0)
        return list;
    json_object_put(list);
    return NULL;
}

bool db_is_postgres(const struct db *db)
{
    return db->engine->is_postgres;
}
