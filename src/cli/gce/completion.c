/* completion bash|zsh|fish: a completion script, made from the table of commands.
 *
 * The scripts ask for names of endpoints when one is wanted: `_describe names`. */
#include <stdio.h>
#include <string.h>

#include "cli/gce/commands.h"

static const char program[] = "globus-compute-endpoint";

static bool is_shown(const struct command *c)
{
    return !c->hidden;
}

static bool takes_value(const struct option_def *o)
{
    return o->kind != OPTION_FLAG && o->kind != OPTION_MULTI_USER;
}

static bool takes_file(const struct option_def *o)
{
    return o->kind == OPTION_FILE || o->kind == OPTION_INPUT;
}

typedef void option_f(const struct command *c, const struct option_def *o);

/* Every option that --help shows. */
static void each_option(const struct command *c, option_f *f)
{
    const struct option_def *lists[] = {c->options, options_of_all(c)};
    for (size_t i = 0; i < 2; i++)
        for (const struct option_def *o = lists[i]; o && o->name; o++)
            if (!o->hidden)
                f(c, o);
}

static bool wants_endpoint(const struct command *c)
{
    return c->operand && strcmp(c->operand, "NAME_OR_UUID") == 0;
}

/* ---- bash ---- */

static void bash_option(const struct command *c, const struct option_def *o)
{
    (void)c;
    printf(" %s", o->name);
}

static void bash_file_option(const struct command *c, const struct option_def *o)
{
    (void)c;
    if (takes_file(o))
        printf("|%s", o->name);
}

static void bash(void)
{
    printf("# bash completion of %s; made by `%s completion bash`\n"
           "_globus_compute_endpoint() {\n"
           "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
           "    local command= options= names= i\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        case ${COMP_WORDS[i]} in\n"
           "        -c | --config-dir) ((i++)) ;;\n"
           "        -*) ;;\n"
           "        *) command=${COMP_WORDS[i]}; break ;;\n"
           "        esac\n"
           "    done\n"
           "    case $previous in\n"
           "    -c|--config-dir",
           program, program);
    for (size_t i = 0; i < commands_count; i++)
        if (is_shown(&commands[i]))
            each_option(&commands[i], bash_file_option);
    printf(") COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n"
           "    esac\n"
           "    case $command in\n"
           "    '') options='-c --config-dir --help'; names='");
    for (size_t i = 0; i < commands_count; i++)
        if (is_shown(&commands[i]))
            printf("%s ", commands[i].name);
    printf("' ;;\n");
    for (size_t i = 0; i < commands_count; i++) {
        const struct command *c = &commands[i];
        if (!is_shown(c))
            continue;
        printf("    %s) options='", c->name);
        each_option(c, bash_option);
        printf("'");
        if (wants_endpoint(c))
            printf("; names=$(\"${COMP_WORDS[0]}\" _describe names 2>/dev/null)");
        if (c->run == cmd_completion)
            printf("; names='bash zsh fish'");
        printf(" ;;\n");
    }
    printf("    esac\n"
           "    case $current in\n"
           "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$current\")) ;;\n"
           "    *) COMPREPLY=($(compgen -W \"$names\" -- \"$current\")) ;;\n"
           "    esac\n"
           "}\n"
           "complete -F _globus_compute_endpoint %s gce\n",
           program);
}

/* ---- zsh ---- */

/* Inside single quotes, and inside [...] of _arguments. */
static void zsh_text(const char *s)
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

static void zsh_option(const struct command *c, const struct option_def *o)
{
    (void)c;
    printf(" \\\n            '%s[", o->name);
    zsh_text(o->help);
    putchar(']');
    if (takes_value(o))
        printf(":%s:%s", o->metavar, takes_file(o) ? "_files" : "");
    putchar('\'');
}

static void zsh(void)
{
    printf("#compdef %s gce\n"
           "# zsh completion; made by `%s completion zsh`\n"
           "_globus_compute_endpoint_names() {\n"
           "    local -a names\n"
           "    names=(${(f)\"$(%s _describe names 2>/dev/null)\"})\n"
           "    compadd -a names\n"
           "}\n"
           "_globus_compute_endpoint() {\n"
           "    local curcontext=$curcontext state line\n"
           "    local -a commands\n"
           "    commands=(\n",
           program, program, program);
    for (size_t i = 0; i < commands_count; i++) {
        if (!is_shown(&commands[i]))
            continue;
        printf("        '%s:", commands[i].name);
        zsh_text(commands[i].summary);
        printf("'\n");
    }
    printf("    )\n"
           "    _arguments -C \\\n"
           "        '(-c --config-dir)'{-c,--config-dir}'[override default config "
           "dir]:TEXT:_files -/' \\\n"
           "        '--help[Show this message and exit.]' \\\n"
           "        '1: :->command' '*:: :->rest'\n"
           "    case $state in\n"
           "    command) _describe command commands ;;\n"
           "    rest)\n"
           "        case $line[1] in\n");
    for (size_t i = 0; i < commands_count; i++) {
        const struct command *c = &commands[i];
        if (!is_shown(c))
            continue;
        printf("        %s)\n            _arguments", c->name);
        each_option(c, zsh_option);
        if (wants_endpoint(c))
            printf(" \\\n            '1: :_globus_compute_endpoint_names'");
        if (c->run == cmd_completion)
            printf(" \\\n            '1: :(bash zsh fish)'");
        printf(" ;;\n");
    }
    printf("        esac ;;\n"
           "    esac\n"
           "}\n"
           "if [ \"$funcstack[1]\" = _globus_compute_endpoint ]; then\n"
           "    _globus_compute_endpoint \"$@\"\n"
           "else\n"
           "    compdef _globus_compute_endpoint %s gce\n"
           "fi\n",
           program);
}

/* ---- fish ---- */

static void fish_text(const char *s)
{
    putchar('\'');
    for (; *s; s++) {
        if (*s == '\'' || *s == '\\')
            putchar('\\');
        putchar(*s == '\n' ? ' ' : *s);
    }
    putchar('\'');
}

static void fish_option(const struct command *c, const struct option_def *o)
{
    printf("complete -c %s -n '__fish_seen_subcommand_from %s'", program, c->name);
    if (o->letter)
        printf(" -s %c", o->letter);
    printf(" -l %s%s -d ", o->name + 2, takes_file(o) ? " -r -F" : takes_value(o) ? " -x" : "");
    fish_text(o->help);
    putchar('\n');
}

static void fish(void)
{
    printf("# fish completion; made by `%s completion fish`\n"
           "complete -c gce -w %s\n"
           "complete -c %s -f\n"
           "complete -c %s -n __fish_use_subcommand -s c -l config-dir -r -F -d "
           "'override default config dir'\n",
           program, program, program, program);
    for (size_t i = 0; i < commands_count; i++) {
        const struct command *c = &commands[i];
        if (!is_shown(c))
            continue;
        printf("complete -c %s -n __fish_use_subcommand -a %s -d ", program, c->name);
        fish_text(c->summary);
        putchar('\n');
        each_option(c, fish_option);
        if (wants_endpoint(c))
            printf("complete -c %s -n '__fish_seen_subcommand_from %s' -a '(%s _describe names "
                   "2>/dev/null)'\n",
                   program, c->name, program);
        if (c->run == cmd_completion)
            printf("complete -c %s -n '__fish_seen_subcommand_from %s' -a 'bash zsh fish'\n",
                   program, c->name);
    }
}

int cmd_completion(const struct args *a)
{
    static const struct {
        const char *shell;
        void (*print)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    if (!a->operand)
        return usage(a->command, "Missing argument 'SHELL'.");
    for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
        if (strcmp(shells[i].shell, a->operand) == 0) {
            shells[i].print();
            return 0;
        }
    return usage(a->command, "Invalid value for 'SHELL': '%s' is not one of 'bash', 'zsh', 'fish'.",
                 a->operand);
}
