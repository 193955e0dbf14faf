/* Heartbeats and failure notices, as they come from the broker. */
#include <stdlib.h>
#include <string.h>

#include "service/api/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void ueps_report(struct ueps *u, const char *id, bool online, bool was_online,
                 struct json_object *state)
{
    (void)u;
    (void)online;
    (void)was_online;
    if (!uuid_is_canonical(id) || !state)
        abort();
}

void ueps_error(struct ueps *u, const char *id, const char *text)
{
    (void)u;
    if (!uuid_is_canonical(id) || !text)
        abort();
}

int64_t now_us(void)
{
    return 0;
}

int store_now(struct store *s, store_job_f *job, void *arg, struct err *err)
{
    (void)s;
    (void)job;
    (void)arg;
    (void)err;
    return 0;
}

void store_write(struct store *s, store_job_f *job, store_done_f *done, void *arg)
{
    (void)s;
    (void)job;
    (void)done;
    (void)arg;
}

struct db_rows *db_query(struct db *db, struct err *err, const char *sql, const char *types, ...)
{
    (void)db;
    (void)err;
    (void)sql;
    (void)types;
    return NULL;
}

int64_t db_run_many(struct db *db, struct err *err, const char *sql, size_t rows,
                    void (*bind)(void *arg, size_t row, struct db_binder *b), void *arg)
{
    (void)db;
    (void)err;
    (void)sql;
    (void)rows;
    (void)bind;
    (void)arg;
    return 0;
}

void db_bind(struct db_binder *b, const char *types, ...)
{
    (void)b;
    (void)types;
}

int db_next(struct db_rows *r, struct err *err)
{
    (void)r;
    (void)err;
    return 0;
}

int64_t db_int(struct db_rows *r, int column)
{
    (void)r;
    (void)column;
    return 0;
}

double db_double(struct db_rows *r, int column)
{
    (void)r;
    (void)column;
    return 0;
}

const char *db_text(struct db_rows *r, int column)
{
    (void)r;
    (void)column;
    return NULL;
}

void db_rows_end(struct db_rows *r)
{
    (void)r;
}

bool broker_is_up(const struct broker *b)
{
    (void)b;
    return true;
}

bool keeper_is_eldest(const struct keeper *k)
{
    (void)k;
    return true;
}

void amqp_message_free(struct amqp_message *m)
{
    free(m);
}

/* The first 36 bytes stand for the routing key's endpoint. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct api api;
    static struct presence *p;
    char key[64] = "";
    if (!p) {
        api.loop = loop_create();
        p = presence_create(&api);
    }
    size_t n = size < 36 ? size : 36;
    memcpy(key, data, n);
    strcat(key, ".heartbeats");
    char *body = xmalloc(size - n + 1); /* NULs inside, one behind */
    memcpy(body, data + n, size - n);
    body[size - n] = '\0';
    struct amqp_message *m = calloc(1, sizeof(*m));
    m->routing_key = key;
    m->body = body;
    m->body_len = size - n;
    presence_message(p, m);
    presence_forget(p, "7f0c3d2e-1111-4222-8333-444455556666");
    free(body);
    return 0;
}
