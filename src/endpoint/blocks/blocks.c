/* The blocks of a user endpoint: a table, a pass over it that asks, judges and scales, and a timer
 * for the next pass.  Nothing wakes up when there are neither tasks nor blocks.
 *
 *   SUBMITTING ──id──▶ PENDING ──▶ RUNNING ──▶ COMPLETED, FAILED, ... (final)
 *        └──refused──▶ FAILED                └─cancelled by us──▶ SCALED_IN
 *
 * A final block whose agents never registered is MISSING.  Too many of those stop the submissions:
 * breaker.h.  Requests and cancellations are in request.c, states in watch.c. */
#include <string.h>

#include "endpoint/blocks/private.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"

#define PASS_SPACING_US LOOP_MS(200) /* demand may change often */
#define SHUTDOWN_US LOOP_S(20)

/* ---- judging --------------------------------------------------------------------------------- */

/* Nothing but failures so far, or too many in a row: waiting longer would help nobody. */
static bool judge(struct blocks *b)
{
    int64_t least = provider_int(b->provider, "init_blocks");
    if (!b->o.error_handler || b->given_up)
        return b->given_up;
    bool none_worked = b->requested >= (size_t)(least > 1 ? least : 1) && b->bad == b->requested;
    if (!none_worked && !breaker_is_open(&b->breaker))
        return false;
    b->given_up = true;
    autofree char *text = blocks_what_went_wrong(b);
    log_error("no block can be started, nothing more is submitted: %s", text);
    b->o.handlers->bad_state(b->o.arg, text);
    return true;
}

/* ---- scaling --------------------------------------------------------------------------------- */

struct candidate {
    struct block *block;
    struct block_load load;
};

static uint64_t idle_time(const struct blocks *b, const struct candidate *c)
{
    if (c->load.agents == 0)
        return UINT64_MAX;
    return c->load.idle_since_us == 0 ? 0 : loop_now_us(b->loop) - c->load.idle_since_us;
}

static bool is_better(const struct blocks *b, const struct candidate *c,
                      const struct candidate *than)
{
    uint64_t mine = idle_time(b, c), theirs = idle_time(b, than);
    return mine != theirs ? mine > theirs : c->load.tasks < than->load.tasks;
}

/* The longest idle first, then the one with fewest tasks. */
static void scale_in(struct blocks *b, int64_t n, bool idle_only)
{
    uint64_t patience = (uint64_t)(b->o.max_idletime_s * 1e6);
    struct block **chosen = xcalloc((size_t)n + 1, sizeof(struct block *));
    size_t count = 0;
    for (; n > 0; n--) {
        struct candidate best = {.block = NULL};
        for (size_t i = 0; i < b->count; i++) {
            struct candidate c = {.block = b->all[i]};
            if (!block_is_live(c.block) || c.block->cancelled)
                continue;
            b->o.handlers->load(b->o.arg, c.block->id, &c.load);
            if (idle_only && (c.load.tasks > 0 || idle_time(b, &c) <= patience))
                continue;
            if (best.block == NULL || is_better(b, &c, &best))
                best = c;
        }
        if (best.block == NULL)
            break;
        best.block->cancelled = true; /* not chosen twice */
        chosen[count++] = best.block;
    }
    if (count > 0)
        blocks_cancel(b, chosen, count);
    free(chosen);
}

void blocks_count(const struct blocks *b, size_t *pending, size_t *running)
{
    *pending = *running = 0;
    for (size_t i = 0; i < b->count; i++) {
        const struct block *k = b->all[i];
        if (!block_is_live(k) || k->cancelled)
            continue;
        if (k->state == JOB_RUNNING)
            (*running)++;
        else
            (*pending)++;
    }
}

static void scale_out(struct blocks *b, int64_t n)
{
    static struct log_rate rate = LOG_RATE(1, 600);
    uint64_t now = loop_now_us(b->loop);
    for (; n > 0 && breaker_wait_us(&b->breaker, now) == 0; n--)
        block_request(b);
    if (n > 0 && breaker_is_capped(&b->breaker, now) && log_rate_ok(&rate))
        log_warning("%u jobs were requested within an hour, which is the limit "
                    "(max_jobs_per_hour): the next one waits %llu s",
                    b->breaker.per_hour,
                    (unsigned long long)(breaker_wait_us(&b->breaker, now) / 1000000));
}

static void scale(struct blocks *b)
{
    size_t pending, running;
    uint64_t now = loop_now_us(b->loop);
    blocks_count(b, &pending, &running);
    struct scaling s = b->scaling;
    s.tasks = (int64_t)b->outstanding;
    s.active = (int64_t)(pending + running);
    s.idle_long =
        b->idle_since_us != 0 && now - b->idle_since_us >= (uint64_t)(b->o.max_idletime_s * 1e6);
    struct scaling_step step = strategy_step(&s);
    if (step.act == SCALE_OUT)
        scale_out(b, step.blocks);
    else if (step.act == SCALE_IN || step.act == SCALE_IN_IDLE_ONLY)
        scale_in(b, step.blocks, step.act == SCALE_IN_IDLE_ONLY);
}

/* ---- passes ---------------------------------------------------------------------------------- */

static uint64_t until(uint64_t now, uint64_t then)
{
    return then > now ? then - now : 0;
}

/* When there is something to do again; nothing when there are neither tasks nor blocks.  Without
 * tasks only the next question and the end of the idle time are worth waking up for. */
static void plan_next(struct blocks *b)
{
    size_t pending, running;
    blocks_count(b, &pending, &running);
    if (loop_timer_is_set(b->timer) || (pending + running == 0 && b->outstanding == 0))
        return;
    uint64_t now = loop_now_us(b->loop), delay = (uint64_t)(b->o.strategy_period_s * 1e6);
    if (b->outstanding == 0 && b->idle_since_us != 0) {
        uint64_t end = until(now, b->idle_since_us + (uint64_t)(b->o.max_idletime_s * 1e6));
        uint64_t ask =
            b->polling ? b->provider->poll_us : until(now, b->polled_us + b->provider->poll_us);
        bool shrinks = b->scaling.scales && (int64_t)(pending + running) > b->scaling.min_blocks;
        if (!shrinks || end == 0) /* it has passed: the pass in the usual time */
            end = end == 0 && shrinks ? delay : ask;
        delay = ask < end ? ask : end;
    } else if (pending + running == 0) { /* tasks wait for a request that has to wait */
        uint64_t wait = breaker_wait_us(&b->breaker, now);
        delay = wait > 0 && wait < delay ? wait : delay;
    }
    loop_timer_set(b->timer, delay > LOOP_MS(20) ? delay : LOOP_MS(20), LOOP_MS(20));
}

static void pass_cb(void *arg)
{
    struct blocks *b = arg;
    b->passed_us = loop_now_us(b->loop);
    if (b->down != NULL)
        return;
    blocks_poll(b);
    if (!b->started || judge(b) || b->down != NULL)
        return;
    scale(b);
    plan_next(b);
}

void blocks_pass_soon(struct blocks *b)
{
    if (b->down == NULL)
        loop_timer_set(b->timer, 0, 0);
}

/* ---- from outside ---------------------------------------------------------------------------- */

int blocks_check(struct json_object *provider, struct err *err)
{
    return provider_check(provider, err);
}

int64_t blocks_provider_int(struct json_object *provider, const char *key)
{
    return provider_default_int(provider, key);
}

/* Names go into scripts and file names. */
char *blocks_safe_label(const char *label)
{
    char *out = xstrdup(label);
    for (char *p = out; *p != '\0'; p++)
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@+-", *p) ==
            NULL)
            *p = '_';
    return out;
}

static unsigned limit(unsigned given, const struct provider *p, const char *key)
{
    return given > 0 ? given : (unsigned)provider_int(p, key);
}

/* A site that allows many blocks may need as many jobs. */
unsigned blocks_per_hour(const struct blocks_opts *o, const struct provider *p)
{
    unsigned n = limit(o->jobs_per_hour, p, "max_jobs_per_hour");
    int64_t most = provider_int(p, "max_blocks"), first = provider_int(p, "init_blocks");
    if (n > 0)
        return n;
    int64_t many = 4 * (most > first ? most : first);
    return many > BREAKER_PER_HOUR ? (unsigned)many : BREAKER_PER_HOUR;
}

struct blocks *blocks_create(struct loop *l, const struct blocks_opts *o, struct err *err)
{
    struct provider *provider = provider_create(l, o->provider, o->dir, err);
    if (provider == NULL)
        return NULL;
    struct blocks *b = xcalloc(1, sizeof(*b));
    *b = (struct blocks){.loop = l,
                         .o = *o,
                         .provider = provider,
                         .file = jobs_file_open(o->dir, o->provider, provider->kind->far),
                         .label = blocks_safe_label(o->label),
                         .command = xstrdup(o->command)};
    b->o.dir = xstrdup(o->dir);
    b->scaling = (struct scaling){
        .scales = strcmp(o->strategy, "none") != 0,
        .gives_early = strcmp(o->strategy, "htex_auto_scale") == 0,
        .min_blocks = provider_int(provider, "min_blocks"),
        .max_blocks = provider_int(provider, "max_blocks"),
        .nodes_per_block = provider_int(provider, "nodes_per_block"),
        .slots_per_node = o->slots_per_node > 0 ? o->slots_per_node : 1,
        .parallelism = provider_number(provider, "parallelism"),
    };
    breaker_init(&b->breaker, limit(o->failures_max, provider, "max_failed_blocks"),
                 blocks_per_hour(o, provider));
    if (o->poll_s > 0)
        provider->poll_us = (uint64_t)(o->poll_s * 1e6);
    provider->label = b->label;
    provider->changed = blocks_changed_cb;
    provider->changed_arg = b;
    b->timer = loop_timer_create(l, pass_cb, b);
    return b;
}

void blocks_command(struct blocks *b, const char *command)
{
    free(b->command);
    b->command = xstrdup(command);
}

void blocks_start(struct blocks *b)
{
    b->started = true;
    if (b->outstanding == 0)
        b->idle_since_us = loop_now_us(b->loop);
    blocks_end_old_jobs(b);
    for (int64_t i = 0; i < provider_int(b->provider, "init_blocks"); i++)
        block_request(b);
    blocks_pass_soon(b);
}

void blocks_demand(struct blocks *b, size_t outstanding)
{
    bool more = outstanding > b->outstanding;
    if (outstanding == 0 && b->outstanding > 0)
        b->idle_since_us = loop_now_us(b->loop);
    else if (outstanding > 0)
        b->idle_since_us = 0;
    b->outstanding = outstanding;
    if (!b->started || (!more && outstanding > 0))
        return;
    uint64_t since = loop_now_us(b->loop) - b->passed_us;
    if (more && since >= PASS_SPACING_US)
        loop_timer_set(b->timer, 0, 0);
    else if (more)
        loop_timer_set(b->timer, PASS_SPACING_US - since, 0);
    else if (!loop_timer_is_set(b->timer))
        plan_next(b);
}

void blocks_agent_registered(struct blocks *b, const char *block_id)
{
    for (size_t i = 0; i < b->count; i++) {
        struct block *k = b->all[i];
        if (strcmp(k->id, block_id) != 0)
            continue;
        k->registered = true;
        breaker_worked(&b->breaker);
        if (k->state == JOB_PENDING && !k->submitting)
            block_state(k, JOB_RUNNING); /* sooner than the scheduler says so */
    }
}

struct json_object *blocks_describe(const struct blocks *b)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < b->count; i++) {
        const struct block *k = b->all[i];
        const struct provider *p = b->provider;
        struct json_object *o = json_object_new_object();
        autofree char *script = xasprintf("%s/%s%s", p->script_dir, k->job_name, p->kind->script);
        json_add_str(o, "id", k->id);
        json_add_str(o, "job_id", k->job_id);
        json_add_str(o, "state", k->submitting ? "SUBMITTING" : job_state_name(k->state));
        json_add_bool(o, "registered", k->registered);
        json_add_str(o, "job_name", k->job_name);
        json_add_str(o, "message", k->message);
        json_add_str(o, "note", k->note);
        json_add_str(o, "script", script);
        json_add_double(o, "since", k->since);
        json_object_array_add(list, o);
    }
    return list;
}

static void deadline_cb(void *arg)
{
    struct blocks *b = arg;
    loop_f *down = b->down;
    b->down = NULL;
    if (down == NULL)
        return;
    log_warning("some batch jobs did not end in time; their agents leave by themselves, and the "
                "next start of this endpoint cancels them");
    down(b->down_arg);
}

/* Done when nothing is being submitted and every cancellation was accepted. */
void blocks_finish_shutdown(struct blocks *b)
{
    if (b->down == NULL || b->leaves != NULL)
        return;
    for (size_t i = 0; i < b->count; i++)
        if (block_is_live(b->all[i]))
            return;
    loop_f *down = b->down;
    b->down = NULL;
    loop_timer_cancel(b->deadline);
    loop_defer(b->loop, down, b->down_arg);
}

void blocks_shutdown(struct blocks *b, loop_f *done, void *arg)
{
    struct block **live = xcalloc(b->count + 1, sizeof(struct block *));
    size_t n = 0;
    loop_timer_cancel(b->timer);
    if (b->deadline == NULL)
        b->deadline = loop_timer_create(b->loop, deadline_cb, b);
    loop_timer_set(b->deadline, SHUTDOWN_US, 0);
    for (size_t i = 0; i < b->count; i++)
        if (block_is_live(b->all[i]) && !b->all[i]->cancelled)
            live[n++] = b->all[i];
    if (n > 0)
        blocks_cancel(b, live, n);
    free(live);
    b->given_up = true; /* nothing is requested any more */
    b->down = done;
    b->down_arg = arg;
    blocks_look_now(b);
    blocks_finish_shutdown(b);
}

void blocks_destroy(struct blocks *b)
{
    if (b == NULL)
        return;
    loop_timer_destroy(b->timer);
    loop_timer_destroy(b->deadline);
    provider_destroy(b->provider);
    provider_destroy(b->old_provider);
    blocks_forget_leaves(b);
    jobs_file_close(b->file);
    breaker_free(&b->breaker);
    for (size_t i = 0; i < b->count; i++)
        block_free(b->all[i]);
    free(b->all);
    free((char *)b->o.dir);
    free(b->label);
    free(b->command);
    free(b);
}
