/* What a command found, for programs: indented JSON. */
#ifndef SALLYPORT_CLI_SHOW_H
#define SALLYPORT_CLI_SHOW_H

#include "lib/base/json.h"

#define OPTION_JSON                                                                                \
    {                                                                                              \
        "--json", 0, OPTION_FLAG, NULL, "Print JSON"                                               \
    }

/* On standard output, with a line end; an empty list or object on one line. */
void show_json(struct json_object *o);

#endif
