/* See table.h. */
#include "cli/gce/table.h"

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

/* Bytes of the next piece of text that fit in `width` characters, broken at a blank if there is
 * one; *skip = the blank after it. */
static size_t piece(const char *text, int width, size_t *skip)
{
    size_t bytes = 0, blank = 0;
    int n = 0;
    *skip = 0;
    while (text[bytes] && n < width) {
        if (text[bytes] == ' ')
            blank = bytes;
        do
            bytes++;
        while (((unsigned char)text[bytes] & 0xc0) == 0x80);
        n++;
    }
    if (!text[bytes])
        return bytes;
    if (text[bytes] == ' ')
        *skip = 1;
    else if (blank > 0) {
        bytes = blank;
        *skip = 1;
    }
    return bytes;
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
