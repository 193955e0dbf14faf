/* --help and usage errors, from the table. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/sallyport/command.h"

#define MARGIN 78

static void wrapped(FILE *out, const char *text, int indent)
{
    int col = indent;
    while (*text) {
        size_t n = strcspn(text, " ");
        if (col > indent && col + 1 + (int)n > MARGIN) {
            fprintf(out, "\n%*s", indent, "");
            col = indent;
        } else if (n && col > indent) {
            fputc(' ', out);
            col++;
        }
        fprintf(out, "%.*s", (int)n, text);
        col += (int)n;
        text += n + (text[n] == ' ');
    }
    fputc('\n', out);
}

static void entry(FILE *out, const char *left, const char *help, int column)
{
    int n = fprintf(out, "  %s", left);
    if (n > column - 2) {
        fputc('\n', out);
        n = 0;
    }
    fprintf(out, "%*s", column - n, "");
    wrapped(out, help, column);
}

static void usage_line(FILE *out, const struct command *c)
{
    if (!c)
        fprintf(out, "Usage: sallyport COMMAND [OPTIONS] [ARGS]...\n");
    else
        fprintf(out, "Usage: sallyport %s%s%s%s\n", c->name, c->options ? " [OPTIONS]" : "",
                c->operands ? " " : "", c->operands ? c->operands : "");
}

static bool belongs(const struct command *c, const char *prefix)
{
    size_t n = prefix ? strlen(prefix) : 0;
    return !c->hidden && (!prefix || (strncmp(c->name, prefix, n) == 0 && c->name[n] == ' '));
}

void help_all(bool to_stderr, const char *prefix)
{
    FILE *out = to_stderr ? stderr : stdout;
    int column = 0;
    usage_line(out, NULL);
    fprintf(out, "\nCommands:\n");
    for (size_t i = 0; i < commands_count; i++)
        if (belongs(&commands[i], prefix) && (int)strlen(commands[i].name) + 4 > column)
            column = (int)strlen(commands[i].name) + 4;
    for (size_t i = 0; i < commands_count; i++)
        if (belongs(&commands[i], prefix))
            entry(out, commands[i].name, commands[i].summary, column);
    fprintf(out, "\nTry 'sallyport COMMAND --help' for a command's options.\n");
}

static void option_entry(const struct option_def *o)
{
    char left[96], letter[8] = "";
    if (o->letter)
        snprintf(letter, sizeof(letter), "-%c, ", o->letter);
    snprintf(left, sizeof(left), "%s%s%s%s", letter, o->name, o->metavar ? " " : "",
             o->metavar ? o->metavar : "");
    entry(stdout, left, o->help, 24);
}

void help_command(const struct command *c)
{
    static const struct option_def common[] = {{"--debug", 0, NULL, "Log more"},
                                               {"--help", 'h', NULL, "Show this text"}};
    usage_line(stdout, c);
    printf("\n  ");
    wrapped(stdout, c->summary, 2);
    if (c->text) {
        printf("\n  ");
        wrapped(stdout, c->text, 2);
    }
    printf("\nOptions:\n");
    for (const struct option_def *o = c->options; o && o->name; o++)
        option_entry(o);
    option_entry(&common[0]);
    option_entry(&common[1]);
    printf("\nExamples:\n");
    for (const char *line = c->examples; line && *line;) {
        size_t n = strcspn(line, "\n");
        printf("  $ sallyport %.*s\n", (int)n, line);
        line += n + (line[n] == '\n');
    }
}

int fail(const char *fmt, ...)
{
    va_list ap;
    fputs("Error: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return 1;
}

int usage(const struct command *c, const char *fmt, ...)
{
    va_list ap;
    usage_line(stderr, c);
    fprintf(stderr, "Try 'sallyport %s%s--help' for help.\n\nError: ", c ? c->name : "",
            c ? " " : "");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return 2;
}
