/* Requests at the monitor: START, its answer, what follows from it (desk.h has the picture). */
#include "manager/listener/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "manager/listener/compose.h"
#include "manager/listener/refusal.h"

#define STARTS_PER_REQUEST 3
#define ANSWER_US LOOP_S(180)
#define SWEEP_US LOOP_S(10)
#define LATEST_MAX 32768

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
    snprintf(m.start.correlation, sizeof(m.start.correlation), "%s", job_correlation(j));
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
        job_refuse_general(j, "the user endpoint ends whenever it is asked for");
        return;
    }
    fernet_key_new(j->key);
    int credentials = compose_credentials(j->key, c->amqp_creds, &err);
    int blob = credentials < 0 ? -1 : compose_blob(j->desk->w.site, c, &p, &err);
    if (blob < 0) {
        if (credentials >= 0)
            close(credentials);
        job_refuse_general(j, err.text);
        return;
    }
    ask_monitor(j, TABLE_START, j->key, credentials, blob);
}

/* One request at a time for one user endpoint. */
void job_claim(struct job *j)
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
             j->order.account, j->order.command->identity, job_correlation(j));
    note_latest(j->desk, j);
    job_finish(j, true);
}

static void running(struct job *j, const struct table_message *m)
{
    struct err err = ERR_INIT;
    struct desk *d = j->desk;
    const struct command *c = j->order.command;
    log_info("User endpoint %s is already running (pid: %d); updating credentials then caching "
             "arguments in case it's about to shut down [request %s]",
             c->name, (int)m->pid, job_correlation(j));
    if (is_stale(d, j)) {
        log_info("The request is older than the one before it: the credentials stay [request %s]",
                 job_correlation(j));
        job_finish(j, true);
        return;
    }
    int fd = compose_credentials(m->start.key, c->amqp_creds, &err);
    if (fd < 0) {
        job_refuse_general(j, err.text);
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
        job_finish(j, true);
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
        job_finish(j, false);
        return;
    }
    if (!j->message && m->code == TABLE_NO_ACCOUNT)
        log_warning("Account %s is gone; user EP will not be revived  (name: %s)", j->order.account,
                    j->order.command->name);
    refusal_explain(m, j->order.command, j->order.account, &f);
    job_refuse(j, &f);
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
    struct job *j = job_new(d, NULL, kept);
    free(kept);
    d->under_way++;
    job_claim(j);
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
    job_forget_request(j);
    if (m->type == TABLE_STARTED)
        started(j, m);
    else if (m->type == TABLE_RUNNING)
        running(j, m);
    else if (m->type == TABLE_REFRESHED)
        refreshed(j, m);
    else
        failed(j, m);
}

void start_sweep_cb(void *desk)
{
    struct desk *d = desk;
    uint64_t now = loop_now_us(d->w.loop);
    struct job *j;
    while ((j = TAILQ_FIRST(&d->all)) && j->answer_by_us <= now) {
        job_forget_request(j);
        job_refuse_general(j, "the monitor did not answer");
    }
    if (!TAILQ_EMPTY(&d->all))
        loop_timer_set(d->sweep, SWEEP_US, LOOP_S(1));
}
