/* load fill STORE TASKS DAYS: puts finished tasks into a ledger, spread over the past DAYS, as the
 * service would have left them: rows are made by the database itself, STEP a transaction.  Prints
 * ids of tasks that belong to the person of the stand-in's token "test-fill". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/load.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/uuid.h"
#include "service/store/store.h"

#define STEP 10000
#define PEOPLE 100
#define IDS 4000
#define NAMESPACE "6ba7b810-9dad-11d1-80b4-00c04fd430c8" /* the stand-in's */

#define RESULT                                                                                     \
    "\x01{\"message_type\":\"result\",\"data\":{\"task_id\":\"%s\",\"data\":\"00\\ngARLCS4=\\n\"," \
    "\"details\":{\"os\":\"Linux\",\"dill_version\":\"0.3.9\",\"python_version\":\"3.11.7\","      \
    "\"globus_compute_sdk_version\":\"4.19.0\",\"endpoint_id\":\"%s\"},\"error_details\":null,"    \
    "\"task_statuses\":[]}}"

#define COLUMNS                                                                                    \
    "INSERT INTO tasks(id, grp, owner, endpoint, uep, function, state, stream, created_us, "       \
    "sent_us, done_us) "
/* First number, first time, last number, step; then what the rows share. */
#define SQLITE_ROWS                                                                                \
    "WITH RECURSIVE n(i, us) AS (SELECT CAST(? AS INTEGER), CAST(? AS INTEGER) UNION ALL "         \
    "SELECT i + 1, us + ? FROM n WHERE i < ?) "
#define SQLITE_ID "printf('%08x-%04x-7000-8000-%012x', us / 65536000, us / 1000 % 65536, i)"
#define POSTGRES_ROWS                                                                              \
    "WITH n(i, us) AS (SELECT i, ?::bigint + (i - a) * ?::bigint FROM (SELECT ?::bigint AS a, "    \
    "?::bigint AS z) AS r, generate_series(a, z) AS i) "
#define POSTGRES_ID                                                                                \
    "lpad(to_hex(us / 65536000), 8, '0') || '-' || lpad(to_hex(us / 1000 % 65536), 4, '0') || "    \
    "'-7000-8000-' || lpad(to_hex(i), 12, '0')"
#define VALUES ", ?, ?, ?, ?, ?, 2, 0, us, us + 1000, us + 2000 FROM n"

struct fill {
    int64_t i, last, begin_us, gap_us;
    char owner[UUID_TEXT], endpoint[UUID_TEXT], uep[UUID_TEXT], function[UUID_TEXT],
        group[UUID_TEXT];
    char *result;
};

static int step(struct db *db, void *arg, struct err *err)
{
    struct fill *f = arg;
    int64_t us = f->begin_us + f->i * f->gap_us;
    if (db_is_postgres(db))
        return db_run(db, err, COLUMNS POSTGRES_ROWS "SELECT " POSTGRES_ID VALUES, "iiiisssss", us,
                      f->gap_us, f->i, f->last, f->group, f->owner, f->endpoint, f->uep,
                      f->function) < 0 ||
                       db_run(db, err,
                              "INSERT INTO results(task, body) " POSTGRES_ROWS "SELECT " POSTGRES_ID
                              ", ?::bytea FROM n",
                              "iiiib", us, f->gap_us, f->i, f->last, f->result,
                              strlen(f->result)) < 0
                   ? -1
                   : 0;
    return db_run(db, err, COLUMNS SQLITE_ROWS "SELECT " SQLITE_ID VALUES, "iiiisssss", f->i, us,
                  f->gap_us, f->last, f->group, f->owner, f->endpoint, f->uep, f->function) < 0 ||
                   db_run(db, err,
                          "INSERT INTO results(task, body) " SQLITE_ROWS "SELECT " SQLITE_ID
                          ", ? FROM n",
                          "iiiib", f->i, us, f->gap_us, f->last, f->result, strlen(f->result)) < 0
               ? -1
               : 0;
}

static void name(char out[UUID_TEXT], const char *what, int64_t n)
{
    autofree char *text = n ? xasprintf("%s%lld", what, (long long)n) : xstrdup(what);
    uuid_v5(NAMESPACE, text, out);
}

static void print_id(const struct fill *f, int64_t i)
{
    uint64_t ms = (uint64_t)((f->begin_us + i * f->gap_us) / 1000);
    printf("%08llx-%04llx-7000-8000-%012llx\n", (unsigned long long)(ms >> 16),
           (unsigned long long)(ms & 0xffff), (unsigned long long)i);
}

int load_fill(int argc, char **argv)
{
    if (argc < 4)
        return load_usage();
    struct err err = ERR_INIT;
    struct fill f = {0};
    int64_t tasks = atoll(argv[2]), span_us = (int64_t)(atof(argv[3]) * 86400e6);
    struct loop *l = loop_create();
    struct store *s = store_open(l, argv[1], &err);
    int rc = s ? 0 : -1;
    f.begin_us = clock_unix_ns() / 1000 - span_us;
    f.gap_us = span_us / (tasks ? tasks : 1);
    for (; rc == 0 && f.i < tasks; f.i += STEP) {
        int64_t n = f.i / STEP;
        f.last = f.i + STEP <= tasks ? f.i + STEP - 1 : tasks - 1;
        name(f.owner, "fill", n % PEOPLE);
        name(f.endpoint, "endpoint", n % 50);
        name(f.uep, "user endpoint", n % PEOPLE);
        name(f.function, "function", n % 200);
        name(f.group, "group", n);
        free(f.result);
        f.result = xasprintf(RESULT, f.group, f.uep);
        rc = store_now(s, step, &f, &err);
    }
    if (rc < 0)
        fprintf(stderr, "load: %s\n", err.text);
    for (int64_t k = 0; rc == 0 && k < IDS; k++) {
        int64_t i = random() % tasks;
        if (i / STEP % PEOPLE == 0 || tasks <= STEP)
            print_id(&f, i);
    }
    free(f.result);
    store_close(s);
    return rc < 0 ? 1 : 0;
}
