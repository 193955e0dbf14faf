/* See table.h. */
#include "lib/cli/table.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/base/alloc.h"

#define COLUMNS_MAX 8

struct table {
    size_t columns;
    size_t rows; /* the header is row 0 */
    char **cells;
};

static size_t characters(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

struct table *table_create(const char *const *headers)
{
    struct table *t = xcalloc(1, sizeof(*t));
    while (t->columns < COLUMNS_MAX && headers[t->columns])
        t->columns++;
    table_row(t, headers);
    return t;
}

void table_row(struct table *t, const char *const *cells)
{
    t->cells = xrealloc(t->cells, (t->rows + 1) * t->columns * sizeof(*t->cells));
    for (size_t i = 0; i < t->columns; i++)
        t->cells[t->rows * t->columns + i] = xstrdup(cells[i]);
    t->rows++;
}

void table_destroy(struct table *t)
{
    for (size_t i = 0; i < t->rows * t->columns; i++)
        free(t->cells[i]);
    free(t->cells);
    free(t);
}

static void measure(const struct table *t, int total, int fungible, int least, int *width)
{
    int sum = 0;
    int frame = (int)t->columns * 3 + 1;
    for (size_t i = 0; i < t->columns; i++) {
        width[i] = 1;
        for (size_t r = 0; r < t->rows; r++) {
            int n = (int)characters(t->cells[r * t->columns + i]);
            width[i] = n > width[i] ? n : width[i];
        }
        sum += width[i];
    }
    if (sum + frame <= total)
        return;
    if (fungible >= 0) {
        int left = width[fungible] - (sum + frame - total);
        width[fungible] = left > least ? left : least;
        return;
    }
    int share = (total - frame) / (int)t->columns;
    int spare = total - frame;
    size_t wide = 0;
    for (size_t i = 0; i < t->columns; i++) {
        wide += width[i] > share;
        spare -= width[i] > share ? 0 : width[i];
    }
    for (size_t i = 0; i < t->columns; i++)
        if (width[i] > share)
            width[i] = spare / (int)wide > 1 ? spare / (int)wide : 1;
}

static void rule(FILE *out, const int *width, size_t n, char c)
{
    for (size_t i = 0; i < n; i++) {
        fputc('+', out);
        for (int k = 0; k < width[i] + 2; k++)
            fputc(c, out);
    }
    fputs("+\n", out);
}

static size_t next_character(const char *s, size_t at)
{
    do
        at++;
    while (((unsigned char)s[at] & 0xc0) == 0x80);
    return at;
}

/* A hyphen between words: two letters before it, two behind. */
static bool is_joint(const char *s, size_t at)
{
    return s[at] == '-' && at >= 2 && isalpha((unsigned char)s[at - 1]) &&
           isalpha((unsigned char)s[at - 2]) && isalpha((unsigned char)s[at + 1]) &&
           isalpha((unsigned char)s[at + 2]);
}

/* Where the part that begins at `at` ends: a word, or what of it is not broken at a hyphen. */
static size_t part_end(const char *s, size_t at)
{
    while (s[at] == ' ')
        at++;
    while (s[at] && s[at] != ' ' && !is_joint(s, at))
        at++;
    return at + (s[at] == '-');
}

static int characters_in(const char *s, size_t from, size_t to)
{
    int n = 0;
    for (; from < to; from = next_character(s, from))
        n++;
    return n;
}

/* As much of an overlong part as fits in `room`, behind its last hyphen if it has one there. */
static size_t cut(const char *s, size_t from, int room)
{
    size_t hyphen = 0, to = from;
    for (int n = 0; n < room; n++) {
        if (s[to] == '-' && to > from)
            hyphen = to + 1;
        to = next_character(s, to);
    }
    return hyphen ? hyphen : to;
}

/* Bytes of the next line of a cell, `width` characters wide, by the rules of Python's textwrap;
 * *skip = the blank behind it. */
static size_t piece(const char *text, int width, size_t *skip)
{
    size_t end = 0;
    int used = 0;
    while (text[end]) {
        size_t next = part_end(text, end);
        int n = characters_in(text, end, next);
        if (used + n > width) {
            if (n > width && used < width)
                end = cut(text, end, width - used);
            break;
        }
        used += n;
        end = next;
    }
    *skip = text[end] == ' ';
    return end;
}

static void cell(FILE *out, const char *text, size_t bytes, int width, bool centred)
{
    autofree char *part = xstrndup(text, bytes);
    int room = width - (int)characters(part);
    int before = centred ? room / 2 : 0;
    fprintf(out, "| %*s%s%*s ", before, "", part, room - before, "");
}

static void row(const struct table *t, FILE *out, size_t r, const int *width)
{
    const char *at[COLUMNS_MAX];
    bool more = true;
    for (size_t i = 0; i < t->columns; i++)
        at[i] = t->cells[r * t->columns + i];
    while (more) {
        more = false;
        for (size_t i = 0; i < t->columns; i++) {
            size_t skip;
            size_t bytes = piece(at[i], width[i], &skip);
            cell(out, at[i], bytes, width[i], r == 0);
            at[i] += bytes + skip;
            more |= *at[i] != '\0';
        }
        fputs("|\n", out);
    }
}

void table_print(const struct table *t, FILE *out, int width, int fungible, int least)
{
    int widths[COLUMNS_MAX];
    measure(t, width, fungible, least, widths);
    rule(out, widths, t->columns, '-');
    for (size_t r = 0; r < t->rows; r++) {
        row(t, out, r, widths);
        rule(out, widths, t->columns, r == 0 ? '=' : '-');
    }
}

int table_terminal_width(void)
{
    struct winsize ws;
    const char *columns = getenv("COLUMNS");
    int n = columns ? atoi(columns) : 0;
    if (n <= 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0)
        n = ws.ws_col;
    return n > 0 ? n : 80;
}
