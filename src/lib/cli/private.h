/* Inside of lib/cli. */
#ifndef SALLYPORT_CLI_PRIVATE_H
#define SALLYPORT_CLI_PRIVATE_H

#include "lib/cli/cli.h"

extern const struct program *cli_program; /* the one that cli_main() runs */

/* "NAME_OR_UUID" of "[NAME_OR_UUID]": is it the first operand of c? */
bool cli_wants(const struct command *c, const char *operand);
bool cli_wants_path(const struct command *c);
static inline bool takes_value(const struct option_def *o)
{
    return o->kind != OPTION_FLAG && o->kind != OPTION_TRUTH;
}
static inline bool takes_file(const struct option_def *o)
{
    return o->kind == OPTION_FILE || o->kind == OPTION_INPUT;
}

/* completion_*.c: one script each on standard output. */
void completion_bash(const struct program *p);
void completion_zsh(const struct program *p);
void completion_fish(const struct program *p);
typedef void option_f(const struct option_def *o);
/* Every option that --help shows. */
void completion_options(const struct command *c, option_f *f);
/* The title as a name of shell functions: _globus_compute_endpoint. */
void completion_function(const struct program *p, char *out, size_t size);
/* The first words of all shown commands, each once; the second ones of a first. */
const char *completion_word(const struct program *p, const char *group, size_t *at, char *out,
                            size_t size);
#define COMPLETION_NAME 64

#endif
