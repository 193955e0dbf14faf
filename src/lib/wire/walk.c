#include "lib/wire/walk.h"

#include <string.h>

static int wrong(struct walk *w, const char *what)
{
    w->wrong = what;
    return -1;
}

static void skip_space(struct walk *w)
{
    while (w->p < w->end && (*w->p == ' ' || *w->p == '\t' || *w->p == '\n' || *w->p == '\r'))
        w->p++;
}

/* Length of the UTF-8 sequence at p (its first byte is not ASCII), or 0 when it is not one. */
static size_t utf8_len(const char *p, const char *end)
{
    unsigned char a = (unsigned char)p[0];
    size_t n = a >= 0xf0 ? 4 : a >= 0xe0 ? 3 : 2;
    if (a < 0xc2 || a > 0xf4 || (size_t)(end - p) < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if (((unsigned char)p[i] & 0xc0) != 0x80)
            return 0;
    unsigned char b = (unsigned char)p[1];
    bool overlong = (a == 0xe0 && b < 0xa0) || (a == 0xf0 && b < 0x90);
    bool outside = (a == 0xed && b > 0x9f) || (a == 0xf4 && b > 0x8f);
    return overlong || outside ? 0 : n;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static int walk_escape(struct walk *w)
{
    if (w->end - w->p < 2)
        return wrong(w, "unterminated string");
    if (w->p[1] != 'u') {
        if (!memchr("\"\\/bfnrt", w->p[1], 8))
            return wrong(w, "unknown escape in a string");
        w->p += 2;
        return 0;
    }
    if (w->end - w->p < 6)
        return wrong(w, "unterminated string");
    for (int i = 2; i < 6; i++)
        if (!is_hex(w->p[i]))
            return wrong(w, "bad \\u escape in a string");
    w->p += 6;
    return 0;
}

/* At the opening quote. */
static int walk_string(struct walk *w)
{
    for (w->p++; w->p < w->end;) {
        unsigned char c = (unsigned char)*w->p;
        if (c == '"') {
            w->p++;
            return 0;
        }
        if (c == '\\') {
            if (walk_escape(w) != 0)
                return -1;
        } else if (c < 0x20) {
            return wrong(w, "control character in a string");
        } else if (c < 0x80) {
            w->p++;
        } else {
            size_t n = utf8_len(w->p, w->end);
            if (n == 0)
                return wrong(w, "a string is not UTF-8");
            w->p += n;
        }
    }
    return wrong(w, "unterminated string");
}

static size_t digits(struct walk *w)
{
    const char *start = w->p;
    while (w->p < w->end && *w->p >= '0' && *w->p <= '9')
        w->p++;
    return (size_t)(w->p - start);
}

static int walk_number(struct walk *w)
{
    if (*w->p == '-')
        w->p++;
    bool zero = w->p < w->end && *w->p == '0';
    size_t n = digits(w);
    if (n == 0 || (zero && n > 1))
        return wrong(w, "bad number");
    if (w->p < w->end && *w->p == '.') {
        w->p++;
        if (digits(w) == 0)
            return wrong(w, "bad number");
    }
    if (w->p < w->end && (*w->p == 'e' || *w->p == 'E')) {
        w->p++;
        if (w->p < w->end && (*w->p == '+' || *w->p == '-'))
            w->p++;
        if (digits(w) == 0)
            return wrong(w, "bad number");
    }
    return 0;
}

static int walk_word(struct walk *w, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(w->end - w->p) < n || memcmp(w->p, word, n) != 0)
        return wrong(w, "not a JSON value");
    w->p += n;
    return 0;
}

static int walk_list(struct walk *w)
{
    w->p++;
    skip_space(w);
    if (w->p < w->end && *w->p == ']') {
        w->p++;
        return 0;
    }
    for (;;) {
        struct wire_span item;
        if (walk_value(w, &item) != 0)
            return -1;
        skip_space(w);
        if (w->p == w->end)
            return wrong(w, "unterminated list");
        char c = *w->p++;
        if (c == ']')
            return 0;
        if (c != ',')
            return wrong(w, "expected ',' or ']' in a list");
    }
}

int walk_object(struct walk *w)
{
    skip_space(w);
    if (w->p == w->end || *w->p != '{')
        return wrong(w, "not an object");
    w->p++;
    return 0;
}

int walk_member(struct walk *w, bool first, struct wire_span *key, struct wire_span *value)
{
    skip_space(w);
    if (w->p == w->end)
        return wrong(w, "unterminated object");
    if (*w->p == '}') {
        w->p++;
        return 0;
    }
    if (!first) {
        if (*w->p++ != ',')
            return wrong(w, "expected ',' or '}' in an object");
        skip_space(w);
    }
    if (w->p == w->end || *w->p != '"')
        return wrong(w, "expected a key in an object");
    key->p = w->p;
    if (walk_string(w) != 0)
        return -1;
    key->n = (size_t)(w->p - key->p);
    skip_space(w);
    if (w->p == w->end || *w->p++ != ':')
        return wrong(w, "expected ':' behind a key");
    return walk_value(w, value) == 0 ? 1 : -1;
}

static int walk_whole_object(struct walk *w)
{
    if (walk_object(w) != 0)
        return -1;
    struct wire_span key, value;
    for (bool first = true;; first = false) {
        int rc = walk_member(w, first, &key, &value);
        if (rc <= 0)
            return rc;
    }
}

int walk_value(struct walk *w, struct wire_span *out)
{
    skip_space(w);
    if (w->p == w->end)
        return wrong(w, "it ends where a value should be");
    if (++w->depth > JSON_DEPTH_MAX)
        return wrong(w, "nested too deeply");
    out->p = w->p;
    int rc;
    switch (*w->p) {
    case '"':
        rc = walk_string(w);
        break;
    case '{':
        rc = walk_whole_object(w);
        break;
    case '[':
        rc = walk_list(w);
        break;
    case 't':
        rc = walk_word(w, "true");
        break;
    case 'f':
        rc = walk_word(w, "false");
        break;
    case 'n':
        rc = walk_word(w, "null");
        break;
    default:
        rc = *w->p == '-' || (*w->p >= '0' && *w->p <= '9') ? walk_number(w)
                                                            : wrong(w, "not a JSON value");
    }
    out->n = (size_t)(w->p - out->p);
    w->depth--;
    return rc;
}

bool walk_at_end(struct walk *w)
{
    skip_space(w);
    return w->p == w->end;
}

bool walk_key_is(struct wire_span key, const char *text)
{
    size_t n = strlen(text);
    if (key.n == n + 2 && memcmp(key.p + 1, text, n) == 0)
        return true;
    if (!memchr(key.p, '\\', key.n))
        return false;
    struct buf plain autobuf = BUF_INIT;
    return wire_span_string(key, &plain, NULL) == 0 && plain.len == n &&
           memcmp(plain.data, text, n) == 0;
}
