/* From argv to a command's run(). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cli/private.h"

const struct program *cli_program;
static const char *called_as;

const char *cli_name(void)
{
    return called_as;
}

const struct option_def *cli_shared(const struct command *c)
{
    return c->shared ? c->shared : cli_program->shared;
}

bool cli_colours(int fd)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fd) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

static void name_program(const struct program *p, const char *argv0)
{
    const char *slash = argv0 ? strrchr(argv0, '/') : NULL;
    const char *base = slash ? slash + 1 : argv0;
    cli_program = p;
    called_as = base && *base ? base : p->title;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || (!cli_program->group && strcmp(word, "-h") == 0);
}

static const struct option_def *group_option(const char *word, size_t *len)
{
    for (const struct option_def *o = cli_program->group; o && o->name; o++) {
        *len = strlen(o->name);
        if (strncmp(word, o->name, *len) == 0 && (!word[*len] || word[*len] == '='))
            return o;
        *len = 2;
        if (o->letter && word[1] == o->letter)
            return o;
    }
    return NULL;
}

/* Options of the group, before the command.  The index of the command, argc when there is none; or
 * minus exit code - 1. */
static int group_options(const struct program *p, int argc, char **argv)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        size_t len;
        const struct option_def *o;
        if (is_help(argv[i])) {
            help_all(p, false, NULL);
            return -1;
        }
        o = group_option(argv[i], &len);
        if (!o)
            return -1 - usage(NULL, "No such option: %.*s", (int)strcspn(argv[i], "="), argv[i]);
        const char *name = argv[i], *value = argv[i][len] ? argv[i] + len + (len > 2) : NULL;
        if (!value)
            value = i + 1 < argc ? argv[++i] : NULL;
        if (!value)
            return -1 - (fail("Option '%s' requires an argument.", name), 2);
        int rc = p->on_group(o->name, value);
        if (rc)
            return -1 - rc;
    }
    return i;
}

/* The entry whose words argv begins with, the longest name first; *words: how many they are. */
static const struct command *find(const struct program *p, int argc, char **argv, int *words)
{
    const struct command *found = NULL;
    for (size_t i = 0; i < p->count; i++) {
        const char *name = p->commands[i].name, *space = strchr(name, ' ');
        size_t first = space ? (size_t)(space - name) : strlen(name);
        if (strlen(argv[0]) != first || strncmp(argv[0], name, first) != 0)
            continue;
        if (space && (argc < 2 || strcmp(argv[1], space + 1) != 0))
            continue;
        if (!found || space) {
            found = &p->commands[i];
            *words = space ? 2 : 1;
        }
    }
    return found;
}

static bool is_group(const struct program *p, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i < p->count; i++)
        if (strncmp(p->commands[i].name, word, n) == 0 && p->commands[i].name[n] == ' ')
            return true;
    return false;
}

/* A word that begins two-word commands, and no or a wrong second one. */
static int half_a_name(const struct program *p, int argc, char **argv)
{
    if (argc > 1 && is_help(argv[1])) {
        help_all(p, false, argv[0]);
        return 0;
    }
    if (argc > 1)
        return usage(NULL, "No such command '%s %s'.", argv[0], argv[1]);
    help_all(p, true, argv[0]);
    return 2;
}

int cli_main(const struct program *p, int argc, char **argv)
{
    struct args args;
    int words = 0;
    name_program(p, argv[0]);
    int at = group_options(p, argc, argv);
    if (at < 0)
        return -at - 1;
    if (at >= argc) {
        help_all(p, true, NULL);
        return 2;
    }
    const struct command *c = find(p, argc - at, argv + at, &words);
    if (!c && is_group(p, argv[at]))
        return half_a_name(p, argc - at, argv + at);
    if (!c)
        return usage(NULL, "No such command '%s'.", argv[at]);
    int rc = p->before ? p->before() : 0;
    if (rc)
        return rc;
    at += words - 1;
    rc = args_parse(&args, p, c, argc - at, argv + at);
    if (rc)
        return rc - 1;
    if (p->ready)
        p->ready(&args);
    rc = c->run(&args);
    /* What a full disk or a closed pipe swallowed is no success. */
    if (rc == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        return fail("The output can't be written: %m");
    return rc;
}
