/* --help and usage errors, from the table. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/cli/private.h"

#define INDENT_TEXT 2
#define COLUMN_MAX 32

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

/* A heading, bold on a terminal. */
static void heading(FILE *out, const char *text)
{
    bool bold = cli_colours(fileno(out));
    fprintf(out, "\n%s%s%s\n", bold ? "\033[1m" : "", text, bold ? "\033[m" : "");
}

static void examples(FILE *out, const char *text)
{
    heading(out, "Examples:");
    for (const char *line = text; line && *line;) {
        size_t n = strcspn(line, "\n");
        fprintf(out, "  $ %s %.*s\n", cli_name(), (int)n, line);
        line += n + (line[n] == '\n');
    }
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
    return least > COLUMN_MAX ? COLUMN_MAX : least;
}

static void usage_line(FILE *out, const struct command *c)
{
    if (!c)
        fprintf(out, "Usage: %s %s\n", cli_name(), cli_program->synopsis);
    else
        fprintf(out, "Usage: %s %s [OPTIONS]%s%s%s\n", cli_name(), c->name, c->operands ? " " : "",
                c->operands ? c->operands : "", c->rest ? " [ARGS]..." : "");
}

/* Commands that have -h say no more, as the original's. */
static bool has_short_help(const struct command *c)
{
    for (const struct option_def *o = cli_shared(c); o->name; o++)
        if (o->letter == 'h')
            return true;
    return false;
}

static void help_usage(const struct command *c)
{
    usage_line(stderr, c);
    if (!c)
        fprintf(stderr, "Try '%s --help' for help.\n", cli_name());
    else if (!has_short_help(c))
        fprintf(stderr, "Try '%s %s --help' for help.\n", cli_name(), c->name);
    fputc('\n', stderr);
}

static bool is_shown(const struct command *c, const char *prefix)
{
    size_t n = prefix ? strlen(prefix) : 0;
    return !c->hidden && (!prefix || (strncmp(c->name, prefix, n) == 0 && c->name[n] == ' '));
}

void help_all(const struct program *p, bool to_stderr, const char *prefix)
{
    static const struct option_def help[] = {
        {"--help", 0, OPTION_FLAG, NULL, "Show this message and exit."}, {NULL}};
    FILE *out = to_stderr ? stderr : stdout;
    int column = 0, left = widest(p->group, widest(help, 0));
    usage_line(out, NULL);
    heading(out, "Options:");
    options(out, p->group, left);
    options(out, help, left);
    heading(out, "Commands:");
    for (size_t i = 0; i < p->count; i++)
        if (is_shown(&p->commands[i], prefix) && (int)strlen(p->commands[i].name) + 4 > column)
            column = (int)strlen(p->commands[i].name) + 4;
    for (size_t i = 0; i < p->count; i++)
        if (is_shown(&p->commands[i], prefix))
            entry(out, p->commands[i].name, p->commands[i].summary, column);
    if (!prefix)
        examples(out, p->examples);
}

void help_command(const struct command *c)
{
    const struct option_def *last = cli_shared(c);
    int column = widest(c->options, widest(last, 0));
    usage_line(stdout, c);
    printf("\n%*s", INDENT_TEXT, "");
    wrapped(stdout, c->summary, INDENT_TEXT, INDENT_TEXT);
    if (c->text) {
        printf("\n%*s", INDENT_TEXT, "");
        wrapped(stdout, c->text, INDENT_TEXT, INDENT_TEXT);
    }
    heading(stdout, "Options:");
    options(stdout, c->options, column);
    options(stdout, last, column);
    examples(stdout, c->examples);
}

static void say_error(const char *fmt, va_list ap)
{
    fputs("Error: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

int fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say_error(fmt, ap);
    va_end(ap);
    return 1;
}

int usage(const struct command *c, const char *fmt, ...)
{
    va_list ap;
    help_usage(c);
    va_start(ap, fmt);
    say_error(fmt, ap);
    va_end(ap);
    return 2;
}
