/* The blocks of a user endpoint: a table, a pass over it that asks, judges and scales, and a timer
 * for the next pass.  Nothing wakes up when there are neither tasks nor blocks.
 *
 *   SUBMITTING ──id──▶ PENDING ──▶ RUNNING ──▶ COMPLETED, FAILED, ... (final)
 *        └──refused──▶ FAILED                └─cancelled by us──▶ SCALED_IN
 *
 * A final block whose agents never registered is MISSING: its worker_init, Python or network is
 * broken.  Too many of those stop the submissions (judge()). */
#include "endpoint/blocks/blocks.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "endpoint/blocks/strategy.h"
#include "endpoint/launchers/launcher.h"
#include "endpoint/providers/provider.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"

#define BLOCKS_KEPT 1000             /* ended ones that are remembered */
#define FAILURES_IN_A_ROW 5          /* then nothing is tried any more */
#define PASS_SPACING_US LOOP_MS(200) /* demand may change often */
#define RETRY_FIRST_US LOOP_S(5)
#define RETRY_LAST_US LOOP_S(300)
#define SHUTDOWN_US LOOP_S(20)
#define TAIL 1024 /* bytes shown of the begin and of the end of an output */

static const char never_came[] =
    "Job is marked as MISSING since the workers failed to register to the executor. Check the "
    "stdout/stderr logs in the submit_scripts directory for more debug information";

struct block {
    struct blocks *owner;
    char id[12];
    char *job_id, *job_name, *message;
    enum job_state state;
    bool submitting, registered, cancelled, judged;
    int exit_code;
    char *out, *err;
};

struct blocks {
    struct loop *loop;
    struct blocks_opts o;
    struct provider *provider;
    char *label, *command;
    struct scaling scaling;
    struct block **all;
    size_t count;
    unsigned next_id;
    size_t outstanding;
    uint64_t idle_since_us; /* 0 = there are tasks */
    uint64_t polled_us;
    uint64_t passed_us;
    uint64_t not_before_us; /* back-off after failed submissions */
    unsigned failures;      /* in a row */
    bool started, polling, given_up;
    struct loop_timer *timer, *deadline;
    loop_f *down;
    void *down_arg;
};

static void pass(struct blocks *b);

/* ---- one block ------------------------------------------------------------------------------- */

static bool is_live(const struct block *k)
{
    return k->submitting || !job_state_is_final(k->state);
}

static void block_free(struct block *k)
{
    free(k->job_id);
    free(k->job_name);
    free(k->message);
    free(k->out);
    free(k->err);
    free(k);
}

static void finish_shutdown(struct blocks *b)
{
    for (size_t i = 0; i < b->count && b->down != NULL; i++)
        if (is_live(b->all[i]))
            return;
    if (b->down == NULL)
        return;
    loop_f *down = b->down;
    b->down = NULL;
    loop_timer_cancel(b->deadline);
    loop_defer(b->loop, down, b->down_arg);
}

/* The only place where a block's state changes. */
static void block_state(struct block *k, enum job_state state)
{
    struct blocks *b = k->owner;
    if (k->cancelled && job_state_is_final(state))
        state = JOB_SCALED_IN;
    if (job_state_is_final(state) && state != JOB_SCALED_IN && !k->registered) {
        if (state != JOB_FAILED || k->job_id != NULL)
            state = JOB_MISSING;
        if (k->message == NULL)
            k->message = xstrdup(never_came);
    }
    if (state == k->state)
        return;
    log_info("block=%s job=%s event=%s was=%s", k->id, k->job_id != NULL ? k->job_id : "-",
             job_state_name(state), job_state_name(k->state));
    k->state = state;
    if (!job_state_is_final(state))
        return;
    if (state == JOB_MISSING || state == JOB_FAILED)
        b->failures++;
    b->o.handlers->ended(b->o.arg, k->id);
    if (b->down != NULL)
        finish_shutdown(b);
}

static void submitted_cb(void *arg, const char *job_id, const char *why)
{
    struct block *k = arg;
    struct blocks *b = k->owner;
    k->submitting = false;
    if (job_id == NULL) {
        uint64_t pause = RETRY_FIRST_US << (b->failures < 6 ? b->failures : 6);
        k->message = xasprintf("Failed to start block %s: %s", k->id, why);
        b->not_before_us = loop_now_us(b->loop) + (pause < RETRY_LAST_US ? pause : RETRY_LAST_US);
        block_state(k, JOB_FAILED);
    } else {
        k->job_id = xstrdup(job_id);
        if (k->cancelled) /* we changed our mind while it was being submitted */
            b->provider->kind->cancel(b->provider, (const char *const *)&k->job_id, 1);
        b->polled_us = 0;
    }
    loop_timer_set(b->timer, 0, 0);
}

/* {block_id} in the command. */
static void node_command(struct buf *out, const char *text, const char *id)
{
    const char *at;
    while ((at = strstr(text, "{block_id}")) != NULL) {
        buf_add(out, text, (size_t)(at - text));
        buf_str(out, id);
        text = at + 10;
    }
    buf_str(out, text);
}

static void forget_oldest(struct blocks *b)
{
    for (size_t i = 0; b->count > BLOCKS_KEPT && i < b->count; i++)
        if (!is_live(b->all[i])) {
            block_free(b->all[i]);
            memmove(&b->all[i], &b->all[i + 1], (b->count - i - 1) * sizeof(*b->all));
            b->count--;
            return;
        }
}

static void block_start(struct blocks *b)
{
    struct block *k = xcalloc(1, sizeof(*k));
    autobuf struct buf command = BUF_INIT, script = BUF_INIT;
    *k = (struct block){.owner = b, .state = JOB_PENDING, .submitting = true, .exit_code = -1};
    snprintf(k->id, sizeof(k->id), "%u", b->next_id++);
    k->job_name = xasprintf("parsl.%s.block-%s.%.6f", b->label, k->id, clock_unix());
    b->all = xrealloc(b->all, (b->count + 1) * sizeof(*b->all));
    b->all[b->count++] = k;
    forget_oldest(b);
    node_command(&command, b->command, k->id);
    launcher_write(&script, json_at(b->provider->options, "launcher"), b->provider->kind->launcher,
                   &(struct launch){.command = command.data,
                                    .tasks_per_node = 1,
                                    .nodes = (int)b->scaling.nodes_per_block,
                                    .script_dir = b->provider->script_dir});
    log_info("block=%s event=requested job_name=%s", k->id, k->job_name);
    b->provider->kind->submit(b->provider, k->job_name, script.data, submitted_cb, k);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static struct block *by_job(struct blocks *b, const char *job_id)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->all[i]->job_id != NULL && strcmp(b->all[i]->job_id, job_id) == 0)
            return b->all[i];
    return NULL;
}

static void polled_cb(void *arg, const struct job *jobs, size_t n)
{
    struct blocks *b = arg;
    b->polling = false;
    for (size_t i = 0; i < n; i++) {
        struct block *k = by_job(b, jobs[i].id);
        if (k == NULL || job_state_is_final(k->state) || jobs[i].state == JOB_UNKNOWN)
            continue;
        k->exit_code = jobs[i].exit_code;
        if (jobs[i].out != NULL && k->out == NULL)
            k->out = xstrdup(jobs[i].out);
        if (jobs[i].err != NULL && k->err == NULL)
            k->err = xstrdup(jobs[i].err);
        block_state(k, jobs[i].state);
    }
    loop_timer_set(b->timer, 0, 0);
}

static void poll_jobs(struct blocks *b)
{
    const char *ids[256];
    size_t n = 0;
    uint64_t now = loop_now_us(b->loop);
    if (b->polling || (b->polled_us != 0 && now - b->polled_us < LOOP_S(b->provider->kind->poll_s)))
        return;
    for (size_t i = 0; i < b->count && n < 256; i++)
        if (is_live(b->all[i]) && b->all[i]->job_id != NULL)
            ids[n++] = b->all[i]->job_id;
    if (n == 0)
        return;
    b->polled_us = now;
    b->polling = true;
    b->provider->kind->poll(b->provider, ids, n, polled_cb, b);
}

/* Local processes tell by themselves. */
static void changed_cb(void *arg)
{
    struct blocks *b = arg;
    b->polled_us = 0;
    poll_jobs(b);
}

/* ---- judging --------------------------------------------------------------------------------- */

static void add_output(struct buf *out, const char *name, const char *path)
{
    autobuf struct buf text = BUF_INIT;
    if (path == NULL || fs_read(path, 64 << 20, &text, NULL) != 0 || text.len == 0)
        return;
    if (text.len <= 2 * TAIL)
        buf_fmt(out, "\t%s: %s\n", name, text.data);
    else
        buf_fmt(out, "\t%s: %.*s\n...\n%s\n", name, TAIL, text.data, text.data + text.len - TAIL);
}

static char *what_went_wrong(const struct blocks *b)
{
    struct buf out = BUF_INIT;
    unsigned number = 0;
    buf_fmt(&out, "Executor %s failed due to: ", b->label);
    for (size_t i = 0; i < b->count && number < 10; i++) {
        const struct block *k = b->all[i];
        if (k->state != JOB_FAILED && k->state != JOB_MISSING)
            continue;
        buf_fmt(&out, "Error %u:\n", ++number);
        buf_fmt(&out, "\t%s\n", k->message != NULL ? k->message : never_came);
        if (k->exit_code >= 0)
            buf_fmt(&out, "\tEXIT CODE: %d\n", k->exit_code);
        add_output(&out, "STDOUT", k->out);
        add_output(&out, "STDERR", k->err);
    }
    return buf_take(&out);
}

/* Nothing but failures so far, or five in a row: waiting longer would help nobody. */
static bool judge(struct blocks *b)
{
    size_t ended = 0, bad = 0;
    int64_t least = provider_int(b->provider, "init_blocks");
    if (!b->o.error_handler || b->given_up || b->down != NULL)
        return b->given_up;
    for (size_t i = 0; i < b->count; i++) {
        ended++;
        bad += b->all[i]->state == JOB_FAILED || b->all[i]->state == JOB_MISSING;
    }
    bool none_worked = ended >= (size_t)(least > 1 ? least : 1) && bad == ended;
    if (!none_worked && b->failures < FAILURES_IN_A_ROW)
        return false;
    b->given_up = true;
    autofree char *text = what_went_wrong(b);
    log_error("no block can be started, giving up: %s", text);
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

static void cancel(struct blocks *b, struct block *k)
{
    k->cancelled = true;
    b->o.handlers->hold(b->o.arg, k->id);
    if (k->submitting)
        return; /* submitted_cb() does the rest */
    b->provider->kind->cancel(b->provider, (const char *const *)&k->job_id, 1);
    block_state(k, JOB_SCALED_IN);
}

/* The longest idle first, then the one with fewest tasks. */
static void scale_in(struct blocks *b, int64_t n, bool idle_only)
{
    uint64_t patience = (uint64_t)(b->o.max_idletime_s * 1e6);
    for (; n > 0; n--) {
        struct candidate best = {.block = NULL};
        for (size_t i = 0; i < b->count; i++) {
            struct candidate c = {.block = b->all[i]};
            if (!is_live(c.block) || c.block->cancelled)
                continue;
            b->o.handlers->load(b->o.arg, c.block->id, &c.load);
            if (idle_only && (c.load.tasks > 0 || idle_time(b, &c) <= patience))
                continue;
            if (best.block == NULL || idle_time(b, &c) > idle_time(b, &best) ||
                (idle_time(b, &c) == idle_time(b, &best) && c.load.tasks < best.load.tasks))
                best = c;
        }
        if (best.block == NULL)
            return;
        cancel(b, best.block);
    }
}

void blocks_count(const struct blocks *b, size_t *pending, size_t *running)
{
    *pending = *running = 0;
    for (size_t i = 0; i < b->count; i++) {
        const struct block *k = b->all[i];
        if (!is_live(k) || k->cancelled)
            continue;
        if (k->state == JOB_RUNNING)
            (*running)++;
        else
            (*pending)++;
    }
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
    if (step.act == SCALE_OUT && now >= b->not_before_us)
        for (int64_t i = 0; i < step.blocks; i++)
            block_start(b);
    else if (step.act == SCALE_IN || step.act == SCALE_IN_IDLE_ONLY)
        scale_in(b, step.blocks, step.act == SCALE_IN_IDLE_ONLY);
}

/* When there is something to do again; nothing when there are neither tasks nor blocks. */
static void plan_next(struct blocks *b)
{
    size_t pending, running;
    blocks_count(b, &pending, &running);
    if (loop_timer_is_set(b->timer) || (pending + running == 0 && b->outstanding == 0))
        return;
    uint64_t delay = (uint64_t)(b->o.strategy_period_s * 1e6), now = loop_now_us(b->loop);
    uint64_t idle_end = b->idle_since_us + (uint64_t)(b->o.max_idletime_s * 1e6);
    if (b->outstanding == 0 && b->idle_since_us != 0 && idle_end > now && idle_end - now < delay)
        delay = idle_end - now;
    loop_timer_set(b->timer, delay, LOOP_MS(20));
}

static void pass(struct blocks *b)
{
    b->passed_us = loop_now_us(b->loop);
    poll_jobs(b);
    if (b->down != NULL || !b->started || judge(b))
        return;
    scale(b);
    plan_next(b);
}

static void timer_cb(void *arg)
{
    pass(arg);
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
static char *safe_label(const char *label)
{
    char *out = xstrdup(label);
    for (char *p = out; *p != '\0'; p++)
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@+-", *p) ==
            NULL)
            *p = '_';
    return out;
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
                         .label = safe_label(o->label),
                         .command = xstrdup(o->command)};
    b->scaling = (struct scaling){
        .scales = strcmp(o->strategy, "none") != 0,
        .gives_early = strcmp(o->strategy, "htex_auto_scale") == 0,
        .min_blocks = provider_int(provider, "min_blocks"),
        .max_blocks = provider_int(provider, "max_blocks"),
        .nodes_per_block = provider_int(provider, "nodes_per_block"),
        .slots_per_node = o->slots_per_node > 0 ? o->slots_per_node : 1,
        .parallelism = provider_number(provider, "parallelism"),
    };
    provider->changed = changed_cb;
    provider->changed_arg = b;
    b->timer = loop_timer_create(l, timer_cb, b);
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
    b->idle_since_us = loop_now_us(b->loop);
    for (int64_t i = 0; i < provider_int(b->provider, "init_blocks"); i++)
        block_start(b);
    loop_timer_set(b->timer, 0, 0);
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
        b->failures = 0;
        if (k->state == JOB_PENDING && !k->submitting)
            block_state(k, JOB_RUNNING); /* sooner than the scheduler says so */
    }
}

struct json_object *blocks_describe(const struct blocks *b)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < b->count; i++) {
        const struct block *k = b->all[i];
        struct json_object *o = json_object_new_object();
        json_add_str(o, "id", k->id);
        json_add_str(o, "job_id", k->job_id);
        json_add_str(o, "state", k->submitting ? "SUBMITTING" : job_state_name(k->state));
        json_add_bool(o, "registered", k->registered);
        json_add_str(o, "message", k->message);
        json_object_array_add(list, o);
    }
    return list;
}

static void deadline_cb(void *arg)
{
    struct blocks *b = arg;
    loop_f *down = b->down;
    b->down = NULL;
    log_warning("some batch jobs did not end in time; their agents leave by themselves");
    down(b->down_arg);
}

void blocks_shutdown(struct blocks *b, loop_f *done, void *arg)
{
    b->down = done;
    b->down_arg = arg;
    loop_timer_cancel(b->timer);
    b->deadline = loop_timer_create(b->loop, deadline_cb, b);
    loop_timer_set(b->deadline, SHUTDOWN_US, 0);
    for (size_t i = 0; i < b->count; i++)
        if (is_live(b->all[i]) && !b->all[i]->cancelled)
            cancel(b, b->all[i]);
    finish_shutdown(b);
}

void blocks_destroy(struct blocks *b)
{
    if (b == NULL)
        return;
    loop_timer_destroy(b->timer);
    loop_timer_destroy(b->deadline);
    provider_destroy(b->provider);
    for (size_t i = 0; i < b->count; i++)
        block_free(b->all[i]);
    free(b->all);
    free(b->label);
    free(b->command);
    free(b);
}
