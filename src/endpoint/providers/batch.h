/* What the batch systems have in common: a script is written, a command submits it, a command lists
 * jobs, a command cancels.  A batch_kind says how its scripts and commands look and how answers
 * read; its functions know nothing of loops and processes. */
#ifndef SALLYPORT_ENDPOINT_BATCH_H
#define SALLYPORT_ENDPOINT_BATCH_H

#include "endpoint/providers/asked.h"
#include "endpoint/providers/command.h"
#include "endpoint/providers/provider.h"
#include "lib/base/map.h"

struct batch_job {
    const char *name;
    const char *path;   /* of the script that is submitted */
    const char *script; /* what the launcher made */
};

enum reading {
    READ_NOTHING, /* no answer: nothing is known */
    READ_SOME,    /* what was said is true, what was not said means nothing */
    READ_ALL,     /* a complete answer: a job that it does not list may have ended */
    READ_AGAIN,   /* the question has to be put in another way (the kind changed its `mode`) */
};

struct batch_kind {
    void (*script)(struct buf *out, struct provider *p, const struct batch_job *j);
    /* A second file beside the script, with this suffix; NULL = none. */
    const char *second_suffix;
    void (*second)(struct buf *out, struct provider *p, const struct batch_job *j);

    void (*submit_command)(struct buf *out, struct provider *p, const struct batch_job *j);
    /* What the submit command reads on its standard input; NULL = nothing. */
    void (*submit_input)(struct buf *out, struct provider *p, const struct batch_job *j);
    /* The job's id in the answer of a submit command that ended with 0; false = there is none. */
    bool (*read_id)(struct provider *p, const char *answer, struct buf *id);
    /* The original's words for a failed submission; NULL = those of a missing id. */
    void (*refusal)(struct buf *out, struct provider *p, const struct batch_job *j,
                    const char *command, const struct answer *a);

    void (*status_command)(struct buf *out, struct provider *p, const char *const *ids, size_t n);
    enum reading (*read_status)(struct provider *p, const struct answer *a, struct asked *asked);
    bool lists_all;           /* the status command names no ids: one question is enough */
    const char *chunk_option; /* integer option: ids a question; NULL = CHUNK */

    /* Brings the outputs of an ended job to their files; NULL = they are there by themselves. */
    void (*fetch_command)(struct buf *out, struct provider *p, const char *id,
                          const char *job_name);

    void (*cancel_command)(struct buf *out, struct provider *p, const char *const *ids, size_t n);
    /* Same for jobs of an earlier process, found by their names. */
    void (*cancel_old_command)(struct buf *out, struct provider *p, const struct old_job *j);
};

/* The kind's own state while it is in use. */
struct batch {
    int mode;         /* the kind's: how questions are put, 0 at the start */
    struct map *seen; /* id -> struct seen: when submitted, since when not listed */
    struct cancellation *cancelling;
};

extern const struct provider_work batch_work;

static inline struct batch *batch_of(const struct provider *p)
{
    return p->own;
}

/* poll.c */
void batch_poll(struct provider *p, const char *const *ids, size_t n, polled_f *cb, void *arg);
void batch_forget_submitted(struct provider *p);
/* Remembers when a job was submitted. */
void batch_note_submitted(struct provider *p, const char *id, const char *job_name);

/* ---- pieces of scripts ---- */

/* "\n"-terminated copy of text, nothing when it is empty. */
void batch_line(struct buf *out, const char *text);
/* worker_init, blank line, JOBNAME, blank line, the launcher's text; exports go behind worker_init.
 */
void batch_tail(struct buf *out, struct provider *p, const struct batch_job *j,
                const char *exports);
/* "<directive><value>\n" when the option is set. */
void batch_directive(struct buf *out, const struct provider *p, const char *directive,
                     const char *key);
/* As Python prints that number times factor: 2048, 2048.0, 512.5. */
void batch_number(struct buf *out, struct json_object *value, int factor);

/* First (or last) line that is not blank, trimmed; false when there is none. */
bool batch_some_line(const char *answer, struct buf *out, bool last);

#endif
