/* User endpoints: known by id, started when somebody needs them.
 *
 *   state     meaning
 *   DOWN      no report, or it has left
 *   STARTING  a start command is out; waiters sit until its check-in, its failure or their deadline
 *   UP        reports `active: true`
 *
 * A start command goes out for a submit even when the endpoint looks up (at most every REFRESH_S):
 * it costs nothing, renews credentials and closes the race with one that is just leaving.  One that
 * has gone while its tasks are not finished is started again, after a growing pause, for as long as
 * its manager is online. */
#include <stdio.h>
#include <string.h>

#include "lib/amqp/amqp.h"
#include "service/api/private.h"

#define REFRESH_US LOOP_S(5)
#define RESEND_US                                                                                  \
    LOOP_S(10) /* while nothing is heard: a command may have met a manager's restart */
#define TICK_US LOOP_MS(500)
#define PAUSE_MIN_US LOOP_S(1)
#define PAUSE_MAX_US LOOP_S(120)
#define ROTATE_S (7u * 24 * 3600)
#define COMMAND_EXPIRES_MS "10000"
#define KEPT_MAX 50000
#define QUIET_US LOOP_S(50)
#define CONSUMER_CHECKS 4 /* reports without a consumer on its queue: a zombie */

enum uep_state { UEP_DOWN, UEP_STARTING, UEP_UP };

struct waiter {
    STAILQ_ENTRY(waiter) link;
    uint64_t deadline_us;
    uep_ready_f *done;
    void *arg;
};

struct uep {
    struct ueps *all;
    LIST_ENTRY(uep) busy_link; /* of those that the tick looks after */
    bool busy;
    char id[UUID_TEXT], endpoint[UUID_TEXT], owner[UUID_TEXT];
    bool legacy;
    enum uep_state state;
    /* What the next start command says. */
    struct json_object *config, *runtime, *identity_set;
    char *username;
    char request_id[UUID_TEXT];
    char *saved;      /* what the ledger has of it */
    bool queue_ready; /* since the broker came up */
    bool preparing, command_wanted, looking;
    uint64_t command_us; /* when the last one went out */
    uint64_t not_before_us;
    unsigned tries;
    int64_t open;
    uint64_t quiet_since_us; /* it reports that it has nothing to do, but tasks are open; 0 = no */
    bool queue_checked;      /* somebody consumes its queue */
    unsigned no_consumer;
    STAILQ_HEAD(, waiter) waiters;
};

struct ueps {
    struct api *api;
    struct map *by_id;
    LIST_HEAD(, uep) busy;
    struct loop_timer *tick;
};

static uint64_t now(const struct uep *u)
{
    return loop_now_us(u->all->api->loop);
}

static void set_state(struct uep *u, enum uep_state state)
{
    static const char *const names[] = {"down", "starting", "up"};
    if (u->state == state)
        return;
    log_info("event=user-endpoint uep=%s endpoint=%s owner=%s state=%s", u->id, u->endpoint,
             u->owner, names[state]);
    u->state = state;
}

/* The tick looks after it: somebody waits, or tasks do. */
static void make_busy(struct uep *u)
{
    struct ueps *all = u->all;
    if (!u->busy) {
        LIST_INSERT_HEAD(&all->busy, u, busy_link);
        u->busy = true;
    }
    if (!loop_timer_is_set(all->tick))
        loop_timer_set(all->tick, TICK_US, LOOP_MS(100));
}

static void end_waits(struct uep *u, int status, const char *code, const char *text)
{
    struct waiter *w;
    while ((w = STAILQ_FIRST(&u->waiters))) {
        STAILQ_REMOVE_HEAD(&u->waiters, link);
        w->done(w->arg, status, code, text);
        free(w);
    }
}

/* ---- the start command ---- */

static struct json_object *command_json(struct uep *u, const char *password)
{
    struct json_object *o = json_object_new_object();
    struct json_object *kwargs = json_object_new_object();
    autofree char *name = xasprintf("uep.%s.%s", u->endpoint, u->id);
    json_add_str(kwargs, "name", name);
    json_add(kwargs, "user_opts",
             u->config ? json_object_get(u->config) : json_object_new_object());
    if (u->runtime)
        json_add(kwargs, "user_runtime", json_object_get(u->runtime));
    json_add(kwargs, "amqp_creds",
             broker_queue_infos(u->all->api->broker, u->id, password, false, true));
    json_add_str(o, "command", "cmd_start_endpoint");
    json_add(o, "args", json_object_new_array());
    json_add(o, "kwargs", kwargs);
    json_add_str(o, "globus_username", u->username);
    json_add_str(o, "globus_effective_identity", u->owner);
    json_add(o, "globus_identity_set", json_object_get(u->identity_set));
    return o;
}

static void command_outcome(void *arg, enum amqp_outcome outcome)
{
    (void)arg;
    if (outcome != AMQP_ACKED)
        log_warning("event=start-command outcome=%s",
                    outcome == AMQP_RETURNED ? "no command queue" : "lost");
}

static void issued(void *arg, const char *password, const struct err *err)
{
    struct uep *u = arg;
    struct api *api = u->all->api;
    struct buf b = BUF_INIT;
    u->preparing = false;
    if (!password) {
        log_warning("event=start-command uep=%s: %s", u->id, err->text);
        return; /* the tick tries again */
    }
    autojson struct json_object *o = command_json(u, password);
    autofree char *key = xasprintf("%s.commands", u->endpoint);
    json_write(&b, o);
    amqp_table_entry_t header = {
        .key = amqp_cstring_bytes("request_id"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(u->request_id)}};
    amqp_basic_properties_t props =
        amqp_props("application/json", (int64_t)clock_unix(), COMMAND_EXPIRES_MS);
    props._flags |= AMQP_BASIC_CONTENT_ENCODING_FLAG | AMQP_BASIC_HEADERS_FLAG;
    props.content_encoding = amqp_cstring_bytes("utf-8");
    props.headers = (amqp_table_t){.num_entries = 1, .entries = &header};
    size_t n = b.len;
    u->command_us = now(u);
    api->counters.starts++;
    log_info("event=start-command uep=%s endpoint=%s user=%s request=%s", u->id, u->endpoint,
             u->username, u->request_id);
    broker_publish(api->broker, "commands", key, buf_take(&b), n, &props, command_outcome, u->all);
}

static void ask_password(struct uep *u)
{
    autofree char *principal = xasprintf("ep.%s", u->id);
    u->preparing = true;
    u->command_wanted = false;
    creds_issue(u->all->api->creds, principal, ROTATE_S, issued, u);
}

/* It is there, and so is its queue. */
static void arrived(struct uep *u)
{
    end_waits(u, 0, NULL, NULL);
    outbox_pump(u->all->api->outbox, u);
}

static void queue_made(void *arg, const struct broker_queue_state *state, const struct err *err)
{
    struct uep *u = arg;
    u->preparing = false;
    if (!state) {
        log_warning("event=queue uep=%s: %s", u->id, err->text);
        return; /* the tick tries again */
    }
    u->queue_ready = true;
    if (u->command_wanted)
        ask_password(u);
    if (u->state == UEP_UP)
        arrived(u);
}

static void prepare(struct uep *u)
{
    if (u->preparing)
        return;
    if (!u->queue_ready) {
        u->preparing = true;
        broker_queue_make(u->all->api->broker, BROKER_TASKS, u->id, queue_made, u);
    } else if (u->command_wanted) {
        ask_password(u);
    }
}

static void send_command(struct uep *u)
{
    /* A command that waits for the broker to come back would be too old for its manager. */
    if (u->legacy || !u->identity_set || !broker_is_up(u->all->api->broker))
        return;
    u->command_wanted = true;
    u->command_us = now(u); /* so that the tick waits for this one */
    prepare(u);
}

/* ---- time ---- */

static void expire_waiters(struct uep *u)
{
    struct waiter *w, *next;
    for (w = STAILQ_FIRST(&u->waiters); w; w = next) {
        next = STAILQ_NEXT(w, link);
        if (now(u) < w->deadline_us)
            continue;
        STAILQ_REMOVE(&u->waiters, w, waiter, link);
        u->all->api->counters.start_timeouts++;
        w->done(w->arg, 422, "ENDPOINT_START_TIMEOUT",
                "The user endpoint did not start in time; it may still be starting, so another "
                "try may find it running");
        free(w);
    }
}

static void look_after(struct uep *u)
{
    bool needed = !STAILQ_EMPTY(&u->waiters) || u->open > 0;
    bool reachable =
        broker_is_up(u->all->api->broker) && presence_is_online(u->all->api->presence, u->endpoint);
    expire_waiters(u);
    if (u->state == UEP_UP && !u->queue_ready && needed) {
        if (broker_is_up(u->all->api->broker))
            prepare(u);
        return;
    }
    if (u->state == UEP_UP || !needed) {
        LIST_REMOVE(u, busy_link);
        u->busy = false;
        return;
    }
    if (u->legacy || !reachable || u->preparing)
        return;
    if (u->state == UEP_DOWN && now(u) >= u->not_before_us) {
        set_state(u, UEP_STARTING);
        u->not_before_us = now(u) + backoff_us(u->tries++, PAUSE_MIN_US, PAUSE_MAX_US);
        send_command(u);
    } else if (u->state == UEP_STARTING && now(u) - u->command_us > RESEND_US) {
        u->state = UEP_DOWN; /* and again, after the pause */
    }
}

static void tick_cb(void *arg)
{
    struct ueps *all = arg;
    struct uep *u, *next;
    for (u = LIST_FIRST(&all->busy); u; u = next) {
        next = LIST_NEXT(u, busy_link);
        look_after(u);
    }
    if (!LIST_EMPTY(&all->busy))
        loop_timer_set(all->tick, TICK_US, LOOP_MS(100));
}

/* ---- what is known ---- */

static void uep_free(void *arg)
{
    struct uep *u = arg;
    json_object_put(u->config);
    json_object_put(u->runtime);
    json_object_put(u->identity_set);
    free(u->username);
    free(u->saved);
    free(u);
}

static struct uep *uep_new(struct ueps *all, const char *id, const char *endpoint,
                           const char *owner)
{
    struct uep *u = xcalloc(1, sizeof(*u));
    u->all = all;
    STAILQ_INIT(&u->waiters);
    strncpy(u->id, id, UUID_TEXT - 1);
    strncpy(u->endpoint, endpoint, UUID_TEXT - 1);
    strncpy(u->owner, owner, UUID_TEXT - 1);
    if (presence_is_online(all->api->presence, id))
        u->state = UEP_UP;
    map_put(all->by_id, u->id, u);
    return u;
}

static void remember_start(struct uep *u, const struct uep_start *s)
{
    json_object_put(u->config);
    json_object_put(u->identity_set);
    u->config = json_object_get(s->config);
    u->identity_set = json_object_get(s->caller->identity_set);
    if (s->runtime) {
        json_object_put(u->runtime);
        u->runtime = json_object_get(s->runtime);
    }
    free(u->username);
    u->username = xstrdup(s->caller->username);
    strcpy(u->request_id, s->request_id);
}

/* Those that need no memory of theirs make room. */
static void make_room(struct ueps *all)
{
    const char *key;
    void *value;
    if (map_count(all->by_id) < KEPT_MAX)
        return;
    for (size_t it = 0; map_next(all->by_id, &it, &key, &value);) {
        struct uep *u = value;
        if (u->busy || u->preparing || u->looking || u->open > 0 || u->state != UEP_DOWN)
            continue;
        map_del(all->by_id, u->id);
        uep_free(u);
    }
}

struct uep *ueps_get(struct ueps *all, const char *id, const struct uep_start *start,
                     struct err *err)
{
    struct uep *u = map_get(all->by_id, id);
    if (!u) {
        make_room(all);
        u = uep_new(all, id, start->endpoint, start->owner);
    } else if (strcmp(u->owner, start->owner) != 0) {
        err_set(err, "user endpoint %s belongs to somebody else", id);
        return NULL;
    }
    remember_start(u, start);
    return u;
}

struct uep *ueps_get_legacy(struct ueps *all, const char *endpoint, const char *owner)
{
    struct uep *u = map_get(all->by_id, endpoint);
    if (!u)
        u = uep_new(all, endpoint, endpoint, owner);
    u->legacy = true;
    return u;
}

struct uep *ueps_find(struct ueps *all, const char *id)
{
    return map_get(all->by_id, id);
}

void uep_want(struct uep *u, uint64_t deadline_us, uep_ready_f *done, void *arg)
{
    struct api *api = u->all->api;
    if (u->legacy) {
        done(arg, 0, NULL, NULL); /* its queue keeps them */
        return;
    }
    if (u->state == UEP_UP && u->queue_ready) {
        if (now(u) - u->command_us > REFRESH_US)
            send_command(u);
        done(arg, 0, NULL, NULL);
        return;
    }
    if (!presence_is_online(api->presence, u->endpoint)) {
        bool seen = presence_was_seen(api->presence, u->endpoint);
        if (api->settings.offline_wait && seen) {
            make_busy(u);
            done(arg, 0, NULL, NULL); /* the ledger keeps them */
            return;
        }
        done(arg, 422, "ENDPOINT_OFFLINE",
             seen ? "The endpoint is not online; its administrator has to start it"
                  : "The endpoint was never online; its administrator has to start it");
        return;
    }
    struct waiter *w = xcalloc(1, sizeof(*w));
    *w = (struct waiter){.deadline_us = deadline_us, .done = done, .arg = arg};
    STAILQ_INSERT_TAIL(&u->waiters, w, link);
    /* A person waits: no pause, but not a second command into the same second. */
    if (u->state == UEP_UP || (u->state == UEP_DOWN && now(u) - u->command_us > LOOP_S(1))) {
        if (u->state == UEP_DOWN)
            set_state(u, UEP_STARTING);
        send_command(u);
    }
    if (u->not_before_us > now(u) + LOOP_S(1))
        u->not_before_us = now(u) + LOOP_S(1);
    make_busy(u);
}

bool uep_is_up(const struct uep *u)
{
    return u->legacy || (u->state == UEP_UP && u->queue_ready);
}

const char *uep_id(const struct uep *u)
{
    return u->id;
}

int64_t uep_open(const struct uep *u)
{
    return u->open;
}

void uep_open_add(struct uep *u, int64_t n)
{
    u->open += n;
    if (u->open < 0)
        u->open = 0;
    if (u->open > 0 && u->state != UEP_UP)
        make_busy(u);
    if (u->open == 0)
        u->tries = 0;
}

/* ---- reports ---- */

static void checked_in(struct uep *u)
{
    set_state(u, UEP_UP);
    u->tries = 0;
    u->queue_checked = false;
    if (u->queue_ready)
        arrived(u);
    else
        prepare(u); /* it came up without our asking: we were restarted */
}

static bool has_nothing_to_do(struct json_object *state)
{
    int64_t outstanding = -1, pending = 0;
    json_get_int(state, "outstanding_tasks", &outstanding, NULL);
    json_get_int(state, "pending_tasks", &pending, NULL);
    return outstanding == 0 && pending == 0;
}

/* Tasks that a user endpoint took and lost: it is idle, report after report, while they are open.
 */
static void notice_losses(struct uep *u, struct json_object *state)
{
    if (u->open == 0 || !has_nothing_to_do(state)) {
        u->quiet_since_us = 0;
        return;
    }
    if (u->quiet_since_us == 0)
        u->quiet_since_us = now(u);
    else if (now(u) - u->quiet_since_us >= QUIET_US)
        maintenance_lost(u->all->api->maintenance, u->id);
}

static void looked(void *arg, const struct broker_queue_state *state, const struct err *err)
{
    struct uep *u = arg;
    (void)err;
    u->looking = false;
    if (!state)
        return;
    u->queue_checked = state->consumers > 0;
    u->no_consumer = state->consumers > 0 ? 0 : u->no_consumer + 1;
    if (u->no_consumer < CONSUMER_CHECKS || u->state != UEP_UP)
        return;
    log_warning("event=zombie uep=%s endpoint=%s: it reports, but takes no tasks", u->id,
                u->endpoint);
    set_state(u, UEP_DOWN);
    if (u->open > 0)
        results_fail_all(u->all->api->results, u->id, "UserEndpointStuck",
                         "The user endpoint runs but takes no tasks; ask the endpoint's "
                         "administrator to end it");
}

/* After its check-in and for as long as nobody takes from its queue. */
static void check_consumer(struct uep *u)
{
    if (u->queue_checked || u->looking || !u->queue_ready || u->legacy)
        return;
    u->looking = true;
    broker_queue_look(u->all->api->broker, BROKER_TASKS, u->id, looked, u);
}

static void manager_came(struct ueps *all, const char *endpoint)
{
    const char *key;
    void *value;
    for (size_t it = 0; map_next(all->by_id, &it, &key, &value);) {
        struct uep *u = value;
        if (strcmp(u->endpoint, endpoint) == 0 && u->open > 0 && u->state == UEP_DOWN) {
            u->tries = 0;
            u->not_before_us = 0;
            make_busy(u);
        }
    }
}

void ueps_report(struct ueps *all, const char *id, bool online, bool was_online,
                 struct json_object *state)
{
    struct uep *u = map_get(all->by_id, id);
    if (!u) {
        if (online && !was_online)
            manager_came(all, id);
        return;
    }
    if (online && u->state != UEP_UP) {
        checked_in(u);
    } else if (!online && u->state == UEP_UP) {
        set_state(u, UEP_DOWN);
        if (u->open > 0 || !STAILQ_EMPTY(&u->waiters)) {
            u->not_before_us = now(u) + PAUSE_MIN_US;
            make_busy(u);
        }
        return;
    }
    if (online) {
        notice_losses(u, state);
        check_consumer(u);
    }
}

void ueps_error(struct ueps *all, const char *id, const char *text)
{
    struct uep *u = map_get(all->by_id, id);
    if (!u || u->legacy) {
        /* A manager's own id: a child's failure while it unwound; the manager is well. */
        log_info("event=start-failure endpoint=%s ignored: %.300s", id, text);
        return;
    }
    all->api->counters.start_failures++;
    log_warning("event=start-failure uep=%s endpoint=%s user=%s request=%s: %.1000s", u->id,
                u->endpoint, u->username ? u->username : u->owner, u->request_id, text);
    bool was_up = u->state == UEP_UP;
    if (!was_up)
        set_state(u, UEP_DOWN);
    autofree char *sentence = xasprintf("Request payload failed validation: %s", text);
    end_waits(u, 422, "SEMANTICALLY_INVALID", sentence);
    /* Tasks that were accepted for it get the sentence as their result. */
    if (!was_up && u->open > 0)
        results_fail_all(all->api->results, u->id, "UserEndpointStartFailed", text);
    u->not_before_us = now(u) + backoff_us(u->tries++, PAUSE_MIN_US, PAUSE_MAX_US);
}

void ueps_queue_missing(struct ueps *all, const char *id)
{
    struct uep *u = map_get(all->by_id, id);
    if (!u)
        return;
    u->queue_ready = false;
    if (u->legacy)
        broker_queue_make(all->api->broker, BROKER_TASKS, u->id, NULL, NULL);
    else
        make_busy(u);
}

void ueps_broker_up(struct ueps *all)
{
    const char *key;
    void *value;
    for (size_t it = 0; map_next(all->by_id, &it, &key, &value);) {
        struct uep *u = value;
        /* A broker that lost its data has lost the queues. */
        u->queue_ready = false;
        u->preparing = false;
        if (u->open > 0 || !STAILQ_EMPTY(&u->waiters))
            make_busy(u);
    }
}

/* ---- the ledger ---- */

static struct json_object *copy_of(struct json_object *o)
{
    return o ? json_object_get(o) : NULL;
}

char *uep_unsaved(const struct uep *u)
{
    struct buf b = BUF_INIT;
    autojson struct json_object *o = json_object_new_object();
    if (u->legacy)
        return NULL;
    json_add_str(o, "username", u->username);
    json_add(o, "config", copy_of(u->config));
    json_add(o, "runtime", copy_of(u->runtime));
    json_add(o, "identity_set", copy_of(u->identity_set));
    json_write(&b, o);
    char *text = buf_take(&b);
    if (u->saved && strcmp(u->saved, text) == 0) {
        free(text);
        return NULL;
    }
    return text;
}

void uep_saved(struct uep *u, const char *text)
{
    free(u->saved);
    u->saved = xstrdup(text);
}

int uep_save(struct db *db, const char *id, const char *endpoint, const char *owner,
             const char *text, struct err *err)
{
    return db_run(db, err,
                  "INSERT INTO ueps(id, endpoint, owner, start, created_us, used_us) "
                  "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET "
                  "start = excluded.start, used_us = excluded.used_us",
                  "ssssii", id, endpoint, owner, text, now_us(), now_us()) < 0
               ? -1
               : 0;
}

static void load_start(struct uep *u, const char *text)
{
    autojson struct json_object *o = json_read(text, strlen(text), 4 << 20, "start", NULL);
    const char *username = json_str_or(o, "username", NULL);
    u->config = copy_of(json_at(o, "config"));
    u->runtime = copy_of(json_at(o, "runtime"));
    u->identity_set = copy_of(json_at(o, "identity_set"));
    u->username = username ? xstrdup(username) : NULL;
    uuid_random(u->request_id);
}

/* Those with tasks that are not finished. */
static int load_job(struct db *db, void *arg, struct err *err)
{
    struct ueps *all = arg;
    struct db_rows *r =
        db_query(db, err,
                 "SELECT o.uep, o.n, u.endpoint, u.owner, u.start, o.endpoint, o.owner FROM "
                 "(SELECT uep, MIN(endpoint) AS endpoint, MIN(owner) AS owner, COUNT(*) AS n "
                 "FROM tasks WHERE state < 2 GROUP BY uep) o LEFT JOIN ueps u ON u.id = o.uep",
                 "");
    int rc;
    if (!r)
        return -1;
    while ((rc = db_next(r, err)) == 1) {
        bool legacy = db_is_null(r, 2);
        struct uep *u =
            uep_new(all, db_text(r, 0), db_text(r, legacy ? 5 : 2), db_text(r, legacy ? 6 : 3));
        u->legacy = legacy;
        u->open = db_int(r, 1);
        if (!legacy)
            load_start(u, db_text(r, 4));
        make_busy(u);
    }
    db_rows_end(r);
    return rc;
}

struct ueps *ueps_create(struct api *a)
{
    struct ueps *all = xcalloc(1, sizeof(*all));
    struct err err = ERR_INIT;
    all->api = a;
    all->by_id = map_create();
    LIST_INIT(&all->busy);
    all->tick = loop_timer_create(a->loop, tick_cb, all);
    if (store_now(a->store, load_job, all, &err) < 0)
        log_error("what was not finished could not be read: %s", err.text);
    return all;
}

void ueps_destroy(struct ueps *all)
{
    if (!all)
        return;
    loop_timer_destroy(all->tick);
    map_destroy(all->by_id, uep_free);
    free(all);
}

size_t ueps_count(const struct ueps *all)
{
    size_t n = 0;
    const char *key;
    void *value;
    for (size_t it = 0; map_next(all->by_id, &it, &key, &value);)
        n += ((struct uep *)value)->state == UEP_UP;
    return n;
}
