/* See desk.h. */
#include "manager/listener/desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/map.h"
#include "lib/fernet/fernet.h"
#include "manager/listener/command.h"
#include "manager/listener/compose.h"
#include "manager/listener/fair.h"
#include "manager/listener/refusal.h"
#include "manager/listener/revive.h"

#define WAITING_PER_USER 512
#define WAITING_MAX 16384
#define WAITING_BYTES_MAX (64u << 20)
#define RUNNING_PER_USER 4
#define UNDER_WAY_MAX 100 /* mapped, started, told; less than OUTSIDE_RUNS_MAX */
#define STARTS_PER_REQUEST 3
#define ANSWER_US LOOP_S(180)
#define SWEEP_US LOOP_S(10)
#define LATEST_MAX 32768

/* What a start needs; kept for a revival too. */
struct order {
    struct command *command;
    char *account;
    char *matched_identity;
    struct json_object *candidates;
};

struct job {
    TAILQ_ENTRY(job) link; /* in asked, or in another's parked */
    struct desk *desk;
    struct amqp_message *message; /* NULL: a revival */
    int64_t arrived_s;
    char *user; /* whose turn it takes, or NULL */
    struct order order;
    struct command_fault fault; /* while it is asked whether the account exists */
    char *slot;                 /* account and name, while no other may have them */
    TAILQ_HEAD(job_list, job) parked;
    char key[FERNET_KEY_TEXT];
    char request[24]; /* under way at the monitor, or "" */
    uint64_t answer_by_us;
    unsigned starts;
};

struct desk {
    struct desk_wires w;
    struct fair *fair;
    struct revive *revive;
    struct map *slots;   /* slot -> job */
    struct map *asked;   /* request -> job */
    struct map *latest;  /* slot -> time stamp of the command whose credentials it has */
    struct job_list all; /* asked of the monitor, in order */
    struct loop_timer *sweep;
    uint64_t last_request;
    size_t under_way, waiting_bytes;
    bool stopping, pumping;
};

static void pump(struct desk *d);
static void claim(struct job *j);

/* ---- orders and jobs ---- */

static void order_clear(struct order *o)
{
    command_drop(o->command);
    free(o->account);
    free(o->matched_identity);
    json_object_put(o->candidates);
    memset(o, 0, sizeof(*o));
}

static struct order order_copy(const struct order *o)
{
    return (struct order){.command = command_keep(o->command),
                          .account = xstrdup(o->account),
                          .matched_identity = xstrdup(o->matched_identity),
                          .candidates = json_object_get(o->candidates)};
}

static void order_free(void *p)
{
    order_clear(p);
    free(p);
}

static void job_free(struct job *j)
{
    if (j->message)
        amqp_message_free(j->message);
    order_clear(&j->order);
    command_fault_clear(&j->fault);
    free(j->user);
    free(j->slot);
    explicit_bzero(j->key, sizeof(j->key));
    free(j);
}

static void waiting_free(void *p)
{
    job_free(p);
}

static const char *correlation(const struct job *j)
{
    return j->order.command ? j->order.command->correlation : "-";
}

/* Gives its slot to the first that waits for it. */
static void release_slot(struct job *j)
{
    struct desk *d = j->desk;
    if (!j->slot || map_get(d->slots, j->slot) != j)
        return;
    map_del(d->slots, j->slot);
    struct job *next = TAILQ_FIRST(&j->parked);
    if (!next)
        return;
    TAILQ_REMOVE(&j->parked, next, link);
    TAILQ_CONCAT(&next->parked, &j->parked, link);
    free(next->slot);
    next->slot = NULL;
    claim(next);
}

static void forget_request(struct job *j)
{
    if (!j->request[0])
        return;
    map_del(j->desk->asked, j->request);
    TAILQ_REMOVE(&j->desk->all, j, link);
    j->request[0] = '\0';
}

/* Its end, whatever came before: acknowledged unless it shall come again. */
static void finish(struct job *j, bool ack)
{
    struct desk *d = j->desk;
    forget_request(j);
    if (j->message && ack)
        d->w.ack(d->w.arg, j->message->tag);
    if (j->user)
        fair_done(d->fair, j->user);
    release_slot(j);
    d->under_way--;
    job_free(j);
    pump(d);
}

/* ---- faults ---- */

static void told_cb(void *arg, bool sent, const char *why)
{
    struct job *j = arg;
    if (!sent)
        log_error("The requester can't be told: %s [request %s]", why, correlation(j));
    finish(j, true);
}

static void log_fault(const struct command_fault *f, const char *request)
{
    bool lines = f->log.data && strchr(f->log.data, '\n');
    log_write(f->level, __FILE__, __LINE__, __func__,
              lines ? "%s\n  Request: %s" : "%s [request %s]", f->log.data, request);
}

/* Takes the fault. */
static void refuse(struct job *j, struct command_fault *f)
{
    struct desk *d = j->desk;
    const struct command *c = j->order.command;
    static struct log_rate rate = LOG_RATE(5, 60);
    release_slot(j); /* whoever waits for it need not wait until somebody is told */
    if (f->log.len)
        log_fault(f, correlation(j));
    bool told = c && f->notice.len && c->route.url;
    if (c && f->notice.len && !c->route.url)
        log_warning("Nobody can be told: the command has no usable amqp_creds [request %s]",
                    correlation(j));
    if (told && !notice_may(d->w.notices, c->identity)) {
        told = false;
        if (log_rate_ok(&rate))
            log_warning("Too many failure notices for one identity; this one is left out\n  "
                        "Globus effective identity: %s",
                        c->identity);
    }
    if (told) {
        autobuf struct buf text = BUF_INIT;
        refusal_clean(f->notice.data, &text);
        notice_send(d->w.notices, &c->route, text.data, told_cb, j);
    }
    command_fault_clear(f);
    if (!told)
        finish(j, true);
}

static void refuse_general(struct job *j, const char *why)
{
    struct command_fault f = COMMAND_FAULT_INIT;
    command_general_fault(j->order.command, why, &f);
    refuse(j, &f);
}

/* ---- the monitor ---- */

static void ask_monitor(struct job *j, enum table_type type, const char *key, int fd1, int fd2)
{
    struct desk *d = j->desk;
    const struct command *c = j->order.command;
    struct table_message m = {.type = type, .request = ++d->last_request};
    snprintf(m.start.user, sizeof(m.start.user), "%s", j->order.account);
    snprintf(m.start.name, sizeof(m.start.name), "%s", c->name);
    snprintf(m.start.key, sizeof(m.start.key), "%s", key);
    snprintf(m.start.id, sizeof(m.start.id), "%s",
             c->route.endpoint_id ? c->route.endpoint_id : "");
    compose_command_line(c, m.start.command, sizeof(m.start.command));
    snprintf(j->request, sizeof(j->request), "%llu", (unsigned long long)m.request);
    j->answer_by_us = loop_now_us(d->w.loop) + ANSWER_US;
    map_put(d->asked, j->request, j);
    TAILQ_INSERT_TAIL(&d->all, j, link);
    if (!loop_timer_is_set(d->sweep))
        loop_timer_set(d->sweep, SWEEP_US, LOOP_S(1));
    d->w.send(d->w.arg, &m, fd1, fd2);
    explicit_bzero(&m, sizeof(m));
}

static void start(struct job *j)
{
    struct err err = ERR_INIT;
    const struct command *c = j->order.command;
    struct compose_person p = {.account = j->order.account,
                               .key = j->key,
                               .matched_identity = j->order.matched_identity,
                               .candidates = j->order.candidates};
    if (++j->starts > STARTS_PER_REQUEST) {
        refuse_general(j, "the user endpoint ends whenever it is asked for");
        return;
    }
    fernet_key_new(j->key);
    int credentials = compose_credentials(j->key, c->amqp_creds, &err);
    int blob = credentials < 0 ? -1 : compose_blob(j->desk->w.site, c, &p, &err);
    if (blob < 0) {
        if (credentials >= 0)
            close(credentials);
        refuse_general(j, err.text);
        return;
    }
    ask_monitor(j, TABLE_START, j->key, credentials, blob);
}

/* One request at a time for one user endpoint. */
static void claim(struct job *j)
{
    struct desk *d = j->desk;
    j->slot = xasprintf("%s\n%s", j->order.account, j->order.command->name);
    struct job *owner = map_get(d->slots, j->slot);
    if (owner) {
        TAILQ_INSERT_TAIL(&owner->parked, j, link);
        return;
    }
    map_put(d->slots, j->slot, j);
    start(j);
}

/* ---- who is it? ---- */

static void known_cb(void *arg, const struct outside_packet *answer, struct json_object *document,
                     const char *why)
{
    struct job *j = arg;
    struct command_fault f = COMMAND_FAULT_INIT;
    if (answer && answer->code == 0) {
        refusal_no_account(j->order.command, j->order.account, &f);
        refuse(j, &f);
        return;
    }
    f = j->fault;
    memset(&j->fault, 0, sizeof(j->fault));
    refuse(j, &f);
}

/* The account is chosen: is the rest of the command sound?  That the account exists is checked by
 * the monitor; a command that doesn't get there must hear of it all the same. */
static void chosen(struct job *j)
{
    struct desk *d = j->desk;
    struct command_fault f = COMMAND_FAULT_INIT;
    if (strlen(j->order.account) >= TABLE_USER) {
        refusal_no_account(j->order.command, j->order.account, &f);
        refuse(j, &f);
    } else if (command_check(j->order.command, &f) == 0) {
        claim(j);
    } else if (d->w.mapping) {
        j->fault = f;
        outside_account(d->w.outside, j->order.account, known_cb, j);
    } else {
        refuse(j, &f);
    }
}

static void mapped_cb(void *arg, const struct idmap_outcome *o, const char *why)
{
    struct job *j = arg;
    struct command_fault f = COMMAND_FAULT_INIT;
    for (size_t i = 0; o && o->warnings && i < json_object_array_length(o->warnings); i++)
        log_warning("%s [request %s]",
                    json_object_get_string(json_object_array_get_idx(o->warnings, i)),
                    correlation(j));
    if (!o)
        log_error("The identity mapping gave no answer: %s [request %s]", why, correlation(j));
    if (!o || !o->username) {
        refusal_unmapped(j->order.command, &f);
        refuse(j, &f);
        return;
    }
    j->order.account = xstrdup(o->username);
    j->order.matched_identity = xstrdup(o->matched_identity);
    j->order.candidates = json_object_get(o->candidates);
    chosen(j);
}

static bool is_ours(const struct site *s, const struct command *c)
{
    struct json_object *set = c->identities;
    size_t n = json_object_is_type(set, json_type_array) ? json_object_array_length(set) : 0;
    for (size_t i = 0; i < n; i++) {
        const char *sub = json_str_or(json_object_array_get_idx(set, i), "sub", NULL);
        for (size_t k = 0; sub && k < json_object_array_length(s->own); k++)
            if (strcmp(sub, json_object_get_string(json_object_array_get_idx(s->own, k))) == 0)
                return true;
    }
    return false;
}

static void identify(struct job *j)
{
    struct desk *d = j->desk;
    struct command_fault f = COMMAND_FAULT_INIT;
    if (d->w.mapping) {
        mapping_ask(d->w.mapping, j->order.command->identities, mapped_cb, j);
    } else if (is_ours(d->w.site, j->order.command)) {
        j->order.account = xstrdup(d->w.site->local_user);
        chosen(j);
    } else {
        refusal_untrusted(j->order.command, &f);
        refuse(j, &f);
    }
}

/* ---- turns ---- */

static const char *request_id(const struct amqp_message *m)
{
    const char *id = amqp_header_str(m, "request_id");
    return id ? id : amqp_header_str(m, "sallyport-request");
}

static struct command *read_message(const struct job *j, struct command_fault *f)
{
    const struct amqp_message *m = j->message;
    struct command_message cm = {.content_type = m->content_type,
                                 .timestamp = m->timestamp,
                                 .body = m->body,
                                 .body_len = m->body_len,
                                 .request_id = request_id(m),
                                 .grant = amqp_header_str(m, "sallyport-grant")};
    return command_read(&cm, j->arrived_s, f);
}

/* Only the message is kept while it waits; it was readable once, so it is now. */
static void begin(struct job *j)
{
    struct command_fault f = COMMAND_FAULT_INIT;
    j->desk->waiting_bytes -= j->message->body_len;
    j->order.command = read_message(j, &f);
    command_fault_clear(&f);
    identify(j);
}

static void pump(struct desk *d)
{
    struct job *j;
    if (d->pumping)
        return; /* called from begin(): the loop below goes on */
    d->pumping = true;
    while (!d->stopping && d->under_way < UNDER_WAY_MAX && (j = fair_take(d->fair))) {
        d->under_way++;
        begin(j);
    }
    d->pumping = false;
}

static void log_debug_request(const struct amqp_message *m)
{
    autobuf struct buf b = BUF_INIT;
    buf_add(&b, m->body, m->body_len < 8192 ? m->body_len : 8192);
    log_warning("Command debug requested:\n  Delivery Tag: %llu\n  Properties: content_type=%s "
                "timestamp=%lld redelivered=%d routing_key=%s\n  Body bytes: %s",
                (unsigned long long)m->tag, m->content_type, (long long)m->timestamp,
                m->redelivered, m->routing_key, b.data ? b.data : "");
}

/* Refused before it had a turn. */
static void refuse_at_once(struct job *j, struct command *c, struct command_fault *f)
{
    j->order.command = c;
    j->desk->under_way++;
    refuse(j, f);
}

void desk_command(struct desk *d, struct amqp_message *m)
{
    struct command_fault f = COMMAND_FAULT_INIT;
    struct job *j = xcalloc(1, sizeof(*j));
    *j = (struct job){.desk = d, .message = m, .arrived_s = (int64_t)clock_unix()};
    TAILQ_INIT(&j->parked);
    if (amqp_header_bool(m, "debug"))
        log_debug_request(m);
    if (d->stopping) {
        job_free(j); /* unacknowledged: it waits for our successor */
        return;
    }
    struct command *c = read_message(j, &f);
    if (!c || f.log.len) {
        refuse_at_once(j, c, &f);
        return;
    }
    enum fair_room room = d->waiting_bytes + m->body_len > WAITING_BYTES_MAX
                              ? FAIR_ALL_FULL
                              : fair_push(d->fair, c->identity, j);
    if (room != FAIR_OK) {
        refusal_busy(room == FAIR_USER_FULL, &f);
        refuse_at_once(j, c, &f);
        return;
    }
    d->waiting_bytes += m->body_len;
    j->user = xstrdup(c->identity);
    command_drop(c);
    pump(d);
}

/* ---- answers ---- */

static void note_latest(struct desk *d, const struct job *j)
{
    if (map_count(d->latest) >= LATEST_MAX) {
        map_destroy(d->latest, free);
        d->latest = map_create();
    }
    int64_t *at = xmemdup(&j->order.command->timestamp, sizeof(*at));
    free(map_put(d->latest, j->slot, at));
}

static bool is_stale(const struct desk *d, const struct job *j)
{
    const int64_t *at = map_get(d->latest, j->slot);
    return at && j->order.command->timestamp < *at;
}

static void started(struct job *j, const struct table_message *m)
{
    log_info("Command process successfully forked for '%s' (Globus effective identity: %s). "
             "[request %s]",
             j->order.account, j->order.command->identity, correlation(j));
    note_latest(j->desk, j);
    finish(j, true);
}

static void running(struct job *j, const struct table_message *m)
{
    struct err err = ERR_INIT;
    struct desk *d = j->desk;
    const struct command *c = j->order.command;
    log_info("User endpoint %s is already running (pid: %d); updating credentials then caching "
             "arguments in case it's about to shut down [request %s]",
             c->name, (int)m->pid, correlation(j));
    if (is_stale(d, j)) {
        log_info("The request is older than the one before it: the credentials stay [request %s]",
                 correlation(j));
        finish(j, true);
        return;
    }
    int fd = compose_credentials(m->start.key, c->amqp_creds, &err);
    if (fd < 0) {
        refuse_general(j, err.text);
        return;
    }
    struct order copy = order_copy(&j->order);
    revive_put(d->revive, j->slot, xmemdup(&copy, sizeof(copy)));
    ask_monitor(j, TABLE_REFRESH, "", fd, -1);
}

static void refreshed(struct job *j, const struct table_message *m)
{
    if (m->code == 0) {
        note_latest(j->desk, j);
        finish(j, true);
        return;
    }
    /* It ended between the two messages: nothing to refresh, all to start. */
    void *kept = revive_take(j->desk->revive, j->slot);
    if (kept)
        order_free(kept);
    start(j);
}

static void failed(struct job *j, const struct table_message *m)
{
    struct command_fault f = COMMAND_FAULT_INIT;
    if (m->code == TABLE_STOPPING) {
        finish(j, false);
        return;
    }
    if (!j->message && m->code == TABLE_NO_ACCOUNT)
        log_warning("Account %s is gone; user EP will not be revived  (name: %s)", j->order.account,
                    j->order.command->name);
    refusal_explain(m, j->order.command, j->order.account, &f);
    refuse(j, &f);
}

static void exited(struct desk *d, const struct table_message *m)
{
    autofree char *slot = xasprintf("%s\n%s", m->start.user, m->start.name);
    if (map_get(d->slots, slot))
        return; /* a request for it is under way: that one starts it */
    free(map_del(d->latest, slot));
    struct order *kept = revive_take(d->revive, slot);
    if (!kept)
        return;
    if (d->stopping || m->code != 0) {
        order_free(kept);
        return;
    }
    log_info("User EP stopped within grace period; using cached arguments to start a new instance "
             "(name: %s) [request %s]",
             m->start.name, kept->command->correlation);
    struct job *j = xcalloc(1, sizeof(*j));
    *j = (struct job){.desk = d, .order = *kept};
    TAILQ_INIT(&j->parked);
    free(kept);
    d->under_way++;
    claim(j);
}

void desk_answer(struct desk *d, const struct table_message *m)
{
    if (m->type == TABLE_EXITED) {
        exited(d, m);
        return;
    }
    char key[24];
    snprintf(key, sizeof(key), "%llu", (unsigned long long)m->request);
    struct job *j = map_get(d->asked, key);
    if (!j)
        return; /* we gave up waiting for it */
    forget_request(j);
    if (m->type == TABLE_STARTED)
        started(j, m);
    else if (m->type == TABLE_RUNNING)
        running(j, m);
    else if (m->type == TABLE_REFRESHED)
        refreshed(j, m);
    else
        failed(j, m);
}

static void sweep_cb(void *arg)
{
    struct desk *d = arg;
    uint64_t now = loop_now_us(d->w.loop);
    struct job *j;
    while ((j = TAILQ_FIRST(&d->all)) && j->answer_by_us <= now) {
        forget_request(j);
        refuse_general(j, "the monitor did not answer");
    }
    if (!TAILQ_EMPTY(&d->all))
        loop_timer_set(d->sweep, SWEEP_US, LOOP_S(1));
}

/* ---- life ---- */

struct desk *desk_create(const struct desk_wires *wires)
{
    struct desk *d = xcalloc(1, sizeof(*d));
    double grace = wires->site->config->mu_child_ep_grace_period_s;
    d->w = *wires;
    d->fair = fair_create(&(struct fair_limits){
        .per_user = WAITING_PER_USER, .total = WAITING_MAX, .running_max = RUNNING_PER_USER});
    d->revive =
        revive_create(wires->loop, grace > 0 ? (uint64_t)(grace * 1e6) : 0, REVIVE_MAX, order_free);
    d->slots = map_create();
    d->asked = map_create();
    d->latest = map_create();
    d->sweep = loop_timer_create(wires->loop, sweep_cb, d);
    TAILQ_INIT(&d->all);
    return d;
}

void desk_destroy(struct desk *d)
{
    if (!d)
        return;
    /* Jobs under way end with the process: their commands are unacknowledged. */
    fair_destroy(d->fair, waiting_free);
    revive_destroy(d->revive);
    loop_timer_destroy(d->sweep);
    map_destroy(d->slots, NULL);
    map_destroy(d->asked, NULL);
    map_destroy(d->latest, free);
    free(d);
}

void desk_stop(struct desk *d)
{
    d->stopping = true;
}

size_t desk_under_way(const struct desk *d)
{
    return d->under_way;
}
