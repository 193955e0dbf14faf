/* The commands of one provider: shell lines, each with the provider's cmd_timeout, of each purpose
 * a few at a time.  A command that hangs delays later ones of its own purpose, never the loop:
 * while no status is to be had and cancellations time out, submissions go on. */
#ifndef SALLYPORT_ENDPOINT_COMMAND_H
#define SALLYPORT_ENDPOINT_COMMAND_H

#include "endpoint/providers/provider.h"

struct answer {
    int exit_code; /* -1: killed, timed out, could not be started */
    bool timed_out;
    bool cut;              /* out is not all of it, or no text */
    const char *out, *err; /* texts; never NULL */
};

enum purpose { TO_SUBMIT, TO_ASK, TO_CANCEL, PURPOSES };

/* answer NULL: the provider is being destroyed; only free what arg holds. */
typedef void answer_f(void *arg, const struct answer *answer);

struct command_queue *command_queue_create(struct provider *p);
void command_queue_destroy(struct command_queue *q);
/* text: for /bin/sh; input: standard input, or NULL.  cb comes once, never from within. */
void command_run(struct provider *p, enum purpose purpose, const char *text, const char *input,
                 answer_f *cb, void *arg);

/* ---- words of command lines ---- */

/* A word as it is when the shell would leave it alone, else quoted. */
void command_word(struct buf *out, const char *text);
void command_words(struct buf *out, const char *const *words, size_t n, const char *between);

#endif
