/* Tables drawn with + - | =, headers centred, cells left, as the original's. */
#ifndef SALLYPORT_CLI_TABLE_H
#define SALLYPORT_CLI_TABLE_H

#include <stdio.h>

struct table;

struct table *table_create(const char *const *headers); /* NULL-terminated */
void table_row(struct table *t, const char *const *cells);
/* At most `width` columns; when that is too few, column `fungible` shrinks to at least `least` and
 * its cells wrap (-1: all columns share the loss). */
void table_print(const struct table *t, FILE *out, int width, int fungible, int least);
void table_destroy(struct table *t);

/* COLUMNS, else the terminal's width, else 80. */
int table_terminal_width(void);

#endif
