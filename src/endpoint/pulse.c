/* Heartbeats, and with them the idle rule. */
#include <stdio.h>

#include "endpoint/endpoint_private.h"
#include "endpoint/report.h"
#include "lib/base/log.h"
#include "lib/base/proctitle.h"
#include "lib/wire/wire.h"

static struct report report_now(const struct endpoint *e, bool active)
{
    return (struct report){.engine = e->o.engine,
                           .nodes = e->nodes,
                           .identity = e->pulse.identity,
                           .heartbeat_period = e->o.settings->heartbeat_period,
                           .outstanding = dispatch_count(e->dispatch),
                           .total = e->total,
                           .active = active};
}

struct json_object *pulse_status_cb(void *arg)
{
    static const char *const phases[] = {[PHASE_RUNNING] = "running",
                                         [PHASE_FINISHING] = "finishing",
                                         [PHASE_ENDING] = "ending",
                                         [PHASE_FLUSHING] = "flushing",
                                         [PHASE_PARTING] = "parting"};
    struct endpoint *e = arg;
    struct report r = report_now(e, e->phase == PHASE_RUNNING);
    return report_status(&r, &(struct report_moment){.endpoint_id = e->o.queues->endpoint_id,
                                                     .phase = phases[e->phase],
                                                     .waiting = dispatch_waiting(e->dispatch),
                                                     .unconfirmed = outbox_count(e->outbox),
                                                     .received = e->received,
                                                     .confirmed = e->confirmed,
                                                     .taking = broker_is_consuming(e->broker),
                                                     .publishing = broker_can_publish(e->broker)});
}

void pulse_beat(struct endpoint *e, bool active)
{
    struct buf body = BUF_INIT;
    if (!broker_can_publish(e->broker))
        return; /* the next one says as much */
    struct report r = report_now(e, active);
    autojson struct json_object *state = report_state(&r);
    wire_pack_status(&body, e->o.queues->endpoint_id, state, NULL);
    size_t n = body.len;
    e->pulse.last_cookie++;
    broker_publish(e->broker, QUEUE_HEARTBEATS, buf_take(&body), n,
                   HEARTBEAT_COOKIE | e->pulse.last_cookie);
}

/* 172800 → "172,800" */
static const char *thousands(double seconds, char out[32])
{
    char plain[24];
    int n = snprintf(plain, sizeof(plain), "%.0f", seconds), k = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            out[k++] = ',';
        out[k++] = plain[i];
    }
    out[k] = '\0';
    return out;
}

static void say(struct endpoint *e, enum idle_state state)
{
    char left[32];
    thousands((double)e->pulse.idle.left * e->o.settings->heartbeat_period, left);
    bool is_new = state != e->pulse.said;
    switch (state) {
    case IDLE_ACTIVE:
        if (e->pulse.said == IDLE_SOFT || e->pulse.said == IDLE_HARD)
            log_info("Moved to active state (due to tasks processed since last heartbeat).");
        if (is_new)
            proctitle_set("%s", e->o.title);
        break;
    case IDLE_SOFT:
        proctitle_set("[idle; shut down in %ss] %s", left, e->o.title);
        if (is_new)
            log_info("In idle state (no task or result movement); shut down in %ss.  "
                     "(idle_heartbeats_soft)",
                     left);
        break;
    case IDLE_HARD:
        proctitle_set("[possibly idle; shut down in %ss] %s", left, e->o.title);
        if (is_new)
            log_info("Possibly idle -- no task or result movement.  Shutting down in %ss.  "
                     "(idle_heartbeats_hard)",
                     left);
        break;
    case IDLE_QUIET:
    case IDLE_LEAVE_SOFT:
    case IDLE_LEAVE_HARD:
        break;
    }
    e->pulse.said = state;
}

static void tick_cb(void *arg)
{
    struct endpoint *e = arg;
    uint64_t period_us = (uint64_t)(e->o.settings->heartbeat_period * 1e6);
    loop_timer_set(e->pulse.tick, period_us, LOOP_MS(100));
    pidfile_touch(e->o.pidfile);
    pulse_beat(e, true);
    enum idle_state state =
        idle_tick(&e->pulse.idle, e->received, e->confirmed, endpoint_outstanding(e));
    say(e, state);
    if (state == IDLE_LEAVE_SOFT)
        endpoint_stop(e, "Idle heartbeats reached.  Shutting down.");
    else if (state == IDLE_LEAVE_HARD)
        endpoint_stop(e, "Shutting down due to idle heartbeats HARD limit.");
}

void pulse_start(struct endpoint *e)
{
    idle_init(&e->pulse.idle, e->o.settings->idle_soft, e->o.settings->idle_hard);
    e->pulse.identity = report_identity(e->o.document->ep_info, e->o.document->config);
    e->pulse.tick = loop_timer_create(e->loop, tick_cb, e);
    loop_timer_set(e->pulse.tick, (uint64_t)(e->o.settings->heartbeat_period * 1e6), LOOP_MS(100));
}

void pulse_stop(struct endpoint *e)
{
    loop_timer_destroy(e->pulse.tick);
    json_object_put(e->pulse.identity);
}
