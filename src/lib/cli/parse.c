/* Options and operands of a command, with the rules of the original (spec: cli.md 2). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "lib/base/buf.h"
#include "lib/cli/private.h"

#define DONE(code) ((code) + 1)

static void collect(struct args *a)
{
    const struct option_def *lists[] = {a->command->options, cli_shared(a->command)};
    size_t n = 0;
    for (size_t i = 0; i < 2; i++)
        for (const struct option_def *o = lists[i]; o && o->name && n < OPTIONS_MAX; o++)
            a->defs[n++] = o;
}

static const struct option_def *find_long(const struct args *a, const char *name, size_t len)
{
    for (size_t i = 0; a->defs[i]; i++)
        if (strlen(a->defs[i]->name) == len && strncmp(a->defs[i]->name, name, len) == 0)
            return a->defs[i];
    return NULL;
}

static const struct option_def *find_letter(const struct args *a, char letter)
{
    for (size_t i = 0; a->defs[i]; i++)
        if (a->defs[i]->letter == letter)
            return a->defs[i];
    return NULL;
}

/* A long name of which the given one is most of, for "Did you mean". */
static const char *near_miss(const struct args *a, const char *given, size_t len)
{
    const char *best = NULL;
    size_t most = len * 2 / 3;
    for (size_t i = 0; a->defs[i]; i++) {
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

/* ---- values ---- */

static bool is_truth(const char *word)
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

static int check_truth(const struct args *a, const struct option_def *o, const char *value)
{
    if (strcmp(value, CLI_NO_WORD) == 0 || is_truth(value))
        return 0;
    return DONE(usage(a->command,
                      "Invalid value for '%s': '%s' is not a valid boolean. Recognized values: , "
                      "0, 1, f, false, n, no, off, on, t, true, y, yes",
                      o->name, value));
}

static int check_value(const struct args *a, const struct option_def *o, const char *value)
{
    switch (o->kind) {
    case OPTION_FILE:
    case OPTION_INPUT:
        return check_file(a, o, value);
    case OPTION_COUNT:
        return check_count(a, o, value);
    case OPTION_TRUTH:
        return check_truth(a, o, value);
    default:
        return 0;
    }
}

/* After all were taken, as the original does. */
static int check_all(const struct args *a)
{
    for (size_t i = 0; i < a->n_values; i++) {
        const struct option_def *o = a->values[i].def;
        int rc = check_value(a, o, a->values[i].value);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- options ---- */

static int set(struct args *a, const struct option_def *o, const char *value)
{
    for (size_t i = 0; i < a->n_values && !o->repeats; i++) {
        if (a->values[i].def != o)
            continue;
        if (takes_value(o) && !a->program->last_wins)
            return DONE(usage(a->command, "Option '%s' is given twice.", o->name));
        a->values[i].value = value;
        return 0;
    }
    if (a->n_values == VALUES_MAX)
        return DONE(usage(a->command, "There are more than %d options.", VALUES_MAX));
    a->values[a->n_values].def = o;
    a->values[a->n_values++].value = value;
    return 0;
}

/* `value` is what followed "=", or NULL; the next word may be taken. */
static int take(struct args *a, const struct option_def *o, const char *value, char **argv,
                int argc, int *at)
{
    if (o->kind == OPTION_FLAG && value)
        return DONE((fail("Option '%s' does not take a value.", o->name), 2));
    if (o->kind == OPTION_FLAG)
        return set(a, o, "");
    if (!value && o->kind == OPTION_TRUTH) {
        bool follows = *at + 1 < argc && is_truth(argv[*at + 1]);
        return set(a, o, follows ? argv[++*at] : CLI_NO_WORD);
    }
    if (!value && *at + 1 >= argc)
        return DONE((fail("Option '%s' requires an argument.", o->name), 2));
    return set(a, o, value ? value : argv[++*at]);
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
    size_t len = strcspn(word, "=");
    const struct option_def *o = find_long(a, word, len);
    if (!o)
        return no_such(a, word, len);
    return take(a, o, word[len] ? word + len + 1 : NULL, argv, argc, at);
}

/* "-e NAME", "-eNAME", "-h". */
static int take_letters(struct args *a, char **argv, int argc, int *at)
{
    for (const char *c = argv[*at] + 1; *c; c++) {
        char shown[3] = {'-', *c, '\0'};
        const struct option_def *o = find_letter(a, *c);
        if (!o)
            return no_such(a, shown, 2);
        if (takes_value(o))
            return take(a, o, c[1] ? c + 1 : NULL, argv, argc, at);
        int rc = set(a, o, "");
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- operands ---- */

/* How many the command wants at least and takes at most; *missing: the name of the one behind the
 * `have` first. */
static void wanted(const char *operands, size_t have, size_t *least, size_t *most, char missing[64])
{
    size_t n = 0;
    *least = *most = 0;
    for (const char *p = operands; p && *p; n++) {
        p += strspn(p, " ");
        size_t len = strcspn(p, " ");
        bool is_dots = len == 3 && strncmp(p, "...", 3) == 0;
        bool many = len >= 3 && strncmp(p + len - 3, "...", 3) == 0;
        *least += *p != '[' && !is_dots;
        *most += many ? OPERANDS_MAX : 1;
        if (n == have)
            snprintf(missing, 64, "%.*s", (int)len, p);
        p += len;
    }
}

/* One too many is complained of when everything else has been looked at, as the original does:
 * argv[0 .. *extra) are those. */
static void take_operand(struct args *a, char *word, char **argv, int *extra)
{
    size_t least, most;
    char missing[64];
    wanted(a->command->operands, 0, &least, &most, missing);
    if (a->n_operands >= most || a->n_operands == OPERANDS_MAX)
        argv[(*extra)++] = word;
    else
        a->operands[a->n_operands++] = word;
}

static int refuse_extra(const struct args *a, char **argv, int extra)
{
    struct buf b = BUF_INIT;
    buf_str(&b, "");
    for (int i = 0; i < extra; i++)
        buf_fmt(&b, "%s%s", i > 0 ? " " : "", argv[i]);
    int rc =
        usage(a->command, "Got unexpected extra argument%s (%s)", extra > 1 ? "s" : "", b.data);
    buf_free(&b);
    return DONE(rc);
}

static int check_operands(const struct args *a)
{
    size_t least, most;
    char missing[64];
    wanted(a->command->operands, a->n_operands, &least, &most, missing);
    if (a->n_operands < least)
        return DONE(usage(a->command, "Missing argument '%s'.", missing));
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
        } else if (a->n_operands == 0) {
            a->operands[a->n_operands++] = argv[at];
        } else {
            argv[n++] = argv[at];
        }
    }
    argv[n] = NULL;
    a->rest = argv;
    return check_operands(a);
}

int args_parse(struct args *a, const struct program *p, const struct command *c, int argc,
               char **argv)
{
    bool ended = false;
    int extra = 0;
    memset(a, 0, sizeof(*a));
    a->program = p;
    a->command = c;
    collect(a);
    if (c->rest)
        return take_rest(a, argc, argv);
    for (int at = 1; at < argc; at++) {
        char *word = argv[at];
        int rc = 0;
        if (!ended && strcmp(word, "--") == 0) {
            ended = true;
            continue;
        }
        if (!ended && word[0] == '-' && word[1] == '-')
            rc = take_long(a, argv, argc, &at);
        else if (!ended && word[0] == '-' && word[1])
            rc = take_letters(a, argv, argc, &at);
        else
            take_operand(a, word, argv, &extra);
        if (rc)
            return rc;
        if (args_has(a, "--help")) {
            help_command(c);
            return DONE(0);
        }
    }
    int rc = check_all(a);
    if (rc)
        return rc;
    return extra > 0 ? refuse_extra(a, argv, extra) : check_operands(a);
}

/* ---- looking ---- */

const char *args_nth(const struct args *a, const char *name, size_t n)
{
    for (size_t i = 0; i < a->n_values; i++)
        if (strcmp(a->values[i].def->name, name) == 0 && n-- == 0)
            return a->values[i].value;
    return NULL;
}

const char *args_get(const struct args *a, const char *name)
{
    const char *last = NULL;
    for (size_t i = 0; i < a->n_values; i++)
        if (strcmp(a->values[i].def->name, name) == 0)
            last = a->values[i].value;
    return last;
}

bool args_has(const struct args *a, const char *name)
{
    return args_get(a, name) != NULL;
}

const char *args_operand(const struct args *a, size_t n)
{
    return n < a->n_operands ? a->operands[n] : NULL;
}
