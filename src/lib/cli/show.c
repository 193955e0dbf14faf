#include "lib/cli/show.h"

#include <stdio.h>

void show_json(struct json_object *o)
{
    const int how =
        JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE;
    bool is_empty = json_object_is_type(o, json_type_array) && json_object_array_length(o) == 0;
    puts(is_empty ? "[]" : json_object_to_json_string_ext(o, how));
}
