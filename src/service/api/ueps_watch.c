/* Who takes what is in a user endpoint's queue: asked of the broker with its reports until somebody
 * does, and every LOOK_US while there is work. */
#include "service/api/ueps.h"

#define CONSUMER_CHECKS 4 /* reports without a consumer on its queue: a zombie */
#define LOOK_US LOOP_S(2)
#define LOOKS_A_TICK 10
#define CHECK_IN_US LOOP_S(4)
#define AGAIN_US LOOP_S(5) /* between two start commands for one that is gone */

/* ---- with its reports ---- */

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
    uep_set_state(u, UEP_DOWN);
    if (u->open > 0)
        results_fail_all(u->all->api->results, u->id, "UserEndpointStuck",
                         "The user endpoint runs but takes no tasks; ask the endpoint's "
                         "administrator to end it");
}

/* After its check-in and for as long as nobody takes from its queue. */
void uep_check_consumer(struct uep *u)
{
    if (u->queue_checked || u->looking || !u->queue_ready || u->legacy)
        return;
    u->looking = true;
    broker_queue_look(u->all->api->broker, BROKER_TASKS, u->id, looked, u);
}

/* ---- while there is work ---- */

static bool is_worth_it(const struct uep *u)
{
    return !u->legacy && u->state == UEP_UP && u->open > 0;
}

static void unwatch(struct uep *u)
{
    if (u->watched)
        TAILQ_REMOVE(&u->all->watch, u, watch_link);
    u->watched = false;
}

void uep_watch(struct uep *u)
{
    if (u->watched || !is_worth_it(u))
        return;
    u->watched = true;
    /* The list is in the order of the last look. */
    if (uep_now(u) - u->looked_us >= LOOK_US)
        TAILQ_INSERT_HEAD(&u->all->watch, u, watch_link);
    else
        TAILQ_INSERT_TAIL(&u->all->watch, u, watch_link);
    uep_tick(u->all);
}

static void looked_for_work(void *arg, const struct broker_queue_state *state,
                            const struct err *err)
{
    struct uep *u = arg;
    (void)err;
    u->looking = false;
    if (!state || !state->exists || !is_worth_it(u))
        return;
    if (state->consumers > 0) {
        u->queue_checked = true;
        u->no_consumer = 0;
        u->gone = false;
        return;
    }
    /* Its first report may come before its consumer. */
    if (!u->queue_checked && uep_now(u) - u->checked_in_us < CHECK_IN_US)
        return;
    if (!u->gone)
        log_info("event=gone uep=%s endpoint=%s: nobody takes from its queue", u->id, u->endpoint);
    if (uep_now(u) - u->command_us >= (u->gone ? AGAIN_US : LOOP_S(1)))
        uep_send_command(u);
    u->gone = true;
}

bool ueps_watch_tick(struct ueps *all)
{
    struct uep *u;
    for (int i = 0; i < LOOKS_A_TICK && (u = TAILQ_FIRST(&all->watch)); i++) {
        if (!is_worth_it(u)) {
            unwatch(u);
            continue;
        }
        if (uep_now(u) - u->looked_us < LOOK_US)
            break;
        TAILQ_REMOVE(&all->watch, u, watch_link);
        TAILQ_INSERT_TAIL(&all->watch, u, watch_link);
        u->looked_us = uep_now(u);
        if (u->looking || !u->queue_ready || !broker_is_up(all->api->broker))
            continue;
        u->looking = true;
        broker_queue_look(all->api->broker, BROKER_TASKS, u->id, looked_for_work, u);
    }
    return !TAILQ_EMPTY(&all->watch);
}
