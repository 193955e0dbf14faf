#include "endpoint/providers/pbs.h"

#include <ctype.h>
#include <string.h>

void pbs_submit_command(struct buf *out, struct provider *p, const struct batch_job *j)
{
    buf_str(out, "qsub ");
    if (provider_has(p, "queue")) {
        buf_str(out, " -q ");
        command_word(out, provider_text(p, "queue"));
    }
    if (provider_has(p, "account")) {
        buf_str(out, " -A ");
        command_word(out, provider_text(p, "account"));
    }
    buf_char(out, ' ');
    command_word(out, j->path);
}

bool pbs_read_id(struct provider *p, const char *answer, struct buf *id)
{
    return batch_some_line(answer, id, true);
}

enum job_state pbs_state(const char *word, size_t n)
{
    switch (n == 1 ? *word : '?') {
    case 'B':
    case 'R':
        return JOB_RUNNING;
    case 'C':
    case 'E':
    case 'F':
    case 'X':
        return JOB_COMPLETED;
    case 'H':
    case 'S':
    case 'U':
        return JOB_HELD;
    case 'Q':
    case 'W':
    case 'T':
        return JOB_PENDING;
    default:
        return JOB_UNKNOWN;
    }
}

/* Names may hold blanks, so the state is looked for from the right: "... 00:00:00 R workq". */
void pbs_read_table(const char *text, struct asked *asked)
{
    struct word w[16];
    for (int n; (n = words_of_line(&text, w, 16)) >= 0;) {
        asked->understood += n > 0 && word_is_heading(w[0]);
        if (n < 3 || !isdigit((unsigned char)*w[0].p))
            continue;
        struct word state = w[n - 2].n == 1 ? w[n - 2] : n > 4 ? w[4] : w[n - 2];
        asked_state(asked, w[0].p, w[0].n, pbs_state(state.p, state.n));
    }
}

void pbs_read_gone(const char *text, struct asked *asked)
{
    struct word w[8];
    for (int n; (n = words_of_line(&text, w, 8)) >= 0;) {
        int i = n > 0 && w[0].n > 0 && w[0].p[w[0].n - 1] == ':' ? 1 : 0; /* "qstat:" */
        if (n >= i + 4 && word_is(w[i], "Unknown") && word_is(w[i + 1], "Job") &&
            (word_is(w[i + 2], "Id") || word_is(w[i + 2], "ID")))
            asked_gone(asked, w[i + 3].p, w[i + 3].n);
        else if (n >= i + 4 && word_is(w[i + 1], "Job") && word_is(w[i + 2], "has") &&
                 (word_is(w[i + 3], "finished,") || word_is(w[i + 3], "finished")))
            asked_gone(asked, w[i].p, w[i].n);
    }
}

void pbs_cancel_command(struct buf *out, struct provider *p, const char *const *ids, size_t n)
{
    buf_str(out, "qdel ");
    command_words(out, ids, n, " ");
}

/* Whatever carries the name; nothing when there is no such job. */
void pbs_cancel_old_command(struct buf *out, struct provider *p, const struct old_job *j)
{
    buf_str(out, "ids=$(qselect -N ");
    command_word(out, j->name);
    buf_str(out, ") && { [ -z \"$ids\" ] || qdel $ids; }");
}
