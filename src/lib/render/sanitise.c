/* Values of users as data: see private.h. */
#include "lib/render/private.h"

#include <math.h>
#include <string.h>

/* The code point at *s, *s moved behind it; U+FFFD for bytes that aren't UTF-8. */
static uint32_t next_character(const unsigned char **s, const unsigned char *end)
{
    unsigned char c = *(*s)++;
    unsigned more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc2 ? 1 : 0;
    if (c < 0x80)
        return c;
    if (more == 0 || c > 0xf4 || (size_t)(end - *s) < more)
        return 0xfffd;
    uint32_t code = c & (0x3f >> more);
    for (unsigned i = 0; i < more; i++) {
        if (((*s)[i] & 0xc0) != 0x80)
            return 0xfffd;
        code = code << 6 | ((*s)[i] & 0x3f);
    }
    *s += more;
    return code;
}

/* As Python's json.dumps(), but for characters beyond U+FFFF: its surrogate pairs would reach the
 * user endpoint as two halves, YAML's \UXXXXXXXX arrives whole in every reader. */
static void add_literal(struct buf *b, const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    const unsigned char *end = s + len;
    buf_char(b, '"');
    while (s < end) {
        uint32_t c = next_character(&s, end);
        static const char named[] = "\"\"\\\\\nn\rr\tt\bb\ff";
        const char *at = c != 0 && c < 0x80 ? strchr(named, (int)c) : NULL;
        /* named[] holds pairs: what it is, and what stands for it. */
        if (at != NULL && (at - named) % 2 == 0)
            buf_fmt(b, "\\%c", at[1]);
        else if (c >= ' ' && c <= '~')
            buf_char(b, (char)c);
        else if (c < 0x10000)
            buf_fmt(b, "\\u%04x", c);
        else
            buf_fmt(b, "\\U%08x", c);
    }
    buf_char(b, '"');
}

static struct json_object *literal(struct json_object *value)
{
    autobuf struct buf b = BUF_INIT;
    add_literal(&b, json_object_get_string(value), (size_t)json_object_get_string_len(value));
    return json_object_new_string_len(b.data, (int)b.len);
}

static struct json_object *special_float(double d)
{
    struct json_object *o = json_object_new_object();
    json_add_str(o, "!float", isnan(d) ? "nan" : d > 0 ? "inf" : "-inf");
    return o;
}

struct json_object *render_sanitise(struct json_object *value)
{
    struct json_object *out;
    switch (json_object_get_type(value)) {
    case json_type_null:
        return json_object_new_string("null");
    case json_type_string:
        return literal(value);
    case json_type_double:
        if (!isfinite(json_object_get_double(value)))
            return special_float(json_object_get_double(value));
        return json_object_get(value);
    case json_type_array:
        out = json_object_new_array();
        for (size_t i = 0; i < json_object_array_length(value); i++)
            json_object_array_add(out, render_sanitise(json_object_array_get_idx(value, i)));
        return out;
    case json_type_object:
        out = json_object_new_object();
        json_object_object_foreach(value, key, member)
        {
            json_add(out, key, render_sanitise(member));
        }
        return out;
    default:
        return json_object_get(value);
    }
}

/* A name with a line break or another control character, which a template that prints names would
 * write as it is. */
static bool is_bad_key(const char *key)
{
    const unsigned char *s = (const unsigned char *)key;
    const unsigned char *end = s + strlen(key);
    while (s < end) {
        uint32_t c = next_character(&s, end);
        if (c < ' ' || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfffd)
            return true;
    }
    return false;
}

const char *render_bad_key(struct json_object *value)
{
    if (json_object_is_type(value, json_type_array))
        for (size_t i = 0; i < json_object_array_length(value); i++) {
            const char *bad = render_bad_key(json_object_array_get_idx(value, i));
            if (bad != NULL)
                return bad;
        }
    if (json_object_is_type(value, json_type_object)) {
        json_object_object_foreach(value, key, member)
        {
            const char *bad = is_bad_key(key) ? key : render_bad_key(member);
            if (bad != NULL)
                return bad;
        }
    }
    return NULL;
}
