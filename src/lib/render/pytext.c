/* Python's str() and repr() of a JSON or YAML value (render.h). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/render/render.h"

static void add_string(struct buf *b, const char *s, size_t len)
{
    bool single = memchr(s, '\'', len) != NULL;
    char quote = single && memchr(s, '"', len) == NULL ? '"' : '\'';
    buf_char(b, quote);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '\\' || c == (unsigned char)quote)
            buf_fmt(b, "\\%c", c);
        else if (c == '\n')
            buf_str(b, "\\n");
        else if (c == '\r')
            buf_str(b, "\\r");
        else if (c == '\t')
            buf_str(b, "\\t");
        else if (c < ' ' || c == 0x7f)
            buf_fmt(b, "\\x%02x", c);
        else
            buf_char(b, (char)c);
    }
    buf_char(b, quote);
}

/* The shortest digits that read back as the same number, in Python's form. */
static void add_float(struct buf *b, double d)
{
    char text[40];
    if (!isfinite(d)) {
        buf_str(b, isnan(d) ? "nan" : d > 0 ? "inf" : "-inf");
        return;
    }
    int digits = 1;
    do
        snprintf(text, sizeof(text), "%.*e", digits - 1, d);
    while (strtod(text, NULL) != d && digits++ < 17);
    const char *e = strchr(text, 'e');
    int exponent = atoi(e + 1);
    if (exponent < -4 || exponent >= 16) {
        buf_add(b, text, (size_t)(e - text));
        buf_fmt(b, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    int after = digits - 1 - exponent;
    buf_fmt(b, "%.*f", after > 0 ? after : 1, d);
}

/* Dates and bytes are objects with one key that begins with "!" (lib/yaml). */
static const char *special(struct json_object *o, const char *key)
{
    return json_object_object_length(o) == 1 ? json_str_or(o, key, NULL) : NULL;
}

static void add_date_repr(struct buf *b, const char *iso)
{
    int n[7] = {0};
    int got = sscanf(iso, "%d-%d-%dT%d:%d:%d.%6d", &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6]);
    if (got <= 3) {
        buf_fmt(b, "datetime.date(%d, %d, %d)", n[0], n[1], n[2]);
        return;
    }
    int shown = n[6] != 0 ? 7 : n[5] != 0 ? 6 : 5;
    buf_str(b, "datetime.datetime(");
    for (int i = 0; i < shown; i++)
        buf_fmt(b, "%s%d", i > 0 ? ", " : "", n[i]);
    if (strchr(iso + 10, '+') != NULL || strchr(iso + 10, '-') != NULL || strchr(iso, 'Z') != NULL)
        buf_str(b, ", tzinfo=datetime.timezone.utc");
    buf_char(b, ')');
}

static void add_object(struct buf *b, struct json_object *o)
{
    const char *date = special(o, "!date");
    const char *comma = "";
    if (date != NULL) {
        add_date_repr(b, date);
        return;
    }
    buf_char(b, '{');
    json_object_object_foreach(o, key, value)
    {
        buf_str(b, comma);
        add_string(b, key, strlen(key));
        buf_str(b, ": ");
        render_python_repr(b, value);
        comma = ", ";
    }
    buf_char(b, '}');
}

void render_python_repr(struct buf *b, struct json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        buf_str(b, "None");
        break;
    case json_type_boolean:
        buf_str(b, json_object_get_boolean(value) ? "True" : "False");
        break;
    case json_type_double:
        add_float(b, json_object_get_double(value));
        break;
    case json_type_int:
        buf_str(b, json_object_to_json_string(value));
        break;
    case json_type_string:
        add_string(b, json_object_get_string(value), (size_t)json_object_get_string_len(value));
        break;
    case json_type_array:
        buf_char(b, '[');
        for (size_t i = 0; i < json_object_array_length(value); i++) {
            buf_str(b, i > 0 ? ", " : "");
            render_python_repr(b, json_object_array_get_idx(value, i));
        }
        buf_char(b, ']');
        break;
    case json_type_object:
        add_object(b, value);
        break;
    }
}

void render_python_str(struct buf *b, struct json_object *value)
{
    if (json_object_is_type(value, json_type_string)) {
        buf_add(b, json_object_get_string(value), (size_t)json_object_get_string_len(value));
        return;
    }
    const char *date =
        json_object_is_type(value, json_type_object) ? special(value, "!date") : NULL;
    if (date == NULL) {
        render_python_repr(b, value);
        return;
    }
    /* str(datetime) has a blank where ISO has a T. */
    for (const char *s = date; *s != '\0'; s++)
        buf_char(b, *s == 'T' ? ' ' : *s);
}
