/* What the batch systems have in common: a script is written, a command submits it, a command lists
 * jobs, a command cancels.  A kind says how its scripts and commands look and how answers read. */
#ifndef SALLYPORT_ENDPOINT_BATCH_H
#define SALLYPORT_ENDPOINT_BATCH_H

#include "endpoint/providers/provider.h"

struct batch_query;

struct batch_kind {
    const char *suffix; /* of the script's file name, "" or ".submit" */
    /* Directives, from the line behind "#!/bin/bash" up to worker_init. */
    void (*directives)(struct buf *out, struct provider *p, const char *job_name, const char *path);
    /* Exports that belong in front of worker_init's script; NULL = none. */
    void (*exports)(struct buf *out, struct provider *p);
    void (*submit_command)(struct buf *out, struct provider *p, const char *path);
    /* The job's id in the answer of a submit command that ended with 0; false = there is none. */
    bool (*read_id)(struct provider *p, const char *answer, struct buf *id);
    void (*status_command)(struct buf *out, struct provider *p, const char *const *ids, size_t n);
    /* Calls batch_found() for each job of the answer; false = the answer makes no sense. */
    bool (*read_status)(struct provider *p, const char *answer, struct batch_query *q);
    void (*cancel_command)(struct buf *out, struct provider *p, const char *const *ids, size_t n);
    /* Exit codes of the status command that still carry an answer (qstat: 153, one id unknown). */
    int also_answers;
    bool absent_is_over; /* a job that a good answer does not list has ended */
};

/* One of the asked ids, by its text or as the beginning of it (schedulers shorten and qualify). */
void batch_found(struct batch_query *q, const char *id, size_t id_len, enum job_state state);

void batch_submit(struct provider *p, const struct batch_kind *k, const char *job_name,
                  const char *script, submitted_f *cb, void *arg);
void batch_poll(struct provider *p, const struct batch_kind *k, const char *const *ids, size_t n,
                polled_f *cb, void *arg);
void batch_cancel(struct provider *p, const struct batch_kind *k, const char *const *ids, size_t n);

/* "\n"-terminated copy of text unless it is empty. */
void batch_line(struct buf *out, const char *text);
void batch_ids(struct buf *out, const char *const *ids, size_t n, const char *between);
/* First line that is not blank, trimmed; false when there is none. */
bool batch_first_line(const char *answer, struct buf *out, bool last);

#endif
