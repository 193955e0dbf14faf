/* Printing what a command found: JSON, or a table for people. */
#ifndef SALLYPORT_CLI_SHOW_H
#define SALLYPORT_CLI_SHOW_H

#include "lib/base/json.h"

#define OPTION_JSON                                                                                \
    {                                                                                              \
        "--json", 0, NULL, "Print JSON"                                                            \
    }

struct show_column {
    const char *title; /* ends the table with NULL */
    const char *key;
    enum { SHOW_TEXT, SHOW_TIME, SHOW_FLAG } kind;
};

void show_json(struct json_object *o); /* indented, with a line end */
/* empty: the line that is printed instead of an empty table. */
void show_table(struct json_object *list, const struct show_column *columns, const char *empty);

#endif
