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
 * its manager is online.
 *
 * One that was killed can't say so and looks up until its reports are missed.  So while there is
 * work for it the broker is asked who takes from its queue; nobody: it is started again at once. It
 * stays UP for that: one that is only connecting anew finds its tasks in the queue. */
#include <stdio.h>
#include <string.h>

#include "lib/amqp/amqp.h"
#include "service/api/ueps.h"

#define REFRESH_US LOOP_S(5)
/* While nothing is heard: a command may have met a manager's restart. */
#define RESEND_US LOOP_S(10)
#define TICK_US LOOP_MS(500)
#define ROTATE_S (7u * 24 * 3600)
#define KEPT_MAX 50000
#define FIRST_REPORT_US LOOP_S(10) /* of an endpoint that has just registered */

void uep_set_state(struct uep *u, enum uep_state state)
{
    static const char *const names[] = {"down", "starting", "up"};
    if (u->state == state)
        return;
    log_info("event=user-endpoint uep=%s endpoint=%s owner=%s state=%s", u->id, u->endpoint,
             u->owner, names[state]);
    u->state = state;
    u->gone = false;
}

void uep_tick(struct ueps *all)
{
    if (!all->stopped && !loop_timer_is_set(all->tick))
        loop_timer_set(all->tick, TICK_US, LOOP_MS(100));
}

void uep_make_busy(struct uep *u)
{
    struct ueps *all = u->all;
    if (!u->busy) {
        LIST_INSERT_HEAD(&all->busy, u, busy_link);
        u->busy = true;
    }
    uep_tick(all);
}

void uep_end_waits(struct uep *u, int status, const char *code, const char *text)
{
    struct waiter *w;
    while ((w = STAILQ_FIRST(&u->waiters))) {
        STAILQ_REMOVE_HEAD(&u->waiters, link);
        w->done(w->arg, status, code, text);
        free(w);
    }
}

/* ---- the start command ---- */

static void issued(void *arg, const char *password, const struct err *err)
{
    struct uep *u = arg;
    struct api *api = u->all->api;
    u->preparing = false;
    if (!password) {
        log_warning("event=start-command uep=%s: %s", u->id, err->text);
        return; /* the tick tries again */
    }
    u->command_us = uep_now(u);
    api->counters.starts++;
    const struct start_command command = {.endpoint = u->endpoint,
                                          .uep = u->id,
                                          .owner = u->owner,
                                          .username = u->username,
                                          .request_id = u->request_id,
                                          .password = password,
                                          .config = u->config,
                                          .runtime = u->runtime,
                                          .identity_set = u->identity_set};
    start_command_send(api, &command);
}

static void ask_password(struct uep *u)
{
    autofree char *principal = xasprintf("ep.%s", u->id);
    u->preparing = true;
    u->command_wanted = false;
    creds_issue(u->all->api->creds, principal, ROTATE_S, issued, u);
}

void uep_arrived(struct uep *u)
{
    uep_end_waits(u, 0, NULL, NULL);
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
        uep_arrived(u);
}

void uep_prepare(struct uep *u)
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

void uep_send_command(struct uep *u)
{
    /* A command that waits for the broker to come back would be too old for its manager. */
    if (u->legacy || !u->identity_set || !broker_is_up(u->all->api->broker))
        return;
    u->command_wanted = true;
    u->command_us = uep_now(u); /* so that the tick waits for this one */
    uep_prepare(u);
}

/* ---- time ---- */

/* Its endpoint isn't online: the ledger keeps the tasks, or they are refused. */
static void endpoint_absent(struct uep *u, uep_ready_f *done, void *arg)
{
    if (u->all->api->settings.offline_wait) {
        uep_make_busy(u);
        done(arg, 0, NULL, NULL);
        return;
    }
    done(arg, 422, "ENDPOINT_OFFLINE",
         "The endpoint is not online; its administrator has to start it");
}

static void expire_waiters(struct uep *u)
{
    struct waiter *w, *next;
    bool online = presence_is_online(u->all->api->presence, u->endpoint);
    for (w = STAILQ_FIRST(&u->waiters); w; w = next) {
        next = STAILQ_NEXT(w, link);
        if (online)
            w->online_by_us = 0;
        if (w->online_by_us && uep_now(u) >= w->online_by_us) {
            STAILQ_REMOVE(&u->waiters, w, waiter, link);
            endpoint_absent(u, w->done, w->arg);
            free(w);
            continue;
        }
        if (uep_now(u) < w->deadline_us)
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
            uep_prepare(u);
        return;
    }
    if (u->state == UEP_UP || !needed) {
        LIST_REMOVE(u, busy_link);
        u->busy = false;
        return;
    }
    if (u->legacy || !reachable || u->preparing)
        return;
    if (u->state == UEP_DOWN && uep_now(u) >= u->not_before_us) {
        uep_set_state(u, UEP_STARTING);
        u->not_before_us = uep_now(u) + backoff_us(u->tries++, PAUSE_MIN_US, PAUSE_MAX_US);
        uep_send_command(u);
    } else if (u->state == UEP_STARTING && uep_now(u) - u->command_us > RESEND_US) {
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
    if (ueps_watch_tick(all) || !LIST_EMPTY(&all->busy))
        uep_tick(all);
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

struct uep *uep_new(struct ueps *all, const char *id, const char *endpoint, const char *owner)
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
    u->registered_us = s->registered_us;
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
        if (u->busy || u->watched || u->preparing || u->looking || u->open > 0 ||
            u->state != UEP_DOWN)
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
        if (uep_now(u) - u->command_us > REFRESH_US)
            uep_send_command(u);
        done(arg, 0, NULL, NULL);
        return;
    }
    bool online = presence_is_online(api->presence, u->endpoint);
    uint64_t age_us = (uint64_t)(now_us() - u->registered_us);
    if (!online && age_us >= FIRST_REPORT_US) {
        endpoint_absent(u, done, arg);
        return;
    }
    struct waiter *w = xcalloc(1, sizeof(*w));
    *w = (struct waiter){.deadline_us = deadline_us, .done = done, .arg = arg};
    STAILQ_INSERT_TAIL(&u->waiters, w, link);
    if (!online) { /* it has just registered: its first report is on the way */
        w->online_by_us = uep_now(u) + FIRST_REPORT_US - age_us;
        uep_make_busy(u);
        return;
    }
    /* A person waits: no pause, but not a second command into the same second. */
    if (u->state == UEP_UP || (u->state == UEP_DOWN && uep_now(u) - u->command_us > LOOP_S(1))) {
        if (u->state == UEP_DOWN)
            uep_set_state(u, UEP_STARTING);
        uep_send_command(u);
    }
    if (u->not_before_us > uep_now(u) + LOOP_S(1))
        u->not_before_us = uep_now(u) + LOOP_S(1);
    uep_make_busy(u);
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
        uep_make_busy(u);
    uep_watch(u);
    if (u->open == 0)
        u->tries = 0;
}

/* ---- the broker, and life ---- */

void ueps_queue_missing(struct ueps *all, const char *id)
{
    struct uep *u = map_get(all->by_id, id);
    if (!u)
        return;
    u->queue_ready = false;
    if (u->legacy)
        broker_queue_make(all->api->broker, BROKER_TASKS, u->id, NULL, NULL);
    else
        uep_make_busy(u);
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
            uep_make_busy(u);
    }
}

struct ueps *ueps_create(struct api *a)
{
    struct ueps *all = xcalloc(1, sizeof(*all));
    all->api = a;
    all->by_id = map_create();
    LIST_INIT(&all->busy);
    TAILQ_INIT(&all->watch);
    all->tick = loop_timer_create(a->loop, tick_cb, all);
    ueps_load(all);
    return all;
}

void ueps_stop(struct ueps *all)
{
    all->stopped = true;
    loop_timer_cancel(all->tick);
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
