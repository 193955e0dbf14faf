/* Printing what a command found as a table for people; lib/cli/show.h has JSON. */
#ifndef SALLYPORT_SALLYPORT_SHOW_H
#define SALLYPORT_SALLYPORT_SHOW_H

#include "lib/cli/cli.h"
#include "lib/cli/show.h"

struct show_column {
    const char *title; /* ends the table with NULL */
    const char *key;
    enum { SHOW_TEXT, SHOW_TIME, SHOW_FLAG } kind;
};

/* empty: the line that is printed instead of an empty table. */
void show_table(struct json_object *list, const struct show_column *columns, const char *empty);

/* The end of a command that lists: unless rc says that it failed, the list as --json or as a table.
 * The list is put; returns rc. */
int show_list(const struct args *a, int rc, struct json_object *list,
              const struct show_column *columns, const char *empty);

#endif
