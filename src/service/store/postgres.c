/* PostgreSQL by libpq.  Statements are prepared once a connection; `?` becomes $1, $2, ...  A
 * connection that broke is made anew when the next transaction begins (the store runs the jobs of
 * the lost one again).  Integers and doubles travel as text, byte strings in binary; results come
 * as text, byte strings among them are decoded on the way out. */
#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/base/map.h"
#include "service/store/engine.h"

#define BYTEA_OID 17
#define NUMBER_MAX 32
/* Statements that are under way in one pipeline before their answers are read; the answers fit
 * into the socket's buffers. */
#define PIPELINE_MAX 256
/* An INSERT of many rows is sent as statements of 64, 32, 16, ... rows: a row of its own costs the
 * database several times as much. */
#define BLOCK_BITS 7
#define BLOCK_MAX ((size_t)1 << (BLOCK_BITS - 1))
#define VALUES_MAX 1024            /* of one statement */
#define BLOCK_BYTES_MAX (8u << 20) /* more than this in all rows: each row goes alone */

struct pg {
    struct db base;
    PGconn *c;
    char *url;
    bool writer;
    struct map *prepared; /* SQL -> name */
    bool must_rerun;
};

struct pg_rows {
    struct db_rows base;
    PGresult *res;
    int row;
    int columns;
    unsigned char **blobs; /* decoded ones of the present row */
};

static struct pg *pg(struct db *db)
{
    return (struct pg *)db;
}

static int failed(struct pg *p, const PGresult *res, const char *sql, struct err *err)
{
    const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    const char *text = res ? PQresultErrorMessage(res) : PQerrorMessage(p->c);
    /* Serialisation failure, deadlock, lost connection, server going down. */
    if (PQstatus(p->c) != CONNECTION_OK ||
        (state && (strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0 ||
                   strncmp(state, "57P", 3) == 0 || strncmp(state, "08", 2) == 0)))
        p->must_rerun = true;
    /* 53100: disk full. */
    return err_code(err, state && strcmp(state, "53100") == 0 ? ENOSPC : EIO,
                    "ledger: %.*s (%.60s)", (int)strcspn(text, "\n"), text, sql);
}

static int connect_db(struct pg *p, struct err *err)
{
    if (p->c)
        PQfinish(p->c);
    map_destroy(p->prepared, free);
    p->prepared = map_create();
    const char *const keys[] = {"dbname", "connect_timeout", "application_name", "options", NULL};
    const char *const values[] = {p->url, "10", "sallyport",
                                  p->writer ? "" : "-c default_transaction_read_only=on", NULL};
    p->c = PQconnectdbParams(keys, values, 1);
    if (PQstatus(p->c) != CONNECTION_OK) {
        p->must_rerun = true;
        return err_set(err, "ledger: can't connect to PostgreSQL: %.*s",
                       (int)strcspn(PQerrorMessage(p->c), "\n"), PQerrorMessage(p->c));
    }
    return 0;
}

static void ignore_notice(void *arg, const PGresult *res)
{
    (void)arg;
    (void)res;
}

static int exec(struct db *db, const char *sql, struct err *err)
{
    struct pg *p = pg(db);
    if (PQstatus(p->c) != CONNECTION_OK && connect_db(p, err) < 0)
        return -1;
    PQsetNoticeReceiver(p->c, ignore_notice, NULL);
    PGresult *res = PQexec(p->c, sql);
    ExecStatusType st = PQresultStatus(res);
    int rc = st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK ? 0 : failed(p, res, sql, err);
    /* A COMMIT of a transaction in which something failed is answered with ROLLBACK. */
    if (rc == 0 && strcmp(sql, "COMMIT") == 0 && strcmp(PQcmdStatus(res), "COMMIT") != 0)
        rc = err_set(err, "ledger: the transaction was rolled back");
    PQclear(res);
    return rc;
}

static void close_db(struct db *db)
{
    struct pg *p = pg(db);
    PQfinish(p->c);
    map_destroy(p->prepared, free);
    wipe_free(p->url);
    free(p);
}

static struct db *open_db(const char *url, bool writer, struct err *err)
{
    struct pg *p = xcalloc(1, sizeof(*p));
    p->base.engine = &engine_postgres;
    p->url = xstrdup(url);
    p->writer = writer;
    if (connect_db(p, err) < 0) {
        close_db(&p->base);
        return NULL;
    }
    return &p->base;
}

/* `?` outside quotes becomes $n. */
static void translate(const char *sql, struct buf *out)
{
    unsigned n = 0;
    bool quoted = false;
    for (; *sql; sql++) {
        quoted ^= *sql == '\'';
        if (*sql == '?' && !quoted)
            buf_fmt(out, "$%u", ++n);
        else
            buf_char(out, *sql);
    }
}

/* The name of the prepared statement. */
static const char *prepare(struct pg *p, const char *sql, struct err *err)
{
    char *name = map_get(p->prepared, sql);
    autobuf struct buf text = BUF_INIT;
    if (name)
        return name;
    translate(sql, &text);
    name = xasprintf("s%zu", map_count(p->prepared));
    PGresult *res = PQprepare(p->c, name, text.data, 0, NULL);
    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        failed(p, res, sql, err);
        PQclear(res);
        free(name);
        return NULL;
    }
    PQclear(res);
    map_put(p->prepared, sql, name);
    return name;
}

struct bound {
    const char *values[VALUES_MAX];
    int lengths[VALUES_MAX];
    int formats[VALUES_MAX];
    char numbers[VALUES_MAX][NUMBER_MAX];
};

static void bind(struct bound *b, const struct db_value *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        b->values[i] = b->numbers[i];
        b->lengths[i] = 0;
        b->formats[i] = 0;
        switch (p[i].type) {
        case 'i':
            snprintf(b->numbers[i], NUMBER_MAX, "%lld", (long long)p[i].i);
            break;
        case 'd':
            snprintf(b->numbers[i], NUMBER_MAX, "%.17g", p[i].d);
            break;
        case 's':
            b->values[i] = p[i].bytes.p;
            break;
        case 'b':
            b->values[i] = p[i].bytes.p;
            b->lengths[i] = (int)p[i].bytes.n;
            b->formats[i] = 1;
            break;
        default:
            b->values[i] = NULL;
        }
    }
}

static PGresult *execute(struct pg *p, const char *sql, const struct db_value *params, size_t n,
                         struct err *err)
{
    struct bound b;
    const char *name = prepare(p, sql, err);
    if (!name)
        return NULL;
    bind(&b, params, n);
    PGresult *res = PQexecPrepared(p->c, name, (int)n, b.values, b.lengths, b.formats, 0);
    ExecStatusType st = PQresultStatus(res);
    if (st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK)
        return res;
    failed(p, res, sql, err);
    PQclear(res);
    return NULL;
}

static int64_t changed(const PGresult *res)
{
    return strtoll(PQcmdTuples((PGresult *)(uintptr_t)res), NULL, 10);
}

static void forget_blobs(struct pg_rows *r)
{
    for (int i = 0; i < r->columns; i++) {
        PQfreemem(r->blobs[i]);
        r->blobs[i] = NULL;
    }
}

static int64_t run_one(struct pg *p, const char *sql, const struct db_value *params, size_t n,
                       struct err *err)
{
    PGresult *res = execute(p, sql, params, n, err);
    if (!res)
        return -1;
    int64_t rows = changed(res);
    PQclear(res);
    return rows;
}

/* What one pipeline is about. */
struct many {
    struct db *db;
    const char *sql;
    db_take_f *take;
    void *arg;
    size_t row; /* whose answer comes next, where there is a taker */
    struct err *err;
};

static void hand_out(struct many *m, PGresult *res)
{
    struct pg_rows r = {.base = {m->db->engine, m->db}, .res = res, .columns = PQnfields(res)};
    r.blobs = xcalloc((size_t)r.columns + 1, sizeof(*r.blobs));
    for (r.row = 0; r.row < PQntuples(res); r.row++) {
        m->take(m->arg, m->row, &r.base);
        forget_blobs(&r);
    }
    free(r.blobs);
}

/* Reads the answers of what was sent, up to the sync. */
static int64_t collect(struct many *m)
{
    struct pg *p = pg(m->db);
    int64_t total = 0;
    bool synced = false;
    while (!synced) {
        PGresult *res = PQgetResult(p->c);
        if (!res) {
            if (PQstatus(p->c) != CONNECTION_OK)
                return failed(p, NULL, m->sql, m->err);
            continue; /* the end of one statement's answers */
        }
        ExecStatusType st = PQresultStatus(res);
        if (st == PGRES_PIPELINE_SYNC) {
            synced = true;
        } else if (st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK) {
            total += total >= 0 ? changed(res) : 0;
            if (m->take && total >= 0)
                hand_out(m, res);
            m->row++;
        } else if (total >= 0 && st != PGRES_PIPELINE_ABORTED) {
            total = failed(p, res, m->sql, m->err);
        }
        PQclear(res);
    }
    return total;
}

/* The one list of values of an INSERT: "(?, ?, 0)" of *n bytes; NULL when rows can't be put
 * together, which changes nothing but the speed.  DO UPDATE refuses a row that comes twice in one
 * statement. */
static const char *values_list(const char *sql, size_t *n)
{
    const char *list = strstr(sql, " VALUES (");
    if (strncmp(sql, "INSERT INTO ", 12) != 0 || !list || strstr(sql, " DO UPDATE "))
        return NULL;
    list += strlen(" VALUES ");
    *n = strcspn(list + 1, "()'") + 2;
    return list[*n - 1] == ')' ? list : NULL;
}

/* The statement for `rows` rows. */
static const char *prepare_block(struct pg *p, const char *sql, size_t rows, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    size_t n;
    const char *list = rows > 1 ? values_list(sql, &n) : NULL;
    if (!list)
        return prepare(p, sql, err);
    buf_add(&text, sql, (size_t)(list - sql));
    for (size_t i = 0; i < rows; i++)
        buf_fmt(&text, "%s%.*s", i ? ", " : "", (int)n, list);
    buf_str(&text, list + n);
    return prepare(p, text.data, err);
}

/* How many of the rows that are left go into the next statement. */
static size_t block_of(size_t left, size_t max)
{
    while (max > left)
        max /= 2;
    return max;
}

static size_t block_max(const char *sql, const struct db_value *params, size_t n, size_t rows)
{
    size_t bytes = 0, ignored;
    for (size_t i = 0; i < n * rows; i++)
        bytes += params[i].type == 's' || params[i].type == 'b' ? params[i].bytes.n : 0;
    if (bytes > BLOCK_BYTES_MAX || !n || !values_list(sql, &ignored))
        return 1;
    return block_of(VALUES_MAX / n, BLOCK_MAX);
}

/* The statements that `rows` rows take, by the logarithm of their size: prepared before the
 * pipeline begins. */
static int prepare_blocks(struct pg *p, const char *sql, size_t rows, size_t max,
                          const char *names[BLOCK_BITS], struct err *err)
{
    for (size_t left = rows, k; left; left = k == max ? left % max : left - k) {
        k = block_of(left, max);
        names[__builtin_ctzl(k)] = prepare_block(p, sql, k, err);
        if (!names[__builtin_ctzl(k)])
            return -1;
    }
    return 0;
}

static int64_t run(struct db *db, const char *sql, const struct db_value *params, size_t n,
                   size_t rows, db_take_f *take, void *arg, struct err *err)
{
    struct pg *p = pg(db);
    struct many m = {db, sql, take, arg, 0, err};
    const char *names[BLOCK_BITS] = {NULL};
    int64_t total = 0;
    if (rows == 1 && !take)
        return run_one(p, sql, params, n, err);
    size_t max = take ? 1 : block_max(sql, params, n, rows);
    if (prepare_blocks(p, sql, rows, max, names, err) < 0)
        return -1;
    if (!PQenterPipelineMode(p->c))
        return failed(p, NULL, sql, err);
    for (size_t i = 0; i < rows && total >= 0;) {
        for (size_t sent = 0, k; sent < PIPELINE_MAX && i < rows; sent++, i += k) {
            struct bound b;
            k = block_of(rows - i, max);
            bind(&b, params + i * n, n * k);
            if (!PQsendQueryPrepared(p->c, names[__builtin_ctzl(k)], (int)(n * k), b.values,
                                     b.lengths, b.formats, 0)) {
                total = failed(p, NULL, sql, err);
                break;
            }
        }
        if (!PQpipelineSync(p->c))
            return failed(p, NULL, sql, err);
        m.err = total < 0 ? NULL : err;
        int64_t got = collect(&m);
        total = total < 0 || got < 0 ? -1 : total + got;
    }
    PQexitPipelineMode(p->c);
    return total;
}

static struct db_rows *query(struct db *db, const char *sql, const struct db_value *p, size_t n,
                             struct err *err)
{
    PGresult *res = execute(pg(db), sql, p, n, err);
    if (!res)
        return NULL;
    struct pg_rows *r = xcalloc(1, sizeof(*r));
    r->base.engine = db->engine;
    r->base.db = db;
    r->res = res;
    r->row = -1;
    r->columns = PQnfields(res);
    r->blobs = xcalloc((size_t)r->columns + 1, sizeof(*r->blobs));
    return &r->base;
}

static int next(struct db_rows *rows, struct err *err)
{
    struct pg_rows *r = (struct pg_rows *)rows;
    (void)err;
    forget_blobs(r);
    return ++r->row < PQntuples(r->res);
}

static struct db_value get(struct db_rows *rows, int column, char want)
{
    struct pg_rows *r = (struct pg_rows *)rows;
    const char *text = PQgetvalue(r->res, r->row, column);
    struct db_value v = {.type = want};
    if (PQgetisnull(r->res, r->row, column)) {
        v.type = 'n';
    } else if (want == 'i') {
        v.i = strtoll(text, NULL, 10);
    } else if (want == 'd') {
        v.d = strtod(text, NULL);
    } else if (want == 'b' && PQftype(r->res, column) == BYTEA_OID) {
        PQfreemem(r->blobs[column]);
        r->blobs[column] = PQunescapeBytea((const unsigned char *)text, &v.bytes.n);
        v.bytes.p = r->blobs[column];
    } else {
        v.bytes.p = text;
        v.bytes.n = (size_t)PQgetlength(r->res, r->row, column);
    }
    return v;
}

static void rows_end(struct db_rows *rows)
{
    struct pg_rows *r = (struct pg_rows *)rows;
    forget_blobs(r);
    free(r->blobs);
    PQclear(r->res);
    free(r);
}

static bool must_rerun(struct db *db, bool forget)
{
    bool was = pg(db)->must_rerun;
    if (forget)
        pg(db)->must_rerun = false;
    return was;
}

const struct db_engine engine_postgres = {
    .name = "postgresql",
    .is_postgres = true,
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
