/* The same tests on SQLite and, when SALLYPORT_TEST_POSTGRES names a database, on PostgreSQL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/fs.h"
#include "lib/base/alloc.h"
#include "service/store/store.h"

static struct loop *loop;
static struct store *store;
static char folder[] = "/tmp/store_test-XXXXXX";
static char *url;

static int make_table(struct db *db, void *arg, struct err *err)
{
    (void)arg;
    if (db_run(db, err, "DROP TABLE IF EXISTS store_test", "") < 0)
        return -1;
    return db_run(db, err,
                  "CREATE TABLE store_test(id BIGINT PRIMARY KEY, name TEXT, "
                  "weight DOUBLE PRECISION, bytes BYTEA)",
                  "") < 0
               ? -1
               : 0;
}

static int set_up(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    loop = loop_create();
    store = store_open(loop, url, &err);
    if (!store)
        print_error("%s\n", err.text);
    return store && store_now(store, make_table, NULL, &err) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(store);
    loop_once(loop, 0);
    loop_destroy(loop);
    return 0;
}

struct job {
    int64_t id;
    bool fail;
    int rc;
    char text[1024];
};
static int finished;

static int insert(struct db *db, void *arg, struct err *err)
{
    struct job *j = arg;
    if (db_run(db, err, "INSERT INTO store_test(id, name, weight, bytes) VALUES (?, ?, ?, ?)",
               "isdb", j->id, "n\xc3\xa9", 0.5, "a\0b", (size_t)3) < 0)
        return -1;
    return j->fail ? err_set(err, "job %lld says no", (long long)j->id) : 0;
}

static void done(void *arg, int rc, const struct err *err)
{
    struct job *j = arg;
    j->rc = rc;
    snprintf(j->text, sizeof(j->text), "%s", err->text);
    finished++;
}

static void wait_for(int n)
{
    for (int i = 0; i < 10000 && finished < n; i++)
        loop_once(loop, 1000);
    assert_int_equal(finished, n);
    finished = 0;
}

static int64_t count;
static int count_rows(struct db *db, void *arg, struct err *err)
{
    struct db_rows *r = db_query(db, err, "SELECT COUNT(*), MAX(name) FROM store_test", "");
    (void)arg;
    if (!r || db_next(r, err) != 1)
        return -1;
    count = db_int(r, 0);
    db_rows_end(r);
    return 0;
}

static void a_job_that_fails_takes_no_other_with_it(void **state)
{
    struct job jobs[20] = {0};
    (void)state;
    for (int i = 0; i < 20; i++) {
        jobs[i].id = i == 13 ? 12 : i; /* 13 breaks the primary key */
        jobs[i].fail = i == 7;
        store_write(store, insert, done, &jobs[i]);
    }
    wait_for(20);
    for (int i = 0; i < 20; i++)
        assert_int_equal(jobs[i].rc, i == 7 || i == 13 ? -1 : 0);
    assert_string_equal(jobs[7].text, "job 7 says no");
    assert_non_null(strstr(jobs[13].text, "ledger: "));
    store_read(store, count_rows, done, &jobs[0]);
    wait_for(1);
    assert_int_equal(jobs[0].rc, 0);
    assert_int_equal(count, 18);
}

static int look(struct db *db, void *arg, struct err *err)
{
    size_t n;
    (void)arg;
    struct db_rows *r = db_query(
        db, err, "SELECT name, weight, bytes, NULL FROM store_test WHERE id = ?", "i", (int64_t)3);
    struct db_rows *again = db_query(
        db, err, "SELECT name, weight, bytes, NULL FROM store_test WHERE id = ?", "i", (int64_t)4);
    if (!r || !again || db_next(r, err) != 1 || db_next(again, err) != 1)
        return -1;
    assert_string_equal(db_text(r, 0), "n\xc3\xa9");
    assert_true(db_double(r, 1) == 0.5);
    assert_memory_equal(db_blob(r, 2, &n), "a\0b", 3);
    assert_int_equal(n, 3);
    assert_true(db_is_null(r, 3));
    assert_null(db_text(r, 3));
    assert_int_equal(db_next(r, err), 0);
    db_rows_end(again);
    db_rows_end(r);
    return 0;
}

static void values_survive(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(store_now(store, look, NULL, &err), 0);
}

static void bind_many(void *arg, size_t row, struct db_binder *b)
{
    (void)arg;
    db_bind(b, "isn", (int64_t)(1000 + row), "many");
}

static int many(struct db *db, void *arg, struct err *err)
{
    (void)arg;
    return db_run_many(db, err, "INSERT INTO store_test(id, name, bytes) VALUES (?, ?, ?)", 700,
                       bind_many, NULL) == 700
               ? 0
               : -1;
}

static void bind_few(void *arg, size_t row, struct db_binder *b)
{
    db_bind(b, "issd", *(int64_t *)arg + (int64_t)row / 2, "few", NULL, 0.5);
}

/* Each key twice, whatever the number: the second does nothing. */
static int few(struct db *db, void *arg, struct err *err)
{
    int64_t id = 100000;
    (void)arg;
    for (size_t n = 1; n <= 260; n += n < 70 ? 1 : 57, id += 1000)
        if (db_run_many(db, err,
                        "INSERT INTO store_test(id, name, bytes, weight) VALUES (?, ?, ?, ?) "
                        "ON CONFLICT(id) DO NOTHING",
                        n, bind_few, &id) != (int64_t)(n + 1) / 2)
            return err_set(err, "%zu rows", n);
    return db_run(db, err, "DELETE FROM store_test WHERE id >= 100000", "") > 0 ? 0 : -1;
}

static void any_number_of_rows(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(store_now(store, few, NULL, &err), 0);
}

static int64_t taken[700];
static size_t n_taken;

static void take_many(void *arg, size_t row, struct db_rows *r)
{
    (void)arg;
    assert_in_range(row, 0, 699);
    taken[row] = db_int(r, 0);
    n_taken++;
    assert_string_equal(db_text(r, 1), "many");
    assert_true(db_is_null(r, 2));
}

static void bind_every_other(void *arg, size_t row, struct db_binder *b)
{
    (void)arg;
    db_bind(b, "i", row % 2 ? (int64_t)-1 : (int64_t)(1000 + row));
}

static int update_many(struct db *db, void *arg, struct err *err)
{
    (void)arg;
    n_taken = 0;
    return db_query_many(db, err,
                         "UPDATE store_test SET weight = 2 WHERE id = ? RETURNING id, name, bytes",
                         700, bind_every_other, take_many, NULL) < 0
               ? -1
               : 0;
}

static void many_rows_at_once(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(store_now(store, many, NULL, &err), 0);
    assert_int_equal(store_now(store, many, NULL, &err), -1); /* the same keys again */
    assert_true(err.text[0]);
    struct job j = {0};
    store_read(store, count_rows, done, &j);
    wait_for(1);
    assert_int_equal(count, 718);
    assert_int_equal(store_now(store, update_many, NULL, &err), 0);
    assert_int_equal(n_taken, 350);
    for (int i = 0; i < 700; i++)
        assert_int_equal(taken[i], i % 2 ? 0 : 1000 + i);
}

static int bad_sql(struct db *db, void *arg, struct err *err)
{
    (void)arg;
    return db_run(db, err, "INSERT INTO nowhere(a) VALUES (?)", "i", (int64_t)1) < 0 ? -1 : 0;
}

static void bad_statements_are_errors(void **state)
{
    struct err err = ERR_INIT;
    struct job j = {0};
    (void)state;
    assert_int_equal(store_now(store, bad_sql, NULL, &err), -1);
    store_write(store, bad_sql, done, &j);
    wait_for(1);
    assert_int_equal(j.rc, -1);
    assert_non_null(strstr(j.text, "nowhere"));
    assert_null(store_open(loop, "mysql:x", &err));
    assert_non_null(strstr(err.text, "sqlite:PATH"));
}

static int run_statement(struct db *db, void *arg, struct err *err)
{
    return db_run(db, err, arg, "") < 0 ? -1 : 0;
}

static void a_newer_ledger_is_refused(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(
        store_now(store, run_statement,
                  (void *)(uintptr_t) "INSERT INTO migrations(name) VALUES ('api-999')", &err),
        0);
    assert_null(store_open(loop, url, &err));
    assert_non_null(strstr(err.text, "newer version of Sallyport (api-999)"));
    assert_int_equal(store_now(store, run_statement,
                               (void *)(uintptr_t) "DELETE FROM migrations WHERE name = 'api-999'",
                               &err),
                     0);
    struct store *again = store_open(loop, url, &err);
    assert_non_null(again);
    store_close(again);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_newer_ledger_is_refused),
    cmocka_unit_test(a_job_that_fails_takes_no_other_with_it),
    cmocka_unit_test(values_survive),
    cmocka_unit_test(many_rows_at_once),
    cmocka_unit_test(any_number_of_rows),
    cmocka_unit_test(bad_statements_are_errors),
};

int main(void)
{
    const char *postgres = getenv("SALLYPORT_TEST_POSTGRES");
    int failed;
    if (!mkdtemp(folder))
        return 99;
    url = xasprintf("sqlite:%s/ledger.db", folder);
    failed = cmocka_run_group_tests_name("sqlite", tests, set_up, tear_down);
    free(url);
    if (postgres) {
        url = xstrdup(postgres);
        failed += cmocka_run_group_tests_name("postgresql", tests, set_up, tear_down);
        free(url);
    }
    fs_remove_tree(folder, NULL);
    return failed;
}
