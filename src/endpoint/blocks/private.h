/* Inside of blocks: the table and who does what with it. */
#ifndef SALLYPORT_ENDPOINT_BLOCKS_PRIVATE_H
#define SALLYPORT_ENDPOINT_BLOCKS_PRIVATE_H

#include "endpoint/blocks/blocks.h"
#include "endpoint/blocks/breaker.h"
#include "endpoint/blocks/jobs_file.h"
#include "endpoint/blocks/strategy.h"
#include "endpoint/providers/provider.h"

struct block {
    struct blocks *owner;
    char id[12];
    char *job_id, *job_name;
    char *message; /* why it failed, the original's words */
    char *note;    /* what the scheduler says of it */
    enum job_state state;
    double since; /* Unix time of the state */
    bool submitting, registered, cancelled;
    bool unanswered; /* the scheduler did not say whether it took the job */
    int exit_code;
};

struct leave;

struct blocks {
    struct loop *loop;
    struct blocks_opts o;
    struct provider *provider;
    struct provider *old_provider; /* of the jobs that an earlier process left; usually NULL */
    struct jobs_file *file;
    char *label, *command;
    struct scaling scaling;
    struct breaker breaker;
    struct block **all;
    size_t count;
    unsigned next_id;
    size_t requested, bad; /* blocks ever; those that ended before any agent came */
    size_t outstanding;
    uint64_t idle_since_us; /* 0 = there are tasks */
    uint64_t polled_us;     /* 0 = at the next pass */
    uint64_t passed_us;
    struct leave *leaves; /* cancellations that the scheduler has not accepted yet */
    bool started, polling, given_up;
    struct loop_timer *timer, *deadline;
    loop_f *down;
    void *down_arg;
};

static inline bool block_is_live(const struct block *k)
{
    return k->submitting || !job_state_is_final(k->state);
}

/* watch.c */
void block_state(struct block *k, enum job_state state);
void blocks_poll(struct blocks *b);
void blocks_changed_cb(void *arg);

/* request.c */
void block_request(struct blocks *b);
void block_free(struct block *k);
/* The caller's. */
char *block_job_name(const struct provider_kind *kind, const char *label, const char *id);
/* Appends what runs `command` ({block_id} = id) on all nodes of a block. */
void block_launch(const struct provider *p, const char *command, const char *id, struct buf *out);
/* Cancels these, on hold first; they are SCALED_IN at once. */
void blocks_cancel(struct blocks *b, struct block **list, size_t n);
void blocks_end_old_jobs(struct blocks *b);
/* Waits for later looks are over: shutting down. */
void blocks_look_now(struct blocks *b);
void blocks_forget_leaves(struct blocks *b);

/* report.c: the text of BadStateException; the caller's. */
char *blocks_what_went_wrong(const struct blocks *b);

/* blocks.c */
void blocks_pass_soon(struct blocks *b);
void blocks_finish_shutdown(struct blocks *b);
char *blocks_safe_label(const char *label); /* the caller's */
unsigned blocks_per_hour(const struct blocks_opts *o, const struct provider *p);

#endif
