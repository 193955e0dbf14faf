/* See desk.h: commands come in, wait for their user's turn, and get an account. */
#include "manager/listener/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/clock.h"
#include "manager/listener/refusal.h"

#define WAITING_PER_USER 512
#define WAITING_MAX 16384
#define WAITING_BYTES_MAX (64u << 20)
#define RUNNING_PER_USER 4
#define NONCES_MAX 65536
#define UNDER_WAY_MAX 100 /* mapped, started, told; less than OUTSIDE_RUNS_MAX */

/* ---- who is it? ---- */

static void known_cb(void *arg, const struct outside_packet *answer, struct json_object *document,
                     const char *why)
{
    struct job *j = arg;
    struct command_fault f = COMMAND_FAULT_INIT;
    if (answer && answer->code == 0) {
        refusal_no_account(j->order.command, j->order.account, &f);
        job_refuse(j, &f);
        return;
    }
    f = j->fault;
    memset(&j->fault, 0, sizeof(j->fault));
    job_refuse(j, &f);
}

/* The account is chosen: is the rest of the command sound?  That the account exists is checked by
 * the monitor; a command that doesn't get there must hear of it all the same. */
static void chosen(struct job *j)
{
    struct desk *d = j->desk;
    struct command_fault f = COMMAND_FAULT_INIT;
    if (strlen(j->order.account) >= TABLE_USER) {
        refusal_no_account(j->order.command, j->order.account, &f);
        job_refuse(j, &f);
    } else if (command_check(j->order.command, &f) == 0) {
        job_claim(j);
    } else if (d->w.mapping) {
        j->fault = f;
        outside_account(d->w.outside, j->order.account, known_cb, j);
    } else {
        job_refuse(j, &f);
    }
}

static void mapped_cb(void *arg, const struct idmap_outcome *o, const char *why)
{
    struct job *j = arg;
    struct command_fault f = COMMAND_FAULT_INIT;
    for (size_t i = 0; o && o->warnings && i < json_object_array_length(o->warnings); i++)
        log_warning("%s [request %s]",
                    json_object_get_string(json_object_array_get_idx(o->warnings, i)),
                    job_correlation(j));
    if (!o)
        log_error("The identity mapping gave no answer: %s [request %s]", why, job_correlation(j));
    if (!o || !o->username) {
        refusal_unmapped(j->order.command, &f);
        job_refuse(j, &f);
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
        job_refuse(j, &f);
    }
}

/* ---- turns ---- */

static const char *request_id(const struct amqp_message *m)
{
    const char *id = amqp_header_str(m, "request_id");
    return id ? id : amqp_header_str(m, "sallyport-request");
}

static struct command_message as_message(const struct amqp_message *m)
{
    return (struct command_message){.content_type = m->content_type,
                                    .timestamp = m->timestamp,
                                    .body = m->body,
                                    .body_len = m->body_len,
                                    .request_id = request_id(m),
                                    .grant = amqp_header_str(m, GRANT_HEADER)};
}

static struct command *read_message(const struct job *j, struct command_fault *f)
{
    const struct command_message m = as_message(j->message);
    return command_read(&m, j->arrived_s, f);
}

/* A grant is good for one command; that the broker delivers it again is no crime. */
static bool is_first_use(struct desk *d, const struct job *j, const char *nonce)
{
    if (map_get(d->nonces, nonce))
        return j->message->redelivered;
    if (map_count(d->nonces) >= NONCES_MAX) {
        map_destroy(d->nonces, NULL);
        d->nonces = map_create();
    }
    map_put(d->nonces, nonce, d);
    return true;
}

static int check_grant(struct job *j, const struct command *c, struct command_fault *f)
{
    char nonce[GRANT_NONCE_TEXT];
    struct desk *d = j->desk;
    const char *key = d->w.site->config->grant_key;
    const struct command_message m = as_message(j->message);
    if (!key)
        return 0;
    if (command_check_grant(c, &m, key, d->w.site->endpoint_id, j->arrived_s, nonce, f) < 0)
        return -1;
    if (is_first_use(d, j, nonce))
        return 0;
    f->level = LOG_L_WARNING;
    buf_str(&f->log, "Ignoring command from server\n  Its start grant has been used before");
    command_id_lines(c, &f->log);
    return -1; /* whoever copied it is not told */
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

void desk_pump(struct desk *d)
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
    job_refuse(j, f);
}

void desk_command(struct desk *d, struct amqp_message *m)
{
    struct command_fault f = COMMAND_FAULT_INIT;
    struct job *j = job_new(d, m, NULL);
    j->arrived_s = (int64_t)clock_unix();
    if (amqp_header_bool(m, "debug"))
        log_debug_request(m);
    if (d->stopping) {
        job_free(j); /* unacknowledged: it waits for our successor */
        return;
    }
    struct command *c = read_message(j, &f);
    if (!c || f.log.len || check_grant(j, c, &f) < 0) {
        refuse_at_once(j, c, &f);
        return;
    }
    enum fair_room room = d->waiting_bytes + m->body_len > WAITING_BYTES_MAX
                              ? FAIR_ALL_FULL
                              : fair_push(d->fair, c->identity, j);
    if (room != FAIR_OK) {
        static struct log_rate rate = LOG_RATE(5, 60);
        refusal_busy(room == FAIR_USER_FULL, &f);
        if (!log_rate_ok(&rate))
            buf_clear(&f.log);
        refuse_at_once(j, c, &f);
        return;
    }
    d->waiting_bytes += m->body_len;
    j->user = xstrdup(c->identity);
    command_drop(c);
    desk_pump(d);
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
    d->nonces = map_create();
    d->sweep = loop_timer_create(wires->loop, start_sweep_cb, d);
    TAILQ_INIT(&d->all);
    return d;
}

void desk_destroy(struct desk *d)
{
    if (!d)
        return;
    /* Jobs under way end with the process: their commands are unacknowledged. */
    fair_destroy(d->fair, job_free);
    revive_destroy(d->revive);
    loop_timer_destroy(d->sweep);
    map_destroy(d->slots, NULL);
    map_destroy(d->asked, NULL);
    map_destroy(d->latest, free);
    map_destroy(d->nonces, NULL);
    free(d);
}

void desk_stop(struct desk *d)
{
    d->stopping = true;
}
