/* See notify.h. */
#include "manager/monitor/notify.h"

#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include "lib/base/alloc.h"
#include "manager/monitor/child.h"

#define GATHER LOOP_S(1) /* changes of the number are told together */

struct notify {
    struct monitor *m;
    struct loop_timer *status, *beat;
    uint64_t beat_us; /* 0 = no watchdog */
    bool ready;
};

static void status_cb(void *arg)
{
    const struct notify *n = arg;
    (void)sd_notifyf(0, "STATUS=Endpoint %s, user endpoints: %u", n->m->endpoint_id,
                     n->m->children->count);
}

static void beat_cb(void *arg)
{
    struct notify *n = arg;
    (void)sd_notify(0, "WATCHDOG=1");
    loop_timer_set(n->beat, n->beat_us, n->beat_us / 8);
}

struct notify *notify_create(struct monitor *m)
{
    uint64_t watchdog_us = 0;
    if (!getenv("NOTIFY_SOCKET"))
        return NULL;
    struct notify *n = xcalloc(1, sizeof(*n));
    n->m = m;
    n->status = loop_timer_create(m->loop, status_cb, n);
    n->beat = loop_timer_create(m->loop, beat_cb, n);
    if (sd_watchdog_enabled(0, &watchdog_us) > 0) {
        n->beat_us = watchdog_us / 2;
        beat_cb(n);
    }
    return n;
}

void notify_destroy(struct notify *n)
{
    if (!n)
        return;
    loop_timer_destroy(n->status);
    loop_timer_destroy(n->beat);
    free(n);
}

void notify_ready(struct notify *n)
{
    if (!n)
        return;
    n->ready = true;
    (void)sd_notify(0, "READY=1");
    status_cb(n);
}

void notify_stopping(struct notify *n)
{
    if (n)
        (void)sd_notify(0, "STOPPING=1");
}

void notify_changed(struct notify *n)
{
    if (n && n->ready && !loop_timer_is_set(n->status))
        loop_timer_set(n->status, GATHER, GATHER);
}
