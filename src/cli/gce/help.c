/* --help and usage errors, from the table. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/gce/command.h"

#define INDENT_TEXT 2

static int width(void)
{
    struct winsize ws;
    const char *columns = getenv("COLUMNS");
    int n = columns ? atoi(columns) : 0;
    if (n <= 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0)
        n = ws.ws_col;
    if (n <= 0 || n > 80)
        n = 80;
    return n < 40 ? 40 : n;
}

/* Words of text, from column `col` on, broken at the right margin; lines keep their breaks. */
static void wrapped(FILE *out, const char *text, int indent, int col)
{
    int margin = width() - 2;
    while (*text) {
        size_t n = strcspn(text, " \n");
        if (n && col > indent && col + 1 + (int)n > margin) {
            fprintf(out, "\n%*s", indent, "");
            col = indent;
        } else if (n && col > indent) {
            fputc(' ', out);
            col++;
        }
        fprintf(out, "%.*s", (int)n, text);
        col += (int)n;
        text += n;
        if (*text == '\n') {
            fprintf(out, "\n%*s", text[1] && text[1] != '\n' ? indent : 0, "");
            col = indent;
        }
        if (*text)
            text++;
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
    wrapped(out, help, column, column);
}

void help_option_left(const struct option_def *o, char *out, size_t size)
{
    char letter[8] = "";
    if (o->letter)
        snprintf(letter, sizeof(letter), "-%c, ", o->letter);
    snprintf(out, size, "%s%s%s%s", letter, o->name, o->metavar ? " " : "",
             o->metavar ? o->metavar : "");
}

static void options(FILE *out, const struct option_def *o, int column)
{
    for (; o && o->name; o++) {
        char left[128];
        help_option_left(o, left, sizeof(left));
        if (!o->hidden)
            entry(out, left, o->help, column);
    }
}

static int widest(const struct option_def *o, int least)
{
    for (; o && o->name; o++) {
        char left[128];
        help_option_left(o, left, sizeof(left));
        if (!o->hidden && (int)strlen(left) + 4 > least)
            least = (int)strlen(left) + 4;
    }
    return least > 32 ? 32 : least;
}

static void usage_line(FILE *out, const struct command *c)
{
    if (!c)
        fprintf(out, "Usage: %s [OPTIONS] COMMAND [ARGS]...\n", command_program());
    else
        fprintf(out, "Usage: %s %s [OPTIONS]%s%s%s%s\n", command_program(), c->name,
                c->operand ? (c->rest ? " " : " [") : "", c->operand ? c->operand : "",
                c->operand && !c->rest ? "]" : "", c->rest ? " [ARGS]..." : "");
}

void help_usage(const struct command *c)
{
    usage_line(stderr, c);
    if (!c)
        fprintf(stderr, "Try '%s --help' for help.\n", command_program());
    else if (!c->common && !c->rest)
        fprintf(stderr, "Try '%s %s --help' for help.\n", command_program(), c->name);
    fputc('\n', stderr);
}

void help_all(bool to_stderr)
{
    FILE *out = to_stderr ? stderr : stdout;
    int column = 0;
    usage_line(out, NULL);
    fprintf(out, "\nOptions:\n"
                 "  -c, --config-dir TEXT  override default config dir\n"
                 "  --help                 Show this message and exit.\n"
                 "\nCommands:\n");
    for (size_t i = 0; i < commands_count; i++)
        if (!commands[i].hidden && (int)strlen(commands[i].name) + 4 > column)
            column = (int)strlen(commands[i].name) + 4;
    for (size_t i = 0; i < commands_count; i++)
        if (!commands[i].hidden)
            entry(out, commands[i].name, commands[i].summary, column);
    fprintf(out,
            "\nExamples:\n"
            "  $ %s configure --multi-user my_endpoint\n"
            "  $ %s start my_endpoint --log-to-console\n",
            command_program(), command_program());
}

void help_command(const struct command *c)
{
    const struct option_def *last = options_of_all(c);
    int column = widest(c->options, widest(last, 0));
    usage_line(stdout, c);
    printf("\n%*s", INDENT_TEXT, "");
    wrapped(stdout, c->summary, INDENT_TEXT, INDENT_TEXT);
    if (c->text) {
        printf("\n%*s", INDENT_TEXT, "");
        wrapped(stdout, c->text, INDENT_TEXT, INDENT_TEXT);
    }
    printf("\nOptions:\n");
    options(stdout, c->options, column);
    options(stdout, last, column);
    printf("\nExamples:\n");
    for (const char *line = c->examples; *line;) {
        size_t n = strcspn(line, "\n");
        printf("  $ %s %.*s\n", command_program(), (int)n, line);
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
    help_usage(c);
    fputs("Error: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return 2;
}
