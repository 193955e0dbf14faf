/* Inside of `explain lint`: a list of findings, and who looks for what.
 *
 * A finding is an error (starts will fail, or somebody else can change what root reads), a warning,
 * or a note (something could not be looked at).  Its text is one sentence with what to do. */
#ifndef SALLYPORT_MANAGER_EXPLAIN_LINT_H
#define SALLYPORT_MANAGER_EXPLAIN_LINT_H

#include <sys/stat.h>

#include "manager/explain/explain.h"

#define LINT_TEXT_MAX (1u << 20) /* bytes of a file that is looked at */

enum lint_level { LINT_NOTE, LINT_WARNING, LINT_ERROR };

struct lint {
    struct explain *x;
    struct json_object *findings; /* list of {level, file, line, text} */
    unsigned counts[LINT_ERROR + 1];
};

/* file: NULL = none; line: 0 = none or not known. */
void lint_found(struct lint *l, enum lint_level level, const char *file, unsigned line,
                const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Who can change it?  What: of a file or folder that root reads. */
void lint_owner(struct lint *l, const char *path, const struct stat *st);
/* The file's text when it is there, after a look at its owner and that of its folder. */
bool lint_read(struct lint *l, const char *path, bool is_needed, struct buf *text);
/* The line on which the n-th byte lies. */
unsigned lint_line_at(const struct buf *text, size_t n);
/* The first line with that word as a whole, 0 = none. */
unsigned lint_line_of(const struct buf *text, const char *word);
/* The line that a sentence names ("... at byte N", "... line N, column M"), 0 = none. */
unsigned lint_line_told(const struct buf *text, const char *sentence);

void lint_config(struct lint *l);
void lint_mapping(struct lint *l);
void lint_template(struct lint *l);
void lint_environment(struct lint *l);
void lint_clock(struct lint *l);

#endif
