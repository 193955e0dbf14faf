/* How a request ends: its fault, its notice, its acknowledgement. */
#include "manager/listener/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "manager/listener/refusal.h"

/* ---- orders and jobs ---- */

static void order_clear(struct order *o)
{
    command_drop(o->command);
    free(o->account);
    free(o->matched_identity);
    json_object_put(o->candidates);
    memset(o, 0, sizeof(*o));
}

struct order order_copy(const struct order *o)
{
    return (struct order){.command = command_keep(o->command),
                          .account = xstrdup(o->account),
                          .matched_identity = xstrdup(o->matched_identity),
                          .candidates = json_object_get(o->candidates)};
}

void order_free(void *order)
{
    order_clear(order);
    free(order);
}

struct job *job_new(struct desk *d, struct amqp_message *m, const struct order *o)
{
    struct job *j = xcalloc(1, sizeof(*j));
    *j = (struct job){.desk = d, .message = m};
    if (o)
        j->order = *o;
    TAILQ_INIT(&j->parked);
    return j;
}

void job_free(void *job)
{
    struct job *j = job;
    if (j->message)
        amqp_message_free(j->message);
    order_clear(&j->order);
    command_fault_clear(&j->fault);
    free(j->user);
    free(j->slot);
    explicit_bzero(j->key, sizeof(j->key));
    free(j);
}

const char *job_correlation(const struct job *j)
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
    job_claim(next);
}

void job_forget_request(struct job *j)
{
    if (!j->request[0])
        return;
    map_del(j->desk->asked, j->request);
    TAILQ_REMOVE(&j->desk->all, j, link);
    j->request[0] = '\0';
}

/* Its end, whatever came before: acknowledged unless it shall come again. */
void job_finish(struct job *j, bool ack)
{
    struct desk *d = j->desk;
    job_forget_request(j);
    if (j->message && ack)
        d->w.ack(d->w.arg, j->message->tag);
    if (j->user)
        fair_done(d->fair, j->user);
    release_slot(j);
    d->under_way--;
    job_free(j);
    desk_pump(d);
}

/* ---- faults ---- */

static void told_cb(void *arg, bool sent, const char *why)
{
    struct job *j = arg;
    if (!sent)
        log_error("The requester can't be told: %s [request %s]", why, job_correlation(j));
    job_finish(j, true);
}

static void log_fault(const struct command_fault *f, const char *request)
{
    bool lines = f->log.data && strchr(f->log.data, '\n');
    log_write(f->level, __FILE__, __LINE__, __func__,
              lines ? "%s\n  Request: %s" : "%s [request %s]", f->log.data, request);
}

/* Takes the fault. */
void job_refuse(struct job *j, struct command_fault *f)
{
    struct desk *d = j->desk;
    const struct command *c = j->order.command;
    static struct log_rate rate = LOG_RATE(5, 60);
    release_slot(j); /* whoever waits for it need not wait until somebody is told */
    if (f->log.len)
        log_fault(f, job_correlation(j));
    bool told = c && f->notice.len && c->route.url;
    if (c && f->notice.len && !c->route.url)
        log_warning("Nobody can be told: the command has no usable amqp_creds [request %s]",
                    job_correlation(j));
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
        job_finish(j, true);
}

void job_refuse_general(struct job *j, const char *why)
{
    struct command_fault f = COMMAND_FAULT_INIT;
    command_general_fault(j->order.command, why, &f);
    job_refuse(j, &f);
}
