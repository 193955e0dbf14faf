/* See yamlout.h. */
#include "cli/gce/yamlout.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/yaml/yaml.h"

/* Plain style is safe when the reader would give the very text back: no type, no indicator. */
static bool is_plain(const char *s, size_t n)
{
    bool is_null = false;
    if (n == 0 || s[0] == ' ' || s[n - 1] == ' ' || s[n - 1] == ':')
        return false;
    if (strchr("-?:,[]{}#&*!|>'\"%@`=<", s[0]))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 0x20 || (unsigned char)s[i] >= 0x7f)
            return false;
    if (strstr(s, ": ") || strstr(s, " #"))
        return false;
    autojson struct json_object *read = yaml_plain_scalar(s, n, &is_null);
    return !is_null && json_object_is_type(read, json_type_string);
}

static void text(struct buf *b, const char *s, size_t n)
{
    autobuf struct buf ascii = BUF_INIT;
    if (is_plain(s, n)) {
        buf_add(b, s, n);
        return;
    }
    autojson struct json_object *value = json_object_new_string_len(s, (int)n);
    json_write_ascii(&ascii, value); /* a JSON string is a double-quoted YAML one */
    buf_add(b, ascii.data, ascii.len);
}

static void number(struct buf *b, double d)
{
    char out[64];
    if (isnan(d) || isinf(d)) {
        buf_str(b, isnan(d) ? ".nan" : d > 0 ? ".inf" : "-.inf");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) { /* the shortest that reads back the same */
        snprintf(out, sizeof(out), "%.*g", digits, d);
        if (strtod(out, NULL) == d)
            break;
    }
    char *e = strchr(out, 'e');
    if (!strchr(out, '.')) { /* YAML 1.1 wants a dot */
        char *tail = xstrdup(e ? e : "");
        if (e)
            *e = '\0';
        buf_fmt(b, "%s.0%s", out, tail);
        free(tail);
    } else {
        buf_str(b, out);
    }
}

static const char *date_of(struct json_object *o)
{
    struct json_object *date = NULL;
    if (json_object_is_type(o, json_type_object) && json_object_object_length(o) == 1 &&
        json_object_object_get_ex(o, "!date", &date))
        return json_object_get_string(date);
    return NULL;
}

static void scalar(struct buf *b, struct json_object *o)
{
    if (date_of(o))
        buf_str(b, date_of(o));
    else if (!o)
        buf_str(b, "null");
    else if (json_object_is_type(o, json_type_string))
        text(b, json_object_get_string(o), (size_t)json_object_get_string_len(o));
    else if (json_object_is_type(o, json_type_double))
        number(b, json_object_get_double(o));
    else
        json_write(b, o); /* integers, booleans, {} and [] */
}

static bool is_block(struct json_object *o)
{
    if (json_object_is_type(o, json_type_object))
        return json_object_object_length(o) > 0 && !date_of(o);
    return json_object_is_type(o, json_type_array) && json_object_array_length(o) > 0;
}

static void node(struct buf *b, struct json_object *o, int indent, bool in_line);

static void mapping(struct buf *b, struct json_object *o, int indent, bool in_line)
{
    json_object_object_foreach(o, key, value)
    {
        if (!in_line)
            buf_fmt(b, "%*s", indent, "");
        in_line = false;
        text(b, key, strlen(key));
        buf_char(b, ':');
        if (is_block(value)) {
            buf_char(b, '\n');
            /* a list sits at the level of its key, as PyYAML writes it */
            node(b, value, json_object_is_type(value, json_type_array) ? indent : indent + 2,
                 false);
        } else {
            buf_char(b, ' ');
            scalar(b, value);
            buf_char(b, '\n');
        }
    }
}

static void list(struct buf *b, struct json_object *o, int indent, bool in_line)
{
    for (size_t i = 0; i < json_object_array_length(o); i++) {
        struct json_object *value = json_object_array_get_idx(o, i);
        if (!in_line)
            buf_fmt(b, "%*s", indent, "");
        in_line = false;
        buf_str(b, "- ");
        node(b, value, indent + 2, true);
    }
}

static void node(struct buf *b, struct json_object *o, int indent, bool in_line)
{
    if (!is_block(o)) {
        scalar(b, o);
        buf_char(b, '\n');
    } else if (json_object_is_type(o, json_type_array)) {
        list(b, o, indent, in_line);
    } else {
        mapping(b, o, indent, in_line);
    }
}

void yaml_write(struct buf *b, struct json_object *tree)
{
    node(b, tree, 0, false);
}
