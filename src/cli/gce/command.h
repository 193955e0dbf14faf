/* The table of commands: one entry a command; parsing, --help, man pages and shell completion are
 * all made from it (options.c, help.c, describe.c).
 *
 * Life of a call: main() finds the entry, options.c fills `struct args`, run() does the work and
 * returns the exit code.  Usage errors end in 2, "Error: ..." ends in 1, the rest is sysexits. */
#ifndef SALLYPORT_GCE_COMMAND_H
#define SALLYPORT_GCE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

enum option_kind {
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_FILE,       /* an existing regular file */
    OPTION_INPUT,      /* the same, or "-" for standard input */
    OPTION_COUNT,      /* integer, 0 or more */
    OPTION_MULTI_USER, /* a boolean word, or nothing (spec: cli.md 4.1) */
};

struct option_def {
    const char *name; /* with its dashes */
    char letter;      /* 0 = none */
    enum option_kind kind;
    const char *metavar;
    const char *help;
    bool hidden;
};

#define OPTIONS_MAX 32

struct args;
typedef int command_f(const struct args *a);

struct command {
    const char *name;
    const char *summary;              /* one line, for the list */
    const char *text;                 /* more, for --help and the man page; or NULL */
    const char *examples;             /* lines, without prompt */
    const char *operand;              /* "NAME_OR_UUID", "NAME", "MODULE", or NULL */
    const struct option_def *options; /* ends with name NULL; or NULL */
    bool hidden;
    bool common; /* has --debug, --log-to-console, --no-color and -h */
    bool
        rest; /* takes any words: the operand is the first, unknown options are passed on; has -h */
    command_f *run;
};

struct args {
    const struct command *command;
    const struct option_def *defs[OPTIONS_MAX]; /* those of the command, then the common ones */
    const char *values[OPTIONS_MAX];            /* NULL = not given; flags: "" */
    const char *operand;                        /* NULL = not given */
    char **rest;                                /* NULL-terminated */
    bool debug;
    bool log_to_console;
    bool no_color;
};

extern const struct command commands[];
extern const size_t commands_count;

const struct command *command_find(const char *name);
/* What usage lines call us. */
const char *command_program(void);

/* The value of an option; NULL when not given. The name must be in the table. */
const char *args_get(const struct args *a, const char *name);
bool args_has(const struct args *a, const char *name);
/* The operand, or "default". */
const char *args_name(const struct args *a);

/* argv[0] is the command.  0, or an exit code + 1 when there is nothing more to do (help, usage
 * error): the text has been printed. */
int args_parse(struct args *a, const struct command *command, int argc, char **argv);

/* ---- help.c ---- */
void help_all(bool to_stderr);
void help_command(const struct command *c);
/* "Usage: gce CMD [OPTIONS] ..." on stderr, and how to get help. NULL: the group. */
void help_usage(const struct command *c);
/* Those that a command has beside its own; ends with name NULL. */
const struct option_def *options_of_all(const struct command *c);
/* "-e, --endpoint NAME_OR_UUID" */
void help_option_left(const struct option_def *o, char *out, size_t size);

/* ---- output ---- */
/* "Error: <text>" on stderr. Returns 1. */
int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Usage line and "Error: <text>".  Returns 2. */
int usage(const struct command *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
