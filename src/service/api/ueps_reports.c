/* What user endpoints and their managers say, and what follows: a check-in ends the waits, a
 * departure while tasks are open asks for a new start, a manager's failure notice fails them, and
 * an endpoint that stays idle while its tasks are open has lost them. */
#include <string.h>

#include "service/api/ueps.h"

#define QUIET_US LOOP_S(50)

static void checked_in(struct uep *u)
{
    fault_point("check-in");
    uep_set_state(u, UEP_UP);
    u->tries = 0;
    u->queue_checked = false;
    u->checked_in_us = uep_now(u);
    uep_watch(u);
    if (u->queue_ready)
        uep_arrived(u);
    else
        uep_prepare(u); /* it came up without our asking: we were restarted */
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
        u->quiet_since_us = uep_now(u);
    else if (uep_now(u) - u->quiet_since_us >= QUIET_US)
        maintenance_lost(u->all->api->maintenance, u->id);
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
            uep_make_busy(u);
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
    if (online && (u->state != UEP_UP || u->gone)) {
        u->gone = false;
        checked_in(u);
    } else if (!online && u->state == UEP_UP) {
        uep_set_state(u, UEP_DOWN);
        if (u->open > 0 || !STAILQ_EMPTY(&u->waiters)) {
            u->not_before_us = uep_now(u) + PAUSE_MIN_US;
            uep_make_busy(u);
        }
        return;
    }
    if (online) {
        notice_losses(u, state);
        uep_check_consumer(u);
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
    bool was_up = u->state == UEP_UP && !u->gone;
    if (!was_up)
        uep_set_state(u, UEP_DOWN);
    autofree char *sentence = xasprintf("Request payload failed validation: %s", text);
    uep_end_waits(u, 422, "SEMANTICALLY_INVALID", sentence);
    /* Tasks that were accepted for it get the sentence as their result. */
    if (!was_up && u->open > 0)
        results_fail_all(all->api->results, u->id, "UserEndpointStartFailed", text);
    u->not_before_us = uep_now(u) + backoff_us(u->tries++, PAUSE_MIN_US, PAUSE_MAX_US);
}
