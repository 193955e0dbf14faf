/* Blocks begin and end: submissions, cancellations, and the jobs that an earlier process of this
 * endpoint left behind. */
#include <stdio.h>
#include <string.h>

#include "endpoint/blocks/private.h"
#include "endpoint/launchers/launcher.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define BLOCKS_KEPT 1000 /* ended ones that are remembered */

/* Pauses before the next look for a job that a scheduler may have taken without saying so: a
 * controller that was out of reach works through what has piled up, in any order. */
static const uint64_t look_again_us[] = {LOOP_S(5), LOOP_S(15), LOOP_S(40), LOOP_S(240)};
#define LOOKS (sizeof(look_again_us) / sizeof(look_again_us[0]))

/* Jobs whose cancellation was asked for; they stay in the file until it was accepted. */
struct leave {
    struct leave *next;
    struct blocks *owner;
    char **names;
    size_t n;
    bool old;      /* all those of the earlier process */
    bool doubtful; /* found by name, if they exist: one look that finds nothing proves nothing */
    unsigned looks;
    struct loop_timer *again;
};

static struct leave *leave_create(struct blocks *b, size_t n)
{
    struct leave *l = xcalloc(1, sizeof(*l));
    *l = (struct leave){.next = b->leaves, .owner = b, .names = xcalloc(n + 1, sizeof(char *))};
    b->leaves = l;
    return l;
}

static void leave_free(struct leave *l)
{
    loop_timer_destroy(l->again);
    for (size_t i = 0; i < l->n; i++)
        free(l->names[i]);
    free(l->names);
    free(l);
}

void blocks_forget_leaves(struct blocks *b)
{
    while (b->leaves != NULL) {
        struct leave *l = b->leaves;
        b->leaves = l->next;
        leave_free(l);
    }
}

static void gone_cb(void *arg, bool gone)
{
    struct leave *l = arg;
    struct blocks *b = l->owner;
    if (gone && l->doubtful && l->looks < LOOKS) {
        if (b->down == NULL) {
            loop_timer_set(l->again, look_again_us[l->looks++], 0);
            return;
        }
        gone = false; /* the names stay in the file: the next process looks again */
    }
    for (struct leave **at = &b->leaves; *at != NULL; at = &(*at)->next)
        if (*at == l) {
            *at = l->next;
            break;
        }
    for (size_t i = 0; i < l->n && gone; i++)
        jobs_file_remove(b->file, l->names[i]);
    if (l->old && gone) {
        log_info("event=old_jobs_cancelled");
        jobs_file_forget_old(b->file);
    }
    leave_free(l);
    blocks_finish_shutdown(b);
}

/* Whatever has these names goes. */
static void look_cb(void *arg)
{
    struct leave *l = arg;
    struct blocks *b = l->owner;
    struct provider *p = l->old ? b->old_provider : b->provider;
    struct json_object *found = l->old ? jobs_file_old_jobs(b->file) : NULL;
    size_t n = l->old ? (size_t)json_object_object_length(found) : l->n, i = 0;
    struct old_job *jobs = xcalloc(n + 1, sizeof(struct old_job));
    for (; !l->old && i < n; i++) {
        log_info("job=%s event=looked_for", l->names[i]);
        jobs[i] = (struct old_job){.name = l->names[i], .id = ""};
    }
    if (l->old) {
        json_object_object_foreach(found, name, id) jobs[i++] =
            (struct old_job){.name = name, .id = json_object_get_string(id)};
    }
    p->kind->work->cancel_old(p, jobs, n, gone_cb, l);
    free(jobs);
}

static struct leave *leave_to_look_for(struct blocks *b, size_t n, bool doubtful)
{
    struct leave *l = leave_create(b, n);
    l->doubtful = doubtful;
    l->again = loop_timer_create(b->loop, look_cb, l);
    return l;
}

void blocks_look_now(struct blocks *b)
{
    for (struct leave *l = b->leaves; l != NULL; l = l->next)
        if (l->again != NULL && loop_timer_is_set(l->again))
            loop_timer_set(l->again, 0, 0);
}

void blocks_cancel(struct blocks *b, struct block **list, size_t n)
{
    const char **ids = xcalloc(n + 1, sizeof(*ids));
    struct leave *l = leave_create(b, n);
    for (size_t i = 0; i < n; i++) {
        struct block *k = list[i];
        k->cancelled = true;
        b->o.handlers->hold(b->o.arg, k->id);
        if (k->submitting) /* submitted_cb() does the rest */
            continue;
        ids[l->n] = k->job_id;
        l->names[l->n++] = xstrdup(k->job_name);
    }
    if (l->n > 0)
        b->provider->kind->work->cancel(b->provider, ids, l->n, gone_cb, l);
    else
        gone_cb(l, false);
    free(ids);
    for (size_t i = 0; i < n; i++)
        if (!list[i]->submitting)
            block_state(list[i], JOB_SCALED_IN);
}

/* The scheduler gave no id, but it may have taken the job, or take it later. */
static void cancel_by_name(struct blocks *b, const struct block *k)
{
    struct leave *l = leave_to_look_for(b, 1, true);
    l->names[l->n++] = xstrdup(k->job_name);
    look_cb(l);
}

static void submitted_cb(void *arg, const struct submitted *s)
{
    struct block *k = arg;
    struct blocks *b = k->owner;
    uint64_t now = loop_now_us(b->loop);
    k->submitting = false;
    if (s->job_id == NULL) {
        k->message = xasprintf("Failed to start block %s: %s", k->id, s->why);
        k->unanswered = s->maybe;
        if (s->maybe)
            cancel_by_name(b, k);
        else
            jobs_file_remove(b->file, k->job_name);
        block_state(k, JOB_FAILED);
        blocks_pass_soon(b);
        return;
    }
    k->job_id = xstrdup(s->job_id);
    jobs_file_add(b->file, k->job_name, k->job_id);
    if (b->polled_us == 0)
        b->polled_us = now;
    if (k->cancelled) /* we changed our mind while it was being submitted */
        blocks_cancel(b, &k, 1);
    else if (k->registered)
        block_state(k, JOB_RUNNING);
    blocks_pass_soon(b);
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

void block_free(struct block *k)
{
    free(k->job_id);
    free(k->job_name);
    free(k->message);
    free(k->note);
    free(k);
}

static void forget_oldest(struct blocks *b)
{
    for (size_t i = 0; b->count > BLOCKS_KEPT && i < b->count; i++)
        if (!block_is_live(b->all[i])) {
            block_free(b->all[i]);
            memmove(&b->all[i], &b->all[i + 1], (b->count - i - 1) * sizeof(struct block *));
            b->count--;
            return;
        }
}

void block_launch(const struct provider *p, const char *text, const char *id, struct buf *out)
{
    autobuf struct buf command = BUF_INIT;
    node_command(&command, text, id);
    if (p->kind->launcher == NULL) {
        buf_str(out, command.data);
        return;
    }
    launcher_write(out, json_object_object_get(p->options, "launcher"), p->kind->launcher,
                   &(struct launch){.command = command.data,
                                    .tasks_per_node = 1,
                                    .nodes = (int)provider_int(p, "nodes_per_block"),
                                    .script_dir = p->script_dir});
}

char *block_job_name(const struct provider_kind *kind, const char *label, const char *id)
{
    return xasprintf("%sparsl.%s.block-%s.%.6f", kind->name_prefix != NULL ? kind->name_prefix : "",
                     label, id, clock_unix());
}

void block_request(struct blocks *b)
{
    struct block *k = xcalloc(1, sizeof(*k));
    const struct provider_kind *kind = b->provider->kind;
    autobuf struct buf script = BUF_INIT;
    *k = (struct block){.owner = b,
                        .state = JOB_PENDING,
                        .since = clock_unix(),
                        .submitting = true,
                        .exit_code = -1};
    snprintf(k->id, sizeof(k->id), "%u", b->next_id++);
    k->job_name = block_job_name(kind, b->label, k->id);
    b->all = xrealloc(b->all, (b->count + 1) * sizeof(struct block *));
    b->all[b->count++] = k;
    b->requested++;
    forget_oldest(b);
    breaker_requested(&b->breaker, loop_now_us(b->loop));
    block_launch(b->provider, b->command, k->id, &script);
    log_info("block=%s event=requested job_name=%s", k->id, k->job_name);
    jobs_file_add(b->file, k->job_name, "");
    kind->work->submit(b->provider, k->job_name, script.data, submitted_cb, k);
}

void blocks_end_old_jobs(struct blocks *b)
{
    struct err err = ERR_INIT;
    struct json_object *options = jobs_file_old_provider(b->file);
    bool doubtful = false;
    if (options == NULL)
        return;
    json_object_object_foreach(jobs_file_old_jobs(b->file), name, id)
    {
        log_warning("job=%s id=%s was left behind by an earlier process of this endpoint: it is "
                    "being cancelled",
                    name, json_object_get_string(id));
        doubtful = doubtful || *json_object_get_string(id) == '\0';
    }
    b->old_provider = provider_create(b->loop, options, b->o.dir, &err);
    if (b->old_provider == NULL) {
        log_error("they cannot be cancelled, cancel them by hand: %s", err.text);
        return;
    }
    struct leave *l = leave_to_look_for(b, 0, doubtful);
    l->old = true;
    look_cb(l);
}
