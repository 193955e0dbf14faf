/* The completion script of fish, from the table of commands. */
#include <stdio.h>
#include <string.h>

#include "lib/cli/private.h"

static const char *title;
static const struct command *current;

static void text(const char *s)
{
    putchar('\'');
    for (; *s; s++) {
        if (*s == '\'' || *s == '\\')
            putchar('\\');
        putchar(*s == '\n' ? ' ' : *s);
    }
    putchar('\'');
}

/* -n '...': the words of a command's name have been seen. */
static void condition(const char *name)
{
    const char *space = strchr(name, ' ');
    if (space)
        printf(" -n '__fish_seen_subcommand_from %.*s; and __fish_seen_subcommand_from %s'",
               (int)(space - name), name, space + 1);
    else
        printf(" -n '__fish_seen_subcommand_from %s'", name);
}

static void option(const struct option_def *o)
{
    printf("complete -c %s", title);
    condition(current->name);
    if (o->letter)
        printf(" -s %c", o->letter);
    printf(" -l %s%s -d ", o->name + 2, takes_file(o) ? " -r -F" : takes_value(o) ? " -x" : "");
    text(o->help);
    putchar('\n');
}

static void one(const struct program *p, const struct command *c)
{
    current = c;
    completion_options(c, option);
    if (!cli_wants(c, p->operand_of_names) && !cli_wants_path(c) && !c->words)
        return;
    printf("complete -c %s", title);
    condition(c->name);
    if (cli_wants_path(c))
        printf(" -F\n");
    else if (c->words)
        printf(" -a '%s'\n", c->words);
    else
        printf(" -a '(%s _describe names 2>/dev/null)'\n", title);
}

/* The second words of a group, until one of them was typed. */
static void group(const struct program *p, const char *first)
{
    char word[COMPLETION_NAME];
    const char *summary;
    for (size_t at = 0; (summary = completion_word(p, first, &at, word, sizeof(word)));) {
        char other[COMPLETION_NAME];
        printf("complete -c %s -n '__fish_seen_subcommand_from %s; and not "
               "__fish_seen_subcommand_from",
               title, first);
        for (size_t k = 0; completion_word(p, first, &k, other, sizeof(other));)
            printf(" %s", other);
        printf("' -a %s -d ", word);
        text(summary);
        putchar('\n');
    }
}

void completion_fish(const struct program *p)
{
    char word[COMPLETION_NAME];
    const char *summary;
    title = p->title;
    printf("# fish completion; made by `%s completion fish`\n", title);
    if (p->alias)
        printf("complete -c %s -w %s\n", p->alias, title);
    printf("complete -c %s -f\n", title);
    for (const struct option_def *o = p->group; o && o->name; o++) {
        printf("complete -c %s -n __fish_use_subcommand -s %c -l %s -r -F -d ", title, o->letter,
               o->name + 2);
        text(o->help);
        putchar('\n');
    }
    for (size_t at = 0; (summary = completion_word(p, NULL, &at, word, sizeof(word)));) {
        printf("complete -c %s -n __fish_use_subcommand -a %s -d ", title, word);
        text(summary);
        putchar('\n');
        group(p, word);
    }
    for (size_t i = 0; i < p->count; i++)
        if (!p->commands[i].hidden)
            one(p, &p->commands[i]);
}
