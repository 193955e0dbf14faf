/* What the files of user endpoints share: ueps.c (their life), ueps_reports.c (what they and their
 * managers say), ueps_watch.c (whether they take what is in their queue), ueps_ledger.c (what is
 * known after a restart). */
#ifndef SALLYPORT_SERVICE_UEPS_H
#define SALLYPORT_SERVICE_UEPS_H

#include "service/api/private.h"

/* Between two starts of one that can't stay; it doubles. */
#define PAUSE_MIN_US LOOP_S(1)
#define PAUSE_MAX_US LOOP_S(120)

enum uep_state { UEP_DOWN, UEP_STARTING, UEP_UP };

struct waiter {
    STAILQ_ENTRY(waiter) link;
    uint64_t deadline_us;
    /* Until when the endpoint itself has to be online; 0 = no matter. */
    uint64_t online_by_us;
    uep_ready_f *done;
    void *arg;
};

struct uep {
    struct ueps *all;
    LIST_ENTRY(uep) busy_link; /* of those that the tick looks after */
    bool busy;
    TAILQ_ENTRY(uep) watch_link; /* of those that are up and have work */
    bool watched;
    uint64_t looked_us; /* at its queue */
    uint64_t checked_in_us;
    bool gone; /* it was up, and nobody takes from its queue */
    char id[UUID_TEXT], endpoint[UUID_TEXT], owner[UUID_TEXT];
    bool legacy;
    enum uep_state state;
    /* What the next start command says. */
    struct json_object *config, *runtime, *identity_set;
    char *username;
    char request_id[UUID_TEXT];
    int64_t registered_us; /* of its endpoint, Unix time */
    char *saved;           /* what the ledger has of it */
    bool queue_ready;      /* since the broker came up */
    bool preparing, command_wanted, looking;
    uint64_t command_us; /* when the last one went out */
    uint64_t not_before_us;
    unsigned tries;
    int64_t open;
    unsigned round;          /* in which the ledger last counted some */
    uint64_t quiet_since_us; /* it reports that it has nothing to do, but tasks are open; 0 = no */
    bool queue_checked;      /* somebody consumes its queue, since its check-in */
    unsigned no_consumer;
    STAILQ_HEAD(, waiter) waiters;
};

struct ueps {
    struct api *api;
    struct map *by_id;
    LIST_HEAD(, uep) busy;
    TAILQ_HEAD(watch_list, uep) watch;
    struct loop_timer *tick;
    unsigned round; /* of the ledger's counts */
    struct open_list loaded;
    bool stopped; /* the broker goes: no more ticks */
};

static inline uint64_t uep_now(const struct uep *u)
{
    return loop_now_us(u->all->api->loop);
}

/* ---- ueps.c ---- */

struct uep *uep_new(struct ueps *all, const char *id, const char *endpoint, const char *owner);
void uep_make_busy(struct uep *u); /* the tick looks after it: somebody waits, or tasks do */
void uep_tick(struct ueps *all);   /* there will be one */
void uep_set_state(struct uep *u, enum uep_state state);
void uep_send_command(struct uep *u);
void uep_prepare(struct uep *u); /* its queue, then the start command if one is wanted */
void uep_arrived(struct uep *u); /* it is there, and so is its queue */
/* Everybody who waits for it is told: status 0 = go on, else an HTTP status with code and text. */
void uep_end_waits(struct uep *u, int status, const char *code, const char *text);

/* ---- ueps_watch.c ---- */

void uep_watch(struct uep *u);          /* it may have work */
bool ueps_watch_tick(struct ueps *all); /* true: there is more to come */
/* With each report, until somebody has been seen at its queue. */
void uep_check_consumer(struct uep *u);

/* ---- ueps_ledger.c ---- */

/* Those with tasks that are not finished; at the start. */
void ueps_load(struct ueps *all);

#endif
