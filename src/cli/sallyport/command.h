/* The table of sallyport's commands: one entry a command, named by one or two words ("serve",
 * "user add"); parsing and --help are made from it (options.c, help.c).
 *
 * Life of a call: main() finds the entry, args_parse() fills `struct args`, run() does the work and
 * returns the exit code.  Usage errors end in 2, "Error: ..." ends in 1, the rest is sysexits. */
#ifndef SALLYPORT_CLI_COMMAND_H
#define SALLYPORT_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

struct option_def {
    const char *name;    /* with its dashes: "--data" */
    char letter;         /* 0 = none */
    const char *metavar; /* NULL = a flag */
    const char *help;
    bool repeats; /* may be given more than once: args_nth() */
};

#define OPTIONS_MAX 24
#define VALUES_MAX 64
#define OPERANDS_MAX 8

struct args;
typedef int command_f(const struct args *a);

struct command {
    const char *name;     /* "serve", "user add" */
    const char *summary;  /* one line, for the list */
    const char *text;     /* more, for --help; or NULL */
    const char *examples; /* lines, without prompt and program */
    const char *operands; /* "NAME", "NAME [ROLE]", or NULL: a word in brackets is optional */
    const struct option_def *options; /* ends with name NULL; or NULL */
    bool hidden;
    command_f *run;
};

struct args {
    const struct command *command;
    struct {
        const struct option_def *def;
        const char *value; /* flags: "" */
    } values[VALUES_MAX];
    size_t n_values;
    const char *operands[OPERANDS_MAX];
    size_t n_operands;
    bool debug;
};

extern const struct command commands[];
extern const size_t commands_count;

/* The last value of an option; NULL when not given. */
const char *args_get(const struct args *a, const char *name);
bool args_has(const struct args *a, const char *name);
/* The n-th value of an option that repeats; NULL behind the last. */
const char *args_nth(const struct args *a, const char *name, size_t n);
const char *args_operand(const struct args *a, size_t n); /* NULL when not given */
/* The folder of the service: --data, or SALLYPORT_DATA, or /var/lib/sallyport. */
const char *args_data(const struct args *a);
#define OPTION_DATA                                                                                \
    {                                                                                              \
        "--data", 'd', "DIR", "The service's folder  [SALLYPORT_DATA, else /var/lib/sallyport]"    \
    }

/* argv[0] is the last word of the command's name.  0, or an exit code + 1 when there is nothing
 * more to do (help, usage error): the text has been printed. */
int args_parse(struct args *a, const struct command *command, int argc, char **argv);

/* ---- help.c ---- */
/* prefix: only the commands that begin with this word; NULL = all. */
void help_all(bool to_stderr, const char *prefix);
void help_command(const struct command *c);

/* ---- output ---- */
/* "Error: <text>" on stderr. Returns 1. */
int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Usage line and "Error: <text>".  Returns 2. */
int usage(const struct command *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
