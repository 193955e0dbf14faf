/* How prepare ends when a step doesn't hold: one record to the manager, the original's exit code.
 *
 * The user's text names no local path and no command line; those go to the administrator. */
#ifndef SALLYPORT_PREPARE_FAIL_H
#define SALLYPORT_PREPARE_FAIL_H

#include "lib/handover/blob.h"

/* Exit codes of spec endpoint-manager.md section 9, those of this program. */
enum step {
    STEP_SETUP = 70,    /* descriptors, request, template, schema, user_environment.yaml */
    STEP_DEFAULTS = 76, /* default variables, umask */
    STEP_RENDER = 77,   /* options, schema, template, working directory */
    STEP_TITLE = 78,
    STEP_DOCUMENT = 79, /* YAML, endpoint directory and log path, high assurance, document */
    STEP_NULL = 80,
    STEP_STDIN = 82,
    STEP_STDOUT = 83,
    STEP_STDERR = 84,
    STEP_CLOSE = 86,
    STEP_EXEC = 87,
};

/* Known from then on: whether the codes of the last steps are four lower (nobody changed). */
void fail_about(const struct blob *b);

/* type: the exception that the original would raise.  detail: what only the administrator reads,
 * or NULL. */
void fail(enum step step, const char *type, const char *detail, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 4, 5)));
/* The exception and the words of errno, behind the sentence. */
void fail_errno(enum step step, const char *detail, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 3, 4)));

#endif
