/* A question about jobs, and what an answer said of each: the parsers of the batch systems fill it.
 */
#ifndef SALLYPORT_ENDPOINT_ASKED_H
#define SALLYPORT_ENDPOINT_ASKED_H

#include <stddef.h>

#include "endpoint/providers/provider.h"

struct told {
    enum {
        TOLD_NOTHING,
        TOLD_STATE,
        TOLD_GONE, /* the scheduler says that it does not know this job (any more) */
    } what;
    enum job_state state;
    int exit_code; /* -1 = not known */
    char *note;
};

struct asked {
    const char *const *ids;
    size_t n;
    struct told *told; /* one for each id */
    size_t understood; /* headings, and jobs with a known state, ours or not */
};

/* told becomes n empty ones; free with asked_free(), ids stay the caller's. */
void asked_init(struct asked *a, const char *const *ids, size_t n);
void asked_free(struct asked *a);

/* One of the asked ids: by its text, or shortened or qualified ("12.pbs" for "12.pbs.example.org"
 * and "12").  NULL: not one of ours, or the answer said something of it before. */
struct told *asked_state(struct asked *a, const char *id, size_t id_len, enum job_state state);
void asked_gone(struct asked *a, const char *id, size_t id_len);
void told_note(struct told *t, const char *note); /* NULL t is fine; long ones are cut */

/* ---- reading tables ---- */

struct word {
    const char *p;
    size_t n;
};
/* Up to max words of the line at *text, which moves behind it; -1 at the end of the text. */
int words_of_line(const char **text, struct word *words, size_t max);
bool word_is(struct word w, const char *text);
/* The first word of a table's heading ("Job id", "job-ID", "JobID:", rules of "-" or "="). */
bool word_is_heading(struct word w);

/* A scheduler's words for the states of jobs; a table ends with word NULL. */
struct state_word {
    const char *word;
    enum job_state state;
};
/* Upper and lower case are the same; JOB_UNKNOWN when the table has no such word. */
enum job_state state_of_word(const struct state_word *table, struct word w);
/* Lines that begin with a numeric id and have a state in that column (0 is the id's); others are
 * passed over. */
void asked_read_table(struct asked *a, const char *text, unsigned column,
                      const struct state_word *table);

#endif
