/* States of blocks: what the scheduler says, and what follows from it. */
#include <string.h>

#include "endpoint/blocks/private.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

static const char never_came[] =
    "Job is marked as MISSING since the workers failed to register to the executor. Check the "
    "stdout/stderr logs in the submit_scripts directory for more debug information";

/* A block that ended before any of its agents came is MISSING, whatever the scheduler calls it: its
 * worker_init, Python or network is broken. */
static enum job_state judged(struct block *k, enum job_state state)
{
    if (!job_state_is_final(state))
        return state;
    if (k->cancelled)
        return JOB_SCALED_IN;
    if (k->registered || state == JOB_SCALED_IN || k->job_id == NULL)
        return state;
    if (k->message == NULL)
        k->message = xstrdup(never_came);
    return JOB_MISSING;
}

/* The only place where a block's state changes. */
void block_state(struct block *k, enum job_state state)
{
    struct blocks *b = k->owner;
    state = judged(k, state);
    if (state == k->state || job_state_is_final(k->state)) /* what is over stays over */
        return;
    log_info("block=%s job=%s event=%s was=%s%s%s", k->id, k->job_id != NULL ? k->job_id : "-",
             job_state_name(state), job_state_name(k->state), k->note != NULL ? " scheduler=" : "",
             k->note != NULL ? k->note : "");
    k->state = state;
    k->since = clock_unix();
    if (!job_state_is_final(state))
        return;
    /* A block that served and then broke (its agent was killed) shows that blocks can serve. */
    if ((state == JOB_MISSING || state == JOB_FAILED) && !k->registered) {
        /* A scheduler that is out of reach says nothing of the configuration. */
        if (k->unanswered)
            b->requested--;
        else
            b->bad++;
        breaker_failed(&b->breaker, loop_now_us(b->loop));
    }
    if (state != JOB_SCALED_IN && k->job_id != NULL) /* others leave it with a cancellation */
        jobs_file_remove(b->file, k->job_name);
    b->o.handlers->ended(b->o.arg, k->id);
    blocks_finish_shutdown(b);
}

static struct block *by_job(struct blocks *b, const char *job_id)
{
    for (size_t i = b->count; i-- > 0;) /* the newest: process numbers come again */
        if (b->all[i]->job_id != NULL && strcmp(b->all[i]->job_id, job_id) == 0)
            return b->all[i];
    return NULL;
}

static void take_note(struct block *k, const char *note)
{
    if (note == NULL || (k->note != NULL && strcmp(k->note, note) == 0))
        return;
    free(k->note);
    k->note = xstrdup(note);
    log_info("block=%s job=%s scheduler=%s", k->id, k->job_id, note);
}

static void polled_cb(void *arg, const struct job *jobs, size_t n)
{
    struct blocks *b = arg;
    b->polling = false;
    for (size_t i = 0; i < n; i++) {
        struct block *k = by_job(b, jobs[i].id);
        if (k == NULL || !block_is_live(k))
            continue;
        if (jobs[i].exit_code >= 0)
            k->exit_code = jobs[i].exit_code;
        take_note(k, jobs[i].note);
        if (jobs[i].state == JOB_UNKNOWN) /* a word that we don't know is no news */
            continue;
        if (jobs[i].state == JOB_CANCELLED && jobs[i].note != NULL && k->message == NULL)
            k->message = xstrdup(jobs[i].note); /* the original's "Killed" */
        block_state(k, jobs[i].state);
    }
    blocks_pass_soon(b);
}

void blocks_poll(struct blocks *b)
{
    uint64_t now = loop_now_us(b->loop);
    if (b->polling || (b->polled_us != 0 && now - b->polled_us < b->provider->poll_us))
        return;
    const char **ids = xcalloc(b->count + 1, sizeof(*ids));
    size_t n = 0;
    for (size_t i = 0; i < b->count; i++)
        if (!b->all[i]->submitting && block_is_live(b->all[i]) && b->all[i]->job_id != NULL)
            ids[n++] = b->all[i]->job_id;
    b->polled_us = n > 0 ? now : 0;
    if (n > 0) {
        b->polling = true;
        b->provider->kind->work->poll(b->provider, ids, n, polled_cb, b);
    }
    free(ids);
}

/* Local processes tell by themselves. */
void blocks_changed_cb(void *arg)
{
    struct blocks *b = arg;
    b->polled_us = 0;
    blocks_poll(b);
}
