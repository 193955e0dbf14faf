/* See json.h. */
#include "lib/base/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"

/* json-c's strict mode still takes 'keys' in single quotes: is there one outside a string? */
static bool has_single_quotes(const char *p, size_t n)
{
    if (!memchr(p, '\'', n))
        return false;
    bool inside = false;
    for (size_t i = 0; i < n; i++) {
        if (inside && p[i] == '\\')
            i++;
        else if (p[i] == '"')
            inside = !inside;
        else if (p[i] == '\'' && !inside)
            return true;
    }
    return false;
}

/* json-c's check of UTF-8 lets through what PostgreSQL refuses: longer forms of shorter characters,
 * halves of surrogate pairs, what is beyond the last character. */
static bool has_false_utf8(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    for (size_t i = 0; i + 1 < n; i++) {
        unsigned char c = p[i], next = p[i + 1];
        if (c < 0xc0)
            continue;
        if (c < 0xc2 || c > 0xf4 || (c == 0xe0 && next < 0xa0) || (c == 0xed && next > 0x9f) ||
            (c == 0xf0 && next < 0x90) || (c == 0xf4 && next > 0x8f))
            return true;
    }
    return false;
}

struct json_object *json_read(const char *p, size_t n, size_t max, const char *what,
                              struct err *err)
{
    if (n > max || n > INT32_MAX) {
        err_code(err, EFBIG, "%s is larger than %zu bytes (%zu)", what, max, n);
        return NULL;
    }
    if (has_single_quotes(p, n)) {
        err_code(err, EINVAL, "%s is not JSON: text in single quotes", what);
        return NULL;
    }
    if (has_false_utf8(p, n)) {
        err_code(err, EINVAL, "%s is not JSON: text that is not UTF-8", what);
        return NULL;
    }
    struct json_tokener *tok = json_tokener_new_ex(JSON_DEPTH_MAX);
    if (!tok)
        abort();
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *o = json_tokener_parse_ex(tok, p, (int)n);
    enum json_tokener_error code = json_tokener_get_error(tok);
    if (code == json_tokener_continue) {
        /* A bare number ends only with what follows it. */
        o = json_tokener_parse_ex(tok, "", 1);
        code = json_tokener_get_error(tok);
        if (code == json_tokener_continue)
            code = json_tokener_error_parse_eof;
    }
    size_t at = code == json_tokener_error_parse_eof ? n : json_tokener_get_parse_end(tok);
    json_tokener_free(tok);
    if (code != json_tokener_success) {
        err_code(err, EINVAL, "%s is not JSON: %s at byte %zu", what, json_tokener_error_desc(code),
                 at);
        json_object_put(o);
        return NULL;
    }
    if (!o)
        err_code(err, EINVAL, "%s is null", what);
    return o;
}

const char *json_kind(struct json_object *o)
{
    switch (json_object_get_type(o)) {
    case json_type_null:
        return "null";
    case json_type_boolean:
        return "a boolean";
    case json_type_double:
    case json_type_int:
        return "a number";
    case json_type_object:
        return "an object";
    case json_type_array:
        return "a list";
    case json_type_string:
        return "a string";
    }
    return "something else";
}

/* 1 = found (perhaps null), 0 = absent. */
static int walk(struct json_object *o, const char *path, struct json_object **out)
{
    *out = o;
    while (*path) {
        size_t n = strcspn(path, ".");
        char key[256];
        if (n >= sizeof(key) || !json_object_is_type(*out, json_type_object))
            return 0;
        memcpy(key, path, n);
        key[n] = '\0';
        if (!json_object_object_get_ex(*out, key, out))
            return 0;
        path += n;
        if (*path)
            path++;
    }
    return 1;
}

struct json_object *json_at(struct json_object *o, const char *path)
{
    struct json_object *v;
    return walk(o, path, &v) ? v : NULL;
}

static int get(struct json_object *o, const char *path, enum json_type type, const char *wanted,
               struct json_object **out, struct err *err)
{
    struct json_object *v;
    if (!walk(o, path, &v))
        return err_set(err, "%s is missing", path);
    if (!json_object_is_type(v, type))
        return err_set(err, "%s is not %s (it is %s)", path, wanted, json_kind(v));
    *out = v;
    return 0;
}

int json_get_obj(struct json_object *o, const char *path, struct json_object **out, struct err *err)
{
    return get(o, path, json_type_object, "an object", out, err);
}

int json_get_list(struct json_object *o, const char *path, struct json_object **out,
                  struct err *err)
{
    return get(o, path, json_type_array, "a list", out, err);
}

int json_get_str(struct json_object *o, const char *path, const char **out, struct err *err)
{
    struct json_object *v = NULL;
    if (get(o, path, json_type_string, "a string", &v, err) != 0)
        return -1;
    *out = json_object_get_string(v);
    return 0;
}

int json_get_int(struct json_object *o, const char *path, int64_t *out, struct err *err)
{
    struct json_object *v = NULL;
    if (get(o, path, json_type_int, "an integer", &v, err) != 0)
        return -1;
    *out = json_object_get_int64(v);
    return 0;
}

int json_get_bool(struct json_object *o, const char *path, bool *out, struct err *err)
{
    struct json_object *v = NULL;
    if (get(o, path, json_type_boolean, "a boolean", &v, err) != 0)
        return -1;
    *out = json_object_get_boolean(v);
    return 0;
}

const char *json_str_or(struct json_object *o, const char *path, const char *otherwise)
{
    struct json_object *v = json_at(o, path);
    return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : otherwise;
}

/* --- writing ------------------------------------------------------------------------------- */

struct style {
    bool ascii;
    bool sorted;
};

static void write_ascii_str(struct buf *b, const char *s, size_t n)
{
    struct buf tmp = BUF_INIT;
    buf_json_str(&tmp, s, n); /* valid UTF-8 from here on */
    for (const unsigned char *p = (unsigned char *)tmp.data; *p;) {
        if (*p < 0x7f) {
            const unsigned char *q = p;
            while (*q && *q < 0x7f)
                q++;
            buf_add(b, p, (size_t)(q - p));
            p = q;
            continue;
        }
        uint32_t c = *p++;
        int more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        c &= more == 0 ? 0x7f : more == 1 ? 0x1f : more == 2 ? 0x0f : 0x07;
        while (more--)
            c = c << 6 | (*p++ & 0x3f);
        if (c == 0x7f)
            buf_char(b, 0x7f); /* as Python: DEL is printable ASCII to json.dumps */
        else if (c < 0x10000)
            buf_fmt(b, "\\u%04x", c);
        else
            buf_fmt(b, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
                    0xdc00 + ((c - 0x10000) & 0x3ff));
    }
    buf_free(&tmp);
}

static void write_value(struct buf *b, struct json_object *o, const struct style *style);

static void write_str(struct buf *b, const char *s, size_t n, const struct style *style)
{
    if (style->ascii)
        write_ascii_str(b, s, n);
    else
        buf_json_str(b, s, n);
}

static void write_double(struct buf *b, struct json_object *o)
{
    double d = json_object_get_double(o);
    if (!isfinite(d)) {
        buf_str(b, "null");
        return;
    }
    /* Shortest text that reads back the same, and that stays a float. */
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, d);
        if (strtod(text, NULL) == d)
            break;
    }
    buf_str(b, text);
    if (!strpbrk(text, ".e"))
        buf_str(b, ".0");
}

static int by_key(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void write_member(struct buf *b, const char *key, struct json_object *v, bool first,
                         const struct style *style)
{
    if (!first)
        buf_char(b, ',');
    write_str(b, key, strlen(key), style);
    buf_char(b, ':');
    write_value(b, v, style);
}

static void write_object(struct buf *b, struct json_object *o, const struct style *style)
{
    buf_char(b, '{');
    bool first = true;
    if (!style->sorted) {
        json_object_object_foreach(o, key, v)
        {
            write_member(b, key, v, first, style);
            first = false;
        }
    } else {
        size_t n = (size_t)json_object_object_length(o);
        const char **keys = xcalloc(n, sizeof(*keys));
        size_t i = 0;
        json_object_object_foreach(o, key, v)
        {
            (void)v;
            keys[i++] = key;
        }
        qsort(keys, n, sizeof(*keys), by_key);
        for (i = 0; i < n; i++)
            write_member(b, keys[i], json_object_object_get(o, keys[i]), i == 0, style);
        free(keys);
    }
    buf_char(b, '}');
}

static void write_value(struct buf *b, struct json_object *o, const struct style *style)
{
    switch (json_object_get_type(o)) {
    case json_type_null:
        buf_str(b, "null");
        break;
    case json_type_boolean:
        buf_str(b, json_object_get_boolean(o) ? "true" : "false");
        break;
    case json_type_double:
        write_double(b, o);
        break;
    case json_type_int:
        buf_str(b, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
        break;
    case json_type_string:
        write_str(b, json_object_get_string(o), (size_t)json_object_get_string_len(o), style);
        break;
    case json_type_array:
        buf_char(b, '[');
        for (size_t i = 0, n = json_object_array_length(o); i < n; i++) {
            if (i)
                buf_char(b, ',');
            write_value(b, json_object_array_get_idx(o, i), style);
        }
        buf_char(b, ']');
        break;
    case json_type_object:
        write_object(b, o, style);
        break;
    }
}

void json_write(struct buf *b, struct json_object *o)
{
    write_value(b, o, &(struct style){0});
}

void json_write_ascii(struct buf *b, struct json_object *o)
{
    write_value(b, o, &(struct style){.ascii = true});
}

void json_write_canonical(struct buf *b, struct json_object *o)
{
    write_value(b, o, &(struct style){.sorted = true});
}

void json_add(struct json_object *o, const char *key, struct json_object *value)
{
    if (json_object_object_add(o, key, value) != 0)
        abort(); /* only for want of memory */
}

void json_add_str(struct json_object *o, const char *key, const char *value)
{
    json_add(o, key, value ? json_object_new_string(value) : NULL);
}

void json_add_int(struct json_object *o, const char *key, int64_t value)
{
    json_add(o, key, json_object_new_int64(value));
}

void json_add_bool(struct json_object *o, const char *key, bool value)
{
    json_add(o, key, json_object_new_boolean(value));
}

void json_add_double(struct json_object *o, const char *key, double value)
{
    json_add(o, key, json_object_new_double(value));
}
