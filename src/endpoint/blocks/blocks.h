/* Blocks: batch jobs of nodes, requested when tasks wait and given back when they don't
 * (spec: engines.md section 5).
 *
 * The user endpoint tells how many tasks are outstanding and when agents register; blocks asks it
 * what a block holds, and tells it when nothing can be started any more. */
#ifndef SALLYPORT_ENDPOINT_BLOCKS_H
#define SALLYPORT_ENDPOINT_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"

struct blocks;

struct block_load {
    size_t agents;
    size_t tasks;           /* that its agents hold */
    uint64_t idle_since_us; /* loop time since when its least idle agent holds nothing; 0 = busy */
};

struct blocks_handlers {
    void (*load)(void *arg, const char *block_id, struct block_load *out);
    /* The block will be cancelled: send nothing more to its agents. */
    void (*hold)(void *arg, const char *block_id);
    /* The block has ended or was cancelled: its agents are gone or going. */
    void (*ended)(void *arg, const char *block_id);
    /* Nothing can be started (5.4): fail what waits with this text and leave. */
    void (*bad_state)(void *arg, const char *text);
};

struct blocks_opts {
    struct json_object *provider; /* typed mapping with its launcher */
    const char *label;            /* executor label: names jobs and scripts */
    const char *dir;              /* endpoint directory: submit_scripts/ lies below */
    const char *strategy;         /* "simple", "htex_auto_scale", "none" */
    double max_idletime_s, strategy_period_s;
    bool error_handler;
    int64_t slots_per_node; /* workers of one node, at least 1 */
    /* What one node runs, a shell command; {block_id} is replaced. */
    const char *command;
    const struct blocks_handlers *handlers;
    void *arg;
    /* 0 = the provider's option max_failed_blocks or max_jobs_per_hour, else breaker.h's. */
    unsigned failures_max, jobs_per_hour;
    double poll_s; /* interval of status queries; 0 = the provider's */
};

/* Checks the provider's and launcher's keys: -1 with a sentence that names the key. */
int blocks_check(struct json_object *provider, struct err *err);
/* A provider's integer option with that provider's default ("nodes_per_block", "max_blocks"). */
int64_t blocks_provider_int(struct json_object *provider, const char *key);

/* What the first request would hand to the batch system, and what bounds the later ones; nothing is
 * made, run or asked:
 *   {provider, launcher, path, script, second_path, second, command,
 *    limits: {init_blocks, min_blocks, max_blocks, nodes_per_block, slots_per_node, jobs_per_hour,
 *             failures_in_a_row, walltime_s}}
 * second_path and second, launcher, walltime_s: null when there is none.  NULL with err. */
struct json_object *blocks_preview(struct loop *l, const struct blocks_opts *opts, struct err *err);

struct blocks *blocks_create(struct loop *l, const struct blocks_opts *opts, struct err *err);
/* Another command for blocks that are requested from now on (the endpoint's port has changed). */
void blocks_command(struct blocks *b, const char *command);
/* First requests; nothing happens before. */
void blocks_start(struct blocks *b);
/* Tasks that are not finished; call at every change, it is cheap. */
void blocks_demand(struct blocks *b, size_t outstanding);
void blocks_agent_registered(struct blocks *b, const char *block_id);
/* Live blocks: pending, running. */
void blocks_count(const struct blocks *b, size_t *pending, size_t *running);
/* For status reports and `list`: list of {id, job_id, job_name, state, registered, message, note,
 * script, since}; note: what the scheduler says of it; since: Unix time of the state. */
struct json_object *blocks_describe(const struct blocks *b);
/* Cancels every block; done once the scheduler has accepted that or the deadline (20 s) has passed;
 * what is left then is in the endpoint directory's batch_jobs.json for the next process. */
void blocks_shutdown(struct blocks *b, loop_f *done, void *arg);
void blocks_destroy(struct blocks *b);

#endif
