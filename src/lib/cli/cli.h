/* A program of commands, made from one table: parsing, --help, the manual page, shell completion
 * and a description for programs all come from it.
 *
 * Life of a call: cli_main() finds the entry (named by one or two words: "serve", "user add"),
 * fills `struct args`, and run() does the work and returns the exit code.  Usage errors end in 2,
 * "Error:
 * ..." ends in 1, the rest is sysexits.  Options and operands may be interleaved, --opt=v and --opt
 * v, "--" ends options, long names are not abbreviated. */
#ifndef SALLYPORT_CLI_CLI_H
#define SALLYPORT_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

enum option_kind {
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_FILE,  /* an existing regular file */
    OPTION_INPUT, /* the same, or "-" for standard input */
    OPTION_COUNT, /* integer, 0 or more */
    OPTION_TRUTH, /* a boolean word, or nothing: then its value is CLI_NO_WORD */
};
#define CLI_NO_WORD "(nothing)"

struct option_def {
    const char *name; /* with its dashes; NULL ends a table */
    char letter;      /* 0 = none */
    enum option_kind kind;
    const char *metavar; /* NULL = a flag */
    const char *help;
    bool hidden;
    bool repeats; /* may be given more than once: args_nth() */
};

#define OPTIONS_MAX 32 /* that a command knows */
#define VALUES_MAX 64  /* that a call may have */
#define OPERANDS_MAX 64

struct args;
typedef int command_f(const struct args *a);

struct command {
    const char *name;                 /* "serve", "user add" */
    const char *summary;              /* one line, for the list */
    const char *text;                 /* more, for --help and the manual page; or NULL */
    const char *examples;             /* lines, without prompt and program */
    const char *operands;             /* "NAME", "NAME [ROLE]", "FILE...", or NULL; [] = optional */
    const char *words;                /* what the first operand may be, for completion; or NULL */
    const struct option_def *options; /* or NULL */
    const struct option_def *shared; /* those that it has in common with others; NULL = program's */
    bool hidden;
    bool rest; /* the operand's successors are another program's: any words, options as well */
    command_f *run;
};

struct program {
    const char *title; /* the usual name; what it is called as may be another (cli_name()) */
    const char *alias; /* another installed name, or NULL */
    const struct command *commands;
    size_t count;
    const struct option_def *shared; /* of commands that don't say otherwise */
    const struct option_def *group;  /* before the command; or NULL */
    const char *synopsis;            /* of the group: "[OPTIONS] COMMAND [ARGS]..." */
    const char *examples;         /* for the list of commands: lines without prompt and program */
    const char *operand_of_names; /* the operand that `_describe names` lists, or NULL */
    void (*print_names)(void);
    const char *man_head, *man_tail; /* roff, before and behind the commands */
    const char *version;             /* for the manual page */
    bool last_wins; /* an option that is given twice: the last counts; else it is refused */
    /* After the command was found and before its arguments are looked at; 0 or an exit code. */
    int (*before)(void);
    /* A group option; 0 or an exit code.  `--help` never comes here. */
    int (*on_group)(const char *name, const char *value);
    /* After parsing, for log levels. */
    void (*ready)(const struct args *a);
};

struct args {
    const struct program *program;
    const struct command *command;
    const struct option_def *defs[OPTIONS_MAX + 1]; /* those of the command, then shared ones */
    struct {
        const struct option_def *def;
        const char *value; /* flags: "" */
    } values[VALUES_MAX];
    size_t n_values;
    const char *operands[OPERANDS_MAX];
    size_t n_operands;
    char **rest; /* NULL-terminated */
};

/* The whole of main(). */
int cli_main(const struct program *p, int argc, char **argv);
/* What usage lines call us: the name that we were called by, or the title. */
const char *cli_name(void);
const struct option_def *cli_shared(const struct command *c);

/* The (last) value of an option; NULL when not given, or when the command has no such option. */
const char *args_get(const struct args *a, const char *name);
bool args_has(const struct args *a, const char *name);
/* The n-th value of an option that repeats; NULL behind the last. */
const char *args_nth(const struct args *a, const char *name, size_t n);
const char *args_operand(const struct args *a, size_t n); /* NULL when not given */

/* ---- parse.c ---- */
/* argv[0] is the last word of the command's name.  0, or an exit code + 1 when there is nothing
 * more to do (help, usage error): the text has been printed. */
int args_parse(struct args *a, const struct program *p, const struct command *c, int argc,
               char **argv);

/* ---- help.c ---- */
/* prefix: only the commands that begin with this word; NULL = all. */
void help_all(const struct program *p, bool to_stderr, const char *prefix);
void help_command(const struct command *c);
/* "-e, --endpoint NAME_OR_UUID" */
void help_option_left(const struct option_def *o, char *out, size_t size);

/* ---- completion.c and describe.c: two commands that every program has ---- */
command_f cmd_completion; /* completion SHELL */
command_f cmd_describe;   /* _describe json|man|names */
#define CLI_SHELLS "bash zsh fish"
#define CLI_COMMAND_COMPLETION(example)                                                            \
    {                                                                                              \
        .name = "completion", .summary = "Print a completion script for bash, zsh or fish",        \
        .text = "An installation puts them where the shells look; this is for all others.",        \
        .examples = example, .operands = "SHELL", .words = CLI_SHELLS, .run = cmd_completion       \
    }
#define CLI_COMMAND_DESCRIBE                                                                       \
    {                                                                                              \
        .name = "_describe",                                                                       \
        .summary = "Print the table of commands (json, man) or names for completion (names)",      \
        .examples = "_describe json", .operands = "WHAT", .hidden = true, .run = cmd_describe      \
    }

/* ---- output ---- */
/* "Error: <text>" on stderr. Returns 1. */
int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Usage line and "Error: <text>".  c: NULL = of the group.  Returns 2. */
int usage(const struct command *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* May this stream be coloured?  A terminal that can, and no NO_COLOR. */
bool cli_colours(int fd);

#endif
