/* Who is there: the last report of each endpoint and user endpoint.
 *
 * Online: the last report is younger than three of its periods (at least ONLINE_MIN_S), its period
 * is not 0 and it is not `active: false`.  While the broker is away nobody ages.  What is known is
 * written to the ledger now and then, so that a restart doesn't take everybody for gone. */
#include <math.h>
#include <string.h>

#include "lib/wire/wire.h"
#include "service/api/private.h"

#define ONLINE_MIN_S 20
#define PERIOD_MAX_S 3600
#define PERIOD_DEFAULT_S 30
#define SWEEP_US LOOP_S(3)
#define SAVE_US LOOP_S(20)
#define ENTRIES_MAX 100000
#define DETAILS_MAX (64u << 10)

struct entry {
    char id[UUID_TEXT];
    uint64_t seen_us;
    double period_s;
    bool active, online, changed;
    struct json_object *details;
};

struct presence {
    struct api *api;
    struct map *entries;
    struct loop_timer *sweep;
    uint64_t saved_us;
    bool saving;
};

static void entry_free(void *arg)
{
    struct entry *e = arg;
    if (!e)
        return;
    json_object_put(e->details);
    free(e);
}

static uint64_t patience_us(const struct entry *e)
{
    double s = 3 * e->period_s;
    return (uint64_t)((s < ONLINE_MIN_S ? ONLINE_MIN_S : s) * 1e6);
}

static bool should_be_online(struct presence *p, const struct entry *e)
{
    return e->active && e->period_s > 0 && loop_now_us(p->api->loop) - e->seen_us < patience_us(e);
}

static void update(struct presence *p, struct entry *e, bool reported)
{
    bool was = e->online;
    e->online = should_be_online(p, e);
    if (was != e->online)
        log_info("event=%s endpoint=%s", e->online ? "online" : "offline", e->id);
    if (reported || was != e->online)
        ueps_report(p->api->ueps, e->id, e->online, was, e->details);
}

/* ---- the ledger ---- */

struct saved_row {
    char id[UUID_TEXT];
    int64_t seen_us;
    double period_s;
    bool active;
    char *details;
};
struct save {
    struct presence *presence;
    struct saved_row *rows;
    size_t n;
};

static void bind_row(void *arg, size_t i, struct db_binder *b)
{
    const struct saved_row *r = &((struct save *)arg)->rows[i];
    db_bind(b, "sidis", r->id, r->seen_us, r->period_s, (int64_t)r->active, r->details);
}

static int save_job(struct db *db, void *arg, struct err *err)
{
    struct save *s = arg;
    return db_run_many(db, err,
                       "INSERT INTO presence(id, seen_us, period, active, details) "
                       "VALUES (?, ?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET "
                       "seen_us = excluded.seen_us, period = excluded.period, "
                       "active = excluded.active, details = excluded.details",
                       s->n, bind_row, s) < 0
               ? -1
               : 0;
}

static void save_done(void *arg, int rc, const struct err *err)
{
    struct save *s = arg;
    if (rc < 0)
        log_warning("what is online could not be written: %s", err->text);
    s->presence->saving = false;
    for (size_t i = 0; i < s->n; i++)
        free(s->rows[i].details);
    free(s->rows);
    free(s);
}

static void save_changed(struct presence *p)
{
    struct save *s = xcalloc(1, sizeof(*s));
    const char *key;
    void *value;
    uint64_t now = loop_now_us(p->api->loop);
    s->presence = p;
    s->rows = xcalloc(map_count(p->entries) + 1, sizeof(*s->rows));
    for (size_t it = 0; map_next(p->entries, &it, &key, &value);) {
        struct entry *e = value;
        struct buf b = BUF_INIT;
        if (!e->changed)
            continue;
        e->changed = false;
        struct saved_row *r = &s->rows[s->n++];
        strcpy(r->id, e->id);
        r->seen_us = now_us() - (int64_t)(now - e->seen_us);
        r->period_s = e->period_s;
        r->active = e->active;
        if (e->details)
            json_write(&b, e->details);
        r->details = buf_take(&b);
    }
    p->saved_us = now;
    if (s->n == 0) {
        free(s->rows);
        free(s);
        return;
    }
    p->saving = true;
    store_write(p->api->store, save_job, save_done, s);
}

static int load_job(struct db *db, void *arg, struct err *err)
{
    struct presence *p = arg;
    struct db_rows *r =
        db_query(db, err,
                 "SELECT id, seen_us, period, active, CASE WHEN seen_us > ? THEN details END "
                 "FROM presence ORDER BY seen_us DESC LIMIT ?",
                 "ii", now_us() - 3ll * PERIOD_MAX_S * 1000000, (int64_t)ENTRIES_MAX);
    int rc;
    if (!r)
        return -1;
    while ((rc = db_next(r, err)) == 1) {
        struct entry *e = xcalloc(1, sizeof(*e));
        const char *text = db_text(r, 4);
        int64_t age = now_us() - db_int(r, 1);
        uint64_t now = loop_now_us(p->api->loop);
        strncpy(e->id, db_text(r, 0), UUID_TEXT - 1);
        e->seen_us = age <= 0 ? now : (uint64_t)age < now ? now - (uint64_t)age : 0;
        e->period_s = db_double(r, 2);
        e->active = db_int(r, 3);
        e->details =
            text && *text ? json_read(text, strlen(text), DETAILS_MAX, "details", NULL) : NULL;
        /* This host may not have been up for as long as that one was away. */
        e->online = should_be_online(p, e) && age < (int64_t)patience_us(e);
        entry_free(map_put(p->entries, e->id, e));
    }
    db_rows_end(r);
    return rc;
}

/* ---- time ---- */

static void sweep_cb(void *arg)
{
    struct presence *p = arg;
    const char *key;
    void *value;
    if (p->api->broker && broker_is_up(p->api->broker)) {
        for (size_t it = 0; map_next(p->entries, &it, &key, &value);) {
            struct entry *e = value;
            if (e->online && !should_be_online(p, e)) {
                e->changed = true;
                update(p, e, false);
            }
        }
    }
    if (!p->saving && keeper_is_eldest(p->api->keeper) &&
        loop_now_us(p->api->loop) - p->saved_us > SAVE_US)
        save_changed(p);
    loop_timer_set(p->sweep, SWEEP_US, LOOP_S(1));
}

void presence_broker_up(struct presence *p)
{
    const char *key;
    void *value;
    for (size_t it = 0; map_next(p->entries, &it, &key, &value);) {
        struct entry *e = value;
        if (e->online)
            e->seen_us = loop_now_us(p->api->loop);
    }
}

struct presence *presence_create(struct api *a)
{
    struct presence *p = xcalloc(1, sizeof(*p));
    struct err err = ERR_INIT;
    p->api = a;
    p->entries = map_create();
    p->sweep = loop_timer_create(a->loop, sweep_cb, p);
    p->saved_us = loop_now_us(a->loop);
    if (store_now(a->store, load_job, p, &err) < 0)
        log_warning("what was online is not known: %s", err.text);
    loop_timer_set(p->sweep, SWEEP_US, LOOP_S(1));
    return p;
}

void presence_stop(struct presence *p)
{
    loop_timer_cancel(p->sweep);
    save_changed(p);
}

void presence_destroy(struct presence *p)
{
    if (!p)
        return;
    loop_timer_destroy(p->sweep);
    map_destroy(p->entries, entry_free);
    free(p);
}

/* ---- reports ---- */

static struct entry *entry_of(struct presence *p, const char *id)
{
    struct entry *e = map_get(p->entries, id);
    if (e || map_count(p->entries) >= ENTRIES_MAX)
        return e;
    e = xcalloc(1, sizeof(*e));
    strcpy(e->id, id);
    map_put(p->entries, id, e);
    return e;
}

static void take(struct presence *p, const struct wire_status *st)
{
    struct json_object *v = NULL;
    struct entry *e = entry_of(p, st->endpoint_id);
    if (!e)
        return;
    e->seen_us = loop_now_us(p->api->loop);
    e->period_s = PERIOD_DEFAULT_S;
    if (json_object_object_get_ex(st->global_state, "heartbeat_period", &v) &&
        (json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double))) {
        double s = json_object_get_double(v);
        e->period_s =
            isfinite(s) && s >= 0 ? (s > PERIOD_MAX_S ? PERIOD_MAX_S : s) : PERIOD_DEFAULT_S;
    }
    e->active = !json_object_object_get_ex(st->global_state, "active", &v) ||
                !json_object_is_type(v, json_type_boolean) || json_object_get_boolean(v);
    e->changed = true;
    json_object_put(e->details);
    e->details = json_object_get(st->global_state);
    update(p, e, true);
}

void presence_message(struct presence *p, struct amqp_message *m)
{
    static struct log_rate rate = LOG_RATE(10, 60);
    struct wire_status st = {0};
    struct err err = ERR_INIT;
    if (m->body_len > DETAILS_MAX * 4) {
        err_set(&err, "%zu bytes are too many", m->body_len);
    } else if (wire_read_status(m->body, m->body_len, &st, &err) == 0) {
        size_t n = strlen(st.endpoint_id);
        /* The routing key is what the broker has checked. */
        if (strncmp(m->routing_key, st.endpoint_id, n) != 0 || m->routing_key[n] != '.') {
            err_set(&err, "it speaks for endpoint %s", st.endpoint_id);
        } else {
            const char *text = json_str_or(st.global_state, "error", NULL);
            if (text)
                ueps_error(p->api->ueps, st.endpoint_id, text);
            else
                take(p, &st);
        }
        wire_status_clear(&st);
    }
    if (err.text[0] && log_rate_ok(&rate))
        log_warning("event=bad-report key=%.80s: %s", m->routing_key, err.text);
    amqp_message_free(m);
}

bool presence_is_online(struct presence *p, const char *id)
{
    struct entry *e = map_get(p->entries, id);
    return e && e->online;
}

struct json_object *presence_details(struct presence *p, const char *id)
{
    struct entry *e = map_get(p->entries, id);
    return e ? e->details : NULL;
}

void presence_forget(struct presence *p, const char *id)
{
    entry_free(map_del(p->entries, id));
}

size_t presence_count(struct presence *p)
{
    size_t n = 0;
    const char *key;
    void *value;
    for (size_t it = 0; map_next(p->entries, &it, &key, &value);)
        n += ((struct entry *)value)->online;
    return n;
}
