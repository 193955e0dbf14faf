/* The completion script of zsh, from the table of commands. */
#include <stdio.h>
#include <string.h>

#include "lib/cli/private.h"

/* Inside single quotes, and inside [...] of _arguments. */
static void text(const char *s)
{
    for (; *s; s++) {
        if (*s == '\'')
            printf("'\\''");
        else if (strchr("[]:\\", *s))
            printf("\\%c", *s);
        else
            putchar(*s == '\n' ? ' ' : *s);
    }
}

static void option(const struct option_def *o)
{
    printf(" \\\n            '%s%s[", o->repeats ? "*" : "", o->name);
    text(o->help);
    putchar(']');
    if (takes_value(o)) {
        printf(":%s:%s", o->metavar, takes_file(o) ? "_files" : "");
    }
    putchar('\'');
}

static void group_options(const struct program *p)
{
    for (const struct option_def *o = p->group; o && o->name; o++) {
        printf("        '(-%c %s)'{-%c,%s}'[", o->letter, o->name, o->letter, o->name);
        text(o->help);
        printf("]:%s:_files -/' \\\n", o->metavar);
    }
}

/* compadd of the words that may come first, or behind `group`. */
static void commands(const struct program *p, const char *group)
{
    char word[COMPLETION_NAME];
    const char *summary;
    printf("(\n");
    for (size_t at = 0; (summary = completion_word(p, group, &at, word, sizeof(word)));) {
        printf("        '%s:", word);
        text(summary);
        printf("'\n");
    }
    printf("    )\n");
}

static void one(const struct program *p, const struct command *c, const char *function)
{
    printf("        '%s')\n            _arguments", c->name);
    completion_options(c, option);
    if (cli_wants(c, p->operand_of_names))
        printf(" \\\n            '1: :%s_names'", function);
    else if (cli_wants_path(c))
        printf(" \\\n            '*: :_files'");
    else if (c->words)
        printf(" \\\n            '1: :(%s)'", c->words);
    printf(" ;;\n");
}

static void groups(const struct program *p)
{
    char word[COMPLETION_NAME], second[COMPLETION_NAME];
    for (size_t at = 0; completion_word(p, NULL, &at, word, sizeof(word));) {
        size_t inner = 0;
        if (!completion_word(p, word, &inner, second, sizeof(second)))
            continue;
        printf("        %s)\n"
               "            if ((CURRENT == 2)); then\n"
               "                commands=",
               word);
        commands(p, word);
        printf("                _describe command commands\n"
               "                return\n"
               "            fi\n"
               "            command=\"$line[1] $words[2]\"; shift words; ((CURRENT--)) ;;\n");
    }
}

void completion_zsh(const struct program *p)
{
    char function[COMPLETION_NAME];
    const char *alias = p->alias ? p->alias : "";
    completion_function(p, function, sizeof(function));
    printf("#compdef %s%s%s\n"
           "# zsh completion; made by `%s completion zsh`\n",
           p->title, *alias ? " " : "", alias, p->title);
    if (p->operand_of_names)
        printf("%s_names() {\n"
               "    local -a names\n"
               "    names=(${(f)\"$(%s _describe names 2>/dev/null)\"})\n"
               "    compadd -a names\n"
               "}\n",
               function, p->title);
    printf("%s() {\n"
           "    local curcontext=$curcontext state line command\n"
           "    local -a commands\n"
           "    commands=",
           function);
    commands(p, NULL);
    printf("    _arguments -C \\\n");
    group_options(p);
    printf("        '--help[Show this message and exit.]' \\\n"
           "        '1: :->command' '*:: :->rest'\n"
           "    case $state in\n"
           "    command) _describe command commands ;;\n"
           "    rest)\n"
           "        command=$line[1]\n"
           "        case $command in\n");
    groups(p);
    printf("        esac\n"
           "        case $command in\n");
    for (size_t i = 0; i < p->count; i++)
        if (!p->commands[i].hidden)
            one(p, &p->commands[i], function);
    printf("        esac ;;\n"
           "    esac\n"
           "}\n"
           "if [ \"$funcstack[1]\" = _%s ]; then\n" /* autoloaded: named as its file is */
           "    %s \"$@\"\n"
           "else\n"
           "    compdef %s %s%s%s\n"
           "fi\n",
           p->title, function, function, p->title, *alias ? " " : "", alias);
}
