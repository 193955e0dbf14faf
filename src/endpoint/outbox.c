#include "endpoint/outbox.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "endpoint/spool.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/map.h"

#define SENT_MAX 8192              /* published and not confirmed */
#define SENT_BYTES_MAX (64u << 20) /* of them, in memory */
#define AWAY_US LOOP_S(1)
#define TIDY_US LOOP_MS(100)
#define RETRY_FIRST_US LOOP_MS(500)
#define RETRY_LAST_US LOOP_S(30)

struct entry {
    TAILQ_ENTRY(entry) link;
    char *id; /* a task's, or whatever a file was called */
    uint64_t tag, cookie;
    size_t size; /* while SENT */
    struct spool_place place;
    char *memory; /* only when the disk refused it */
    size_t memory_n;
    bool sent, durable;
};
TAILQ_HEAD(entry_list, entry);

struct outbox {
    struct loop *loop;
    struct spool *spool;
    struct map *by_id;
    struct entry_list waiting, sent; /* sent: in the order of their cookies */
    uint64_t next_cookie;
    size_t sent_count, sent_bytes;
    bool up, away;
    unsigned tries;
    struct loop_timer *retry, *gone, *tidy;
    const struct outbox_handlers *handlers;
    void *arg;
};

static void entry_free(void *p)
{
    struct entry *e = p;
    free(e->id);
    free(e->memory);
    free(e);
}

static struct entry *entry_new(struct outbox *o, const char *id)
{
    struct entry *e = xcalloc(1, sizeof(*e));
    e->id = xstrdup(id);
    TAILQ_INSERT_TAIL(&o->waiting, e, link);
    map_put(o->by_id, id, e);
    return e;
}

static void found_cb(void *arg, const char *id, struct spool_place place)
{
    struct entry *e = entry_new(arg, id);
    e->place = place;
    e->durable = true;
}

static bool may_send(const struct outbox *o)
{
    return o->up && o->sent_count < SENT_MAX && o->sent_bytes < SENT_BYTES_MAX;
}

static void entry_send(struct outbox *o, struct entry *e, char *body, size_t n)
{
    TAILQ_REMOVE(&o->waiting, e, link);
    TAILQ_INSERT_TAIL(&o->sent, e, link);
    e->sent = true;
    e->cookie = o->next_cookie++;
    e->size = n;
    o->sent_count++;
    o->sent_bytes += n;
    o->handlers->publish(o->arg, body, n, e->cookie);
}

static void send_waiting(struct outbox *o)
{
    struct entry *e, *next;
    for (e = TAILQ_FIRST(&o->waiting); e != NULL && may_send(o); e = next) {
        struct buf body = BUF_INIT;
        struct err err = ERR_INIT;
        next = TAILQ_NEXT(e, link);
        if (e->memory != NULL) {
            buf_add(&body, e->memory, e->memory_n);
        } else if (spool_get(o->spool, e->id, e->place, &body, &err) != 0) {
            log_error("a stored result cannot be sent: %s", err.text);
            TAILQ_REMOVE(&o->waiting, e, link);
            map_del(o->by_id, e->id);
            entry_free(e); /* its file stays, for people */
            continue;
        }
        size_t n = body.len;
        entry_send(o, e, buf_take(&body), n);
    }
}

static void retry_cb(void *arg)
{
    send_waiting(arg);
}

static void to_file(struct outbox *o, struct entry *e)
{
    autobuf struct buf body = BUF_INIT;
    struct err err = ERR_INIT;
    if (e->place.len == 0 && e->memory == NULL)
        return;
    if (e->memory != NULL)
        buf_add(&body, e->memory, e->memory_n);
    else if (spool_get(o->spool, e->id, e->place, &body, &err) != 0)
        goto fail;
    if (spool_add_file(o->spool, e->id, body.data, body.len, true, &err) != 0)
        goto fail;
    if (e->memory == NULL)
        spool_drop(o->spool, e->id, e->place);
    free(e->memory);
    e->memory = NULL;
    e->place = (struct spool_place){0, 0};
    return;
fail:
    log_error("%s", err.text);
}

static void all_to_files(struct outbox *o)
{
    struct entry *e;
    TAILQ_FOREACH(e, &o->waiting, link)
    to_file(o, e);
}

static void gone_cb(void *arg)
{
    struct outbox *o = arg;
    o->away = true;
    all_to_files(o);
}

static void tidy_cb(void *arg)
{
    struct outbox *o = arg;
    spool_tidy(o->spool);
}

struct outbox *outbox_open(struct loop *l, const char *dir, const struct outbox_handlers *handlers,
                           void *arg, struct err *err)
{
    struct outbox *o = xcalloc(1, sizeof(*o));
    autofree char *store = xasprintf("%s/unacked_results", dir);
    *o = (struct outbox){
        .loop = l, .by_id = map_create(), .next_cookie = 1, .handlers = handlers, .arg = arg};
    TAILQ_INIT(&o->waiting);
    TAILQ_INIT(&o->sent);
    o->retry = loop_timer_create(l, retry_cb, o);
    o->gone = loop_timer_create(l, gone_cb, o);
    o->tidy = loop_timer_create(l, tidy_cb, o);
    o->spool = spool_open(store, found_cb, o, err);
    if (o->spool != NULL)
        return o;
    outbox_close(o);
    return NULL;
}

void outbox_add(struct outbox *o, const char *id, uint64_t tag, bool durable, char *body, size_t n)
{
    static struct log_rate rate = LOG_RATE(3, 60);
    struct err err = ERR_INIT;
    struct entry *e = entry_new(o, id);
    e->tag = tag;
    e->durable = durable;
    int rc = o->away ? spool_add_file(o->spool, id, body, n, durable, &err)
                     : spool_add(o->spool, id, body, n, durable, &e->place, &err);
    if (rc != 0) { /* in memory then; its task is not acknowledged before the broker has it */
        if (log_rate_ok(&rate))
            log_error("%s; the result is kept in memory", err.text);
        e->memory = xmemdup(body, n);
        e->memory_n = n;
    }
    if (may_send(o) && TAILQ_FIRST(&o->waiting) == e)
        entry_send(o, e, body, n);
    else
        free(body);
}

bool outbox_redelivered(struct outbox *o, const char *id, uint64_t tag)
{
    struct entry *e = map_get(o->by_id, id);
    if (e != NULL)
        e->tag = tag;
    return e != NULL;
}

void outbox_forget_tags(struct outbox *o)
{
    struct entry *e;
    TAILQ_FOREACH(e, &o->waiting, link)
    e->tag = 0;
    TAILQ_FOREACH(e, &o->sent, link)
    e->tag = 0;
}

void outbox_up(struct outbox *o)
{
    o->up = true;
    o->away = false;
    o->tries = 0;
    loop_timer_cancel(o->gone);
    send_waiting(o);
}

void outbox_down(struct outbox *o)
{
    o->up = false;
    loop_timer_cancel(o->retry);
    loop_timer_set(o->gone, AWAY_US, LOOP_MS(100));
}

/* Confirms come nearly in order: the search is short. */
static struct entry *by_cookie(struct outbox *o, uint64_t cookie)
{
    struct entry *e;
    TAILQ_FOREACH(e, &o->sent, link)
    if (e->cookie == cookie)
        return e;
    return NULL;
}

static void again_later(struct outbox *o, struct entry *e, enum amqp_outcome outcome)
{
    static struct log_rate rate = LOG_RATE(3, 60);
    e->sent = false;
    TAILQ_INSERT_TAIL(&o->waiting, e, link);
    if (outcome == AMQP_LOST)
        return; /* outbox_up() sends it */
    if (log_rate_ok(&rate))
        log_warning("the broker %s the result of task %s; it is sent again",
                    outcome == AMQP_RETURNED ? "has no queue for" : "refused", e->id);
    if (!loop_timer_is_set(o->retry))
        loop_timer_set(o->retry, backoff_us(o->tries++, RETRY_FIRST_US, RETRY_LAST_US), 0);
}

void outbox_confirm(struct outbox *o, uint64_t cookie, enum amqp_outcome outcome)
{
    struct entry *e = by_cookie(o, cookie);
    if (e == NULL)
        return;
    TAILQ_REMOVE(&o->sent, e, link);
    o->sent_count--;
    o->sent_bytes -= e->size;
    if (outcome != AMQP_ACKED) {
        again_later(o, e, outcome);
        return;
    }
    o->tries = 0;
    map_del(o->by_id, e->id);
    if (e->memory == NULL)
        spool_drop(o->spool, e->id, e->place);
    if (map_count(o->by_id) == 0 && !loop_timer_is_set(o->tidy))
        loop_timer_set(o->tidy, TIDY_US, TIDY_US);
    o->handlers->settled(o->arg, e->id, e->tag, e->durable);
    entry_free(e);
    if (!TAILQ_EMPTY(&o->waiting) && !loop_timer_is_set(o->retry))
        send_waiting(o);
}

size_t outbox_count(const struct outbox *o)
{
    return map_count(o->by_id);
}

void outbox_close(struct outbox *o)
{
    if (o == NULL)
        return;
    TAILQ_CONCAT(&o->waiting, &o->sent, link);
    if (o->spool != NULL) {
        all_to_files(o);
        spool_tidy(o->spool);
    }
    loop_timer_destroy(o->tidy);
    loop_timer_destroy(o->retry);
    loop_timer_destroy(o->gone);
    spool_close(o->spool);
    map_destroy(o->by_id, entry_free);
    free(o);
}
