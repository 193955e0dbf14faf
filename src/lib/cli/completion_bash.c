/* The completion script of bash, from the table of commands. */
#include <stdio.h>
#include <string.h>

#include "lib/cli/private.h"

static void option(const struct option_def *o)
{
    printf(" %s", o->name);
}

static void file_option(const struct option_def *o)
{
    if (takes_file(o))
        printf("|%s", o->name);
}

/* -c, --config-dir: their value is no command. */
static void group_cases(const struct program *p)
{
    for (const struct option_def *o = p->group; o && o->name; o++) {
        printf("        %s", o->name);
        if (o->letter)
            printf(" | -%c", o->letter);
        printf(") ((i++)) ;;\n");
    }
}

static void words(const struct program *p, const char *group)
{
    char word[COMPLETION_NAME];
    for (size_t at = 0; completion_word(p, group, &at, word, sizeof(word));)
        printf("%s ", word);
}

/* The words that may follow the first one of "user add", ... */
static void groups(const struct program *p)
{
    char word[COMPLETION_NAME], second[COMPLETION_NAME];
    for (size_t at = 0; completion_word(p, NULL, &at, word, sizeof(word));) {
        size_t inner = 0;
        if (!completion_word(p, word, &inner, second, sizeof(second)))
            continue;
        printf("    %s) options=--help; names='", word);
        words(p, word);
        printf("' ;;\n");
    }
}

static void one(const struct program *p, const struct command *c)
{
    printf("    '%s') options='", c->name);
    completion_options(c, option);
    printf("'; names=");
    if (cli_wants(c, p->operand_of_names))
        printf("$(\"${COMP_WORDS[0]}\" _describe names 2>/dev/null)");
    else if (cli_wants_path(c))
        printf("$(compgen -f -- \"$current\")");
    else
        printf("'%s'", c->words ? c->words : "");
    printf(" ;;\n");
}

void completion_bash(const struct program *p)
{
    char function[COMPLETION_NAME];
    completion_function(p, function, sizeof(function));
    printf("# bash completion of %s; made by `%s completion bash`\n"
           "%s() {\n"
           "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
           "    local command= options= names= i\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        case ${COMP_WORDS[i]} in\n",
           p->title, p->title, function);
    group_cases(p);
    printf("        -*) ;;\n"
           "        *) command=${COMP_WORDS[i]}; break ;;\n"
           "        esac\n"
           "    done\n"
           "    case \" ");
    char word[COMPLETION_NAME], second[COMPLETION_NAME];
    for (size_t at = 0; completion_word(p, NULL, &at, word, sizeof(word));) {
        size_t inner = 0;
        if (completion_word(p, word, &inner, second, sizeof(second)))
            printf("%s ", word);
    }
    printf("\" in\n"
           "    *\" $command \"*) ((i + 1 < COMP_CWORD)) && command=\"$command "
           "${COMP_WORDS[i+1]}\" ;;\n"
           "    esac\n"
           "    case $previous in\n"
           "    ''");
    for (const struct option_def *o = p->group; o && o->name; o++)
        printf("|-%c|%s", o->letter, o->name);
    for (size_t i = 0; i < p->count; i++)
        if (!p->commands[i].hidden)
            completion_options(&p->commands[i], file_option);
    printf(") COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n"
           "    esac\n"
           "    case $command in\n"
           "    '') options='");
    for (const struct option_def *o = p->group; o && o->name; o++) {
        if (o->letter)
            printf("-%c ", o->letter);
        printf("%s ", o->name);
    }
    printf("--help'; names='");
    words(p, NULL);
    printf("' ;;\n");
    groups(p);
    for (size_t i = 0; i < p->count; i++)
        if (!p->commands[i].hidden)
            one(p, &p->commands[i]);
    printf("    esac\n"
           "    case $current in\n"
           "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$current\")) ;;\n"
           "    *) COMPREPLY=($(compgen -W \"$names\" -- \"$current\")) ;;\n"
           "    esac\n"
           "}\n"
           "complete -F %s %s%s%s\n",
           function, p->title, p->alias ? " " : "", p->alias ? p->alias : "");
}
