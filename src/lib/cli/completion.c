/* completion bash|zsh|fish: a completion script, made from the table of commands.
 *
 * The scripts ask for names (of endpoints, say) when one is wanted: `_describe names`. */
#include <stdio.h>
#include <string.h>

#include "lib/cli/private.h"

bool cli_wants(const struct command *c, const char *operand)
{
    size_t n = operand ? strlen(operand) : 0;
    const char *at = c->operands;
    if (!at || !operand)
        return false;
    at += *at == '[';
    return strncmp(at, operand, n) == 0 && (at[n] == '\0' || strchr("] .", at[n]) != NULL);
}

bool cli_wants_path(const struct command *c)
{
    return cli_wants(c, "FILE") || cli_wants(c, "FOLDER");
}

void completion_options(const struct command *c, option_f *f)
{
    const struct option_def *lists[] = {c->options, cli_shared(c)};
    for (size_t i = 0; i < 2; i++)
        for (const struct option_def *o = lists[i]; o && o->name; o++)
            if (!o->hidden)
                f(o);
}

void completion_function(const struct program *p, char *out, size_t size)
{
    snprintf(out, size, "_%s", p->title);
    for (char *c = out; *c; c++)
        if (*c == '-')
            *c = '_';
}

static bool seen_before(const struct program *p, size_t i, size_t n)
{
    for (size_t k = 0; k < i; k++)
        if (!p->commands[k].hidden && strncmp(p->commands[k].name, p->commands[i].name, n) == 0 &&
            (p->commands[k].name[n] == ' ' || !p->commands[k].name[n]))
            return true;
    return false;
}

const char *completion_word(const struct program *p, const char *group, size_t *at, char *out,
                            size_t size)
{
    size_t len = group ? strlen(group) : 0;
    for (; *at < p->count; (*at)++) {
        const struct command *c = &p->commands[*at];
        const char *name = c->name;
        if (c->hidden || (group && (strncmp(name, group, len) != 0 || name[len] != ' ')))
            continue;
        name += group ? len + 1 : 0;
        size_t n = strcspn(name, " ");
        if (!group && name[n] && seen_before(p, *at, n))
            continue;
        snprintf(out, size, "%.*s", (int)n, name);
        (*at)++;
        /* Of a group that has no summary of its own, nothing is said. */
        return name[n] ? "" : c->summary;
    }
    return NULL;
}

int cmd_completion(const struct args *a)
{
    static const struct {
        const char *shell;
        void (*print)(const struct program *p);
    } shells[] = {{"bash", completion_bash}, {"zsh", completion_zsh}, {"fish", completion_fish}};
    const char *wanted = args_operand(a, 0);
    for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
        if (strcmp(shells[i].shell, wanted) == 0) {
            shells[i].print(a->program);
            return 0;
        }
    return usage(a->command, "Invalid value for 'SHELL': '%s' is not one of 'bash', 'zsh', 'fish'.",
                 wanted);
}
