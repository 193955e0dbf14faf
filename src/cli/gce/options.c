/* Options of a command, with the rules of the original (spec: cli.md 2): options and operands may
 * be interleaved, --opt=v and --opt v, "--" ends options, long names are not abbreviated. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "cli/gce/command.h"

#define DONE(code) ((code) + 1)

static const struct option_def common_options[] = {
    {"--help", 'h', OPTION_FLAG, NULL, "Show this message and exit."},
    {"--no-color", 0, OPTION_FLAG, NULL, "Do not colorize the (console) log lines"},
    {"--log-to-console", 0, OPTION_FLAG, NULL, "Emit log lines to console as well as log"},
    {"--debug", 0, OPTION_FLAG, NULL,
     "Emit extra information generally only helpful for developers"},
    {NULL},
};
static const struct option_def rest_options[] = {
    {"--help", 'h', OPTION_FLAG, NULL, "Show this message and exit."}, {NULL}};
static const struct option_def only_help_options[] = {
    {"--help", 0, OPTION_FLAG, NULL, "Show this message and exit."}, {NULL}};

const struct option_def *options_of_all(const struct command *c)
{
    return c->rest ? rest_options : c->common ? common_options : only_help_options;
}

static void collect(struct args *a)
{
    size_t n = 0;
    for (const struct option_def *o = a->command->options; o && o->name; o++)
        a->defs[n++] = o;
    for (const struct option_def *o = options_of_all(a->command); o->name; o++)
        a->defs[n++] = o;
}

static int find_long(const struct args *a, const char *name, size_t len)
{
    for (int i = 0; i < OPTIONS_MAX && a->defs[i]; i++)
        if (strlen(a->defs[i]->name) == len && strncmp(a->defs[i]->name, name, len) == 0)
            return i;
    return -1;
}

static int find_letter(const struct args *a, char letter)
{
    for (int i = 0; i < OPTIONS_MAX && a->defs[i]; i++)
        if (a->defs[i]->letter == letter)
            return i;
    return -1;
}

/* A long name of which the given one is most of, for "Did you mean". */
static const char *near_miss(const struct args *a, const char *given, size_t len)
{
    const char *best = NULL;
    size_t most = len * 2 / 3;
    for (int i = 0; i < OPTIONS_MAX && a->defs[i]; i++) {
        size_t same = 0;
        const char *name = a->defs[i]->name;
        while (same < len && name[same] == given[same])
            same++;
        if (!a->defs[i]->hidden && same > most && same > 2) {
            most = same;
            best = name;
        }
    }
    return best;
}

static bool is_bool_word(const char *word)
{
    static const char *const words[] = {"",    "0",  "1", "f",    "false", "n",  "no",
                                        "off", "on", "t", "true", "y",     "yes"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(words[i], word) == 0)
            return true;
    return false;
}

static int check_file(const struct args *a, const struct option_def *o, const char *value)
{
    struct stat st;
    if (o->kind == OPTION_INPUT && strcmp(value, "-") == 0)
        return 0;
    if (stat(value, &st) < 0)
        return DONE(
            usage(a->command, "Invalid value for '%s': File '%s' does not exist.", o->name, value));
    if (S_ISDIR(st.st_mode))
        return DONE(
            usage(a->command, "Invalid value for '%s': File '%s' is a directory.", o->name, value));
    return 0;
}

static int check_count(const struct args *a, const struct option_def *o, const char *value)
{
    char *end;
    errno = 0;
    long n = strtol(value, &end, 10);
    if (!*value || *end || errno)
        return DONE(usage(a->command, "Invalid value for '%s': '%s' is not a valid integer range.",
                          o->name, value));
    if (n < 0)
        return DONE(
            usage(a->command, "Invalid value for '%s': %ld is not in the range x>=0.", o->name, n));
    return 0;
}

static int check_value(const struct args *a, const struct option_def *o, const char *value)
{
    switch (o->kind) {
    case OPTION_FILE:
    case OPTION_INPUT:
        return check_file(a, o, value);
    case OPTION_COUNT:
        return check_count(a, o, value);
    case OPTION_MULTI_USER:
        if (!is_bool_word(value))
            return DONE(usage(a->command,
                              "Invalid value for '%s': '%s' is not a valid boolean. Recognized "
                              "values: , 0, 1, f, false, n, no, off, on, t, true, y, yes",
                              o->name, value));
        return 0;
    default:
        return 0;
    }
}

/* Sets option i; `value` is what followed "=", or NULL; the next word may be taken. */
static int take(struct args *a, int i, const char *value, char **argv, int argc, int *at)
{
    const struct option_def *o = a->defs[i];
    if (o->kind == OPTION_FLAG) {
        if (value)
            return DONE((fail("Option '%s' does not take a value.", o->name), 2));
        a->values[i] = "";
        return 0;
    }
    if (!value && o->kind == OPTION_MULTI_USER) {
        /* The seed's form, `--multi-user NAME`, takes nothing: the value is "seed". */
        bool follows = *at + 1 < argc && is_bool_word(argv[*at + 1]);
        a->values[i] = follows ? argv[++*at] : "seed";
        return 0;
    }
    if (!value) {
        if (*at + 1 >= argc)
            return DONE((fail("Option '%s' requires an argument.", o->name), 2));
        value = argv[++*at];
    }
    a->values[i] = value;
    return 0;
}

static int no_such(const struct args *a, const char *given, size_t len)
{
    const char *guess = len > 2 ? near_miss(a, given, len) : NULL;
    return DONE(usage(a->command, "No such option: %.*s%s%s%s", (int)len, given,
                      guess ? " Did you mean " : "", guess ? guess : "", guess ? "?" : ""));
}

static int take_long(struct args *a, char **argv, int argc, int *at)
{
    const char *word = argv[*at];
    const char *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    int i = find_long(a, word, len);
    if (i < 0)
        return no_such(a, word, len);
    return take(a, i, equals ? equals + 1 : NULL, argv, argc, at);
}

/* "-e NAME", "-eNAME", "-h". */
static int take_letters(struct args *a, char **argv, int argc, int *at)
{
    for (const char *c = argv[*at] + 1; *c; c++) {
        char shown[3] = {'-', *c, '\0'};
        int i = find_letter(a, *c);
        if (i < 0)
            return no_such(a, shown, 2);
        if (a->defs[i]->kind == OPTION_FLAG)
            a->values[i] = "";
        else
            return take(a, i, c[1] ? c + 1 : NULL, argv, argc, at);
    }
    return 0;
}

static int take_operand(struct args *a, char *word)
{
    if (!a->command->operand || a->operand)
        return DONE(usage(a->command, "Got unexpected extra argument (%s)", word));
    a->operand = word;
    return 0;
}

/* `python-exec MODULE WORDS`: ours is --help only, wherever it stands before "--". */
static int take_rest(struct args *a, int argc, char **argv)
{
    bool ended = false;
    int n = 0;
    for (int at = 1; at < argc; at++) {
        if (!ended && strcmp(argv[at], "--") == 0) {
            ended = true;
        } else if (!ended && (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0)) {
            help_command(a->command);
            return DONE(0);
        } else if (!a->operand) {
            a->operand = argv[at];
        } else {
            argv[n++] = argv[at];
        }
    }
    argv[n] = NULL;
    a->rest = argv;
    return 0;
}

static int check_all(struct args *a)
{
    for (int i = 0; i < OPTIONS_MAX && a->defs[i]; i++) {
        const char *value = a->values[i];
        bool is_seed = value && a->defs[i]->kind == OPTION_MULTI_USER && !strcmp(value, "seed");
        int rc = value && !is_seed ? check_value(a, a->defs[i], value) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

int args_parse(struct args *a, const struct command *command, int argc, char **argv)
{
    bool ended = false;
    memset(a, 0, sizeof(*a));
    a->command = command;
    collect(a);
    if (command->rest)
        return take_rest(a, argc, argv);
    for (int at = 1; at < argc; at++) {
        char *word = argv[at];
        int rc;
        if (!ended && strcmp(word, "--") == 0) {
            ended = true;
            continue;
        }
        if (!ended && word[0] == '-' && word[1] == '-')
            rc = take_long(a, argv, argc, &at);
        else if (!ended && word[0] == '-' && word[1])
            rc = take_letters(a, argv, argc, &at);
        else
            rc = take_operand(a, word);
        if (rc)
            return rc;
        if (args_has(a, "--help")) {
            help_command(command);
            return DONE(0);
        }
    }
    a->debug = command->common && args_has(a, "--debug");
    a->log_to_console = command->common && args_has(a, "--log-to-console");
    a->no_color = command->common && args_has(a, "--no-color");
    return check_all(a);
}

const char *args_get(const struct args *a, const char *name)
{
    int i = find_long(a, name, strlen(name));
    return i < 0 ? NULL : a->values[i];
}

bool args_has(const struct args *a, const char *name)
{
    return args_get(a, name) != NULL;
}

const char *args_name(const struct args *a)
{
    return a->operand ? a->operand : "default";
}
