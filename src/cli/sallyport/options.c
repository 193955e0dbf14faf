/* Options of a command: options and operands may be interleaved, --opt=v and --opt v, "--" ends
 * options, long names are not abbreviated. */
#include <stdlib.h>
#include <string.h>

#include "cli/sallyport/command.h"

#define DONE(code) ((code) + 1)

static const struct option_def debug_option = {"--debug", 0, NULL, "Log more"};

static const struct option_def *find(const struct args *a, const char *name, size_t n, char letter)
{
    for (const struct option_def *o = a->command->options; o && o->name; o++)
        if (letter ? o->letter == letter : strlen(o->name) == n && strncmp(o->name, name, n) == 0)
            return o;
    return !letter && n == strlen("--debug") && strncmp(name, "--debug", n) == 0 ? &debug_option
                                                                                 : NULL;
}

static int take(struct args *a, const struct option_def *o, const char *value, int argc,
                char **argv, int *at)
{
    if (!o->metavar && value)
        return DONE(usage(a->command, "Option '%s' does not take a value.", o->name));
    if (o->metavar && !value) {
        if (*at + 1 >= argc)
            return DONE(usage(a->command, "Option '%s' requires an argument.", o->name));
        value = argv[++*at];
    }
    if (a->n_values == VALUES_MAX)
        return DONE(usage(a->command, "There are more than %d options.", VALUES_MAX));
    if (o->metavar && !o->repeats && args_has(a, o->name))
        return DONE(usage(a->command, "Option '%s' is given twice.", o->name));
    if (o == &debug_option)
        a->debug = true;
    a->values[a->n_values].def = o;
    a->values[a->n_values++].value = value ? value : "";
    return 0;
}

static int take_option(struct args *a, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
    bool is_long = word[1] == '-';
    size_t n = is_long ? strcspn(word, "=") : 2;
    const struct option_def *o = find(a, word, n, is_long ? '\0' : word[1]);
    if (!o)
        return DONE(usage(a->command, "No such option: %.*s", (int)n, word));
    const char *value = is_long ? (word[n] ? word + n + 1 : NULL) : (word[2] ? word + 2 : NULL);
    return take(a, o, value, argc, argv, at);
}

/* How many operands the command wants at least and takes at most. */
static void wanted(const char *operands, size_t *least, size_t *most)
{
    *least = *most = 0;
    for (const char *p = operands; p && *p;) {
        p += strspn(p, " ");
        if (strncmp(p, "...", 3) == 0)
            *most = OPERANDS_MAX;
        else if (*p) {
            *least += *p != '[';
            *most += 1;
        }
        p += strcspn(p, " ");
    }
}

int args_parse(struct args *a, const struct command *command, int argc, char **argv)
{
    bool ended = false;
    size_t least, most;
    memset(a, 0, sizeof(*a));
    a->command = command;
    wanted(command->operands, &least, &most);
    for (int at = 1; at < argc; at++) {
        char *word = argv[at];
        int rc = 0;
        if (!ended && strcmp(word, "--") == 0) {
            ended = true;
        } else if (!ended && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            help_command(command);
            return DONE(0);
        } else if (!ended && word[0] == '-' && word[1]) {
            rc = take_option(a, argc, argv, &at);
        } else if (a->n_operands < most) {
            a->operands[a->n_operands++] = word;
        } else {
            rc = DONE(usage(command, "Got unexpected extra argument (%s)", word));
        }
        if (rc)
            return rc;
    }
    if (a->n_operands < least)
        return DONE(usage(command, "Missing argument: %s", command->operands));
    return 0;
}

const char *args_nth(const struct args *a, const char *name, size_t n)
{
    for (size_t i = 0; i < a->n_values; i++)
        if (strcmp(a->values[i].def->name, name) == 0 && n-- == 0)
            return a->values[i].value;
    return NULL;
}

const char *args_get(const struct args *a, const char *name)
{
    return args_nth(a, name, 0);
}

bool args_has(const struct args *a, const char *name)
{
    return args_get(a, name) != NULL;
}

const char *args_operand(const struct args *a, size_t n)
{
    return n < a->n_operands ? a->operands[n] : NULL;
}

const char *args_data(const struct args *a)
{
    const char *given = args_get(a, "--data");
    const char *env = getenv("SALLYPORT_DATA");
    return given ? given : env && *env ? env : "/var/lib/sallyport";
}
