/* What a plain scalar means: PyYAML's resolver and constructors for YAML 1.1. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/yaml/private.h"
#include "lib/yaml/yaml.h"

static bool is_one_of(const char *s, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(s, *words) == 0)
            return true;
    return false;
}

static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const trues[] = {"yes",  "Yes", "YES", "true", "True",
                                    "TRUE", "on",  "On",  "ON",   NULL};
static const char *const falses[] = {"no",    "No",  "NO",  "false", "False",
                                     "FALSE", "off", "Off", "OFF",   NULL};

static size_t span(const char *s, const char *set)
{
    return strspn(s, set);
}

/* Where base-60 groups `(?::[0-5]?[0-9])+` that begin at s end, or NULL when there is none. */
static const char *sixty_groups(const char *s)
{
    const char *end = NULL;
    while (*s == ':' && isdigit((unsigned char)s[1])) {
        size_t n = isdigit((unsigned char)s[2]) && s[1] <= '5' ? 2 : 1;
        s += 1 + n;
        end = s;
    }
    return end;
}

static bool looks_int(const char *s)
{
    if (*s == '+' || *s == '-')
        s++;
    if (s[0] == '0' && s[1] == 'b')
        return s[2] != '\0' && s[2 + span(s + 2, "01_")] == '\0';
    if (s[0] == '0' && s[1] == 'x')
        return s[2] != '\0' && s[2 + span(s + 2, "0123456789abcdefABCDEF_")] == '\0';
    if (s[0] == '0')
        return s[1 + span(s + 1, "01234567_")] == '\0';
    if (!isdigit((unsigned char)*s))
        return false;
    const char *end = s + span(s, "0123456789_");
    if (*end == '\0')
        return true;
    end = sixty_groups(end);
    return end != NULL && *end == '\0';
}

static bool exponent_or_end(const char *s)
{
    if (*s == '\0')
        return true;
    if ((*s != 'e' && *s != 'E') || (s[1] != '+' && s[1] != '-') || s[2] == '\0')
        return false;
    return s[2 + span(s + 2, "0123456789")] == '\0';
}

static bool looks_special(const char *s)
{
    static const char *const inf[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const nan[] = {".nan", ".NaN", ".NAN", NULL};
    return is_one_of(s, nan) || is_one_of(*s == '+' || *s == '-' ? s + 1 : s, inf);
}

static bool looks_float(const char *s)
{
    if (looks_special(s))
        return true;
    if (*s == '.') /* no sign here */
        return isdigit((unsigned char)s[1]) && exponent_or_end(s + 1 + span(s + 1, "0123456789_"));
    if (*s == '+' || *s == '-')
        s++;
    if (!isdigit((unsigned char)*s))
        return false;
    const char *end = s + span(s, "0123456789_");
    if (*end == '.')
        return exponent_or_end(end + 1 + span(end + 1, "0123456789_"));
    end = sixty_groups(end);
    return end != NULL && *end == '.' && end[1 + span(end + 1, "0123456789_")] == '\0';
}

static bool two_digits(const char **s, size_t least)
{
    size_t n = 0;
    while (n < 2 && isdigit((unsigned char)(*s)[n]))
        n++;
    *s += n;
    return n >= least;
}

static bool time_zone(const char *s)
{
    s += span(s, " \t");
    if (*s == '\0' || strcmp(s, "Z") == 0)
        return true;
    if (*s != '+' && *s != '-')
        return false;
    s++;
    if (!two_digits(&s, 1))
        return false;
    if (*s == ':') {
        s++;
        if (!two_digits(&s, 2))
            return false;
    }
    return *s == '\0';
}

static bool looks_timestamp(const char *s)
{
    for (int i = 0; i < 4; i++)
        if (!isdigit((unsigned char)s[i]))
            return false;
    const char *p = s + 4;
    if (*p++ != '-')
        return false;
    const char *month = p;
    if (!two_digits(&p, 1) || *p != '-')
        return false;
    bool full = p - month == 2;
    const char *day = ++p;
    if (!two_digits(&p, 1))
        return false;
    full = full && p - day == 2;
    if (*p == '\0')
        return full;
    if (*p == 'T' || *p == 't')
        p++;
    else if (*p == ' ' || *p == '\t')
        p += span(p, " \t");
    else
        return false;
    if (!two_digits(&p, 1) || *p++ != ':' || !two_digits(&p, 2) || *p++ != ':' ||
        !two_digits(&p, 2))
        return false;
    if (*p == '.')
        p += 1 + span(p + 1, "0123456789");
    return time_zone(p);
}

static char *without_underscores(const char *s)
{
    char *out = xstrdup(s), *w = out;
    for (; *s != '\0'; s++)
        if (*s != '_')
            *w++ = *s;
    *w = '\0';
    return out;
}

struct json_object *yaml_int(const char *text)
{
    autofree char *clean = without_underscores(text);
    const char *s = clean;
    bool negative = *s == '-';
    if (*s == '+' || *s == '-')
        s++;
    errno = 0;
    uint64_t value = 0;
    char *end = NULL;
    if (strncmp(s, "0b", 2) == 0) {
        value = strtoull(s + 2, &end, 2);
    } else if (strchr(s, ':') != NULL) {
        while (*s != '\0') {
            uint64_t part = strtoull(s, &end, 10);
            if (value > (UINT64_MAX - part) / 60)
                errno = ERANGE;
            value = value * 60 + part;
            s = *end == ':' ? end + 1 : end;
        }
    } else {
        value = strtoull(s, &end, 0);
    }
    if (end == NULL || *end != '\0')
        return NULL;
    if (errno == ERANGE || (value > INT64_MAX && negative)) /* Python's has no limit; ours has */
        return json_object_new_double(strtod(clean, NULL));
    return negative ? json_object_new_int64(-(int64_t)value) : json_object_new_uint64(value);
}

struct json_object *yaml_float(const char *text)
{
    autofree char *clean = without_underscores(text);
    const char *s = clean;
    double sign = *s == '-' ? -1 : 1;
    if (*s == '+' || *s == '-')
        s++;
    if (strcasecmp(s, ".inf") == 0)
        return json_object_new_double(sign * INFINITY);
    if (strcasecmp(s, ".nan") == 0)
        return json_object_new_double(NAN);
    double value = 0;
    char *end;
    for (;;) {
        value = value * 60 + strtod(s, &end);
        if (*end != ':')
            break;
        s = end + 1;
    }
    return *end == '\0' && end != s ? json_object_new_double(sign * value) : NULL;
}

struct json_object *yaml_bool(const char *text)
{
    autofree char *low = xstrdup(text);
    for (char *p = low; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    if (is_one_of(low, trues))
        return json_object_new_boolean(true);
    return is_one_of(low, falses) ? json_object_new_boolean(false) : NULL;
}

/* ISO text as Python's isoformat() gives it: "2026-01-02", "2026-01-02T03:04:05+00:00". */
struct json_object *yaml_timestamp(const char *s)
{
    int year, month, day, hour, minute, second, used = 0;
    if (sscanf(s, "%4d-%2d-%2d%n", &year, &month, &day, &used) != 3 || month < 1 || month > 12 ||
        day < 1 || day > 31)
        return NULL;
    autobuf struct buf b = BUF_INIT;
    buf_fmt(&b, "%04d-%02d-%02d", year, month, day);
    s += used;
    s += span(s, " \tTt");
    if (*s != '\0') {
        if (sscanf(s, "%2d:%2d:%2d%n", &hour, &minute, &second, &used) != 3)
            return NULL;
        buf_fmt(&b, "T%02d:%02d:%02d", hour, minute, second);
        s += used;
        if (*s == '.') {
            size_t n = span(s + 1, "0123456789");
            buf_fmt(&b, ".%.*s%.*s", (int)(n < 6 ? n : 6), s + 1, n < 6 ? (int)(6 - n) : 0,
                    "000000");
            s += 1 + n;
        }
        s += span(s, " \t");
        if (*s == 'Z')
            buf_str(&b, "+00:00");
        else if (*s != '\0') {
            int zh = 0, zm = 0;
            sscanf(s + 1, "%2d:%2d", &zh, &zm);
            buf_fmt(&b, "%c%02d:%02d", *s, zh, zm);
        }
    }
    struct json_object *o = json_object_new_object();
    json_add_str(o, "!date", b.data);
    return o;
}

struct json_object *yaml_plain_scalar(const char *text, size_t n, bool *is_null)
{
    *is_null = false;
    if (memchr(text, '\0', n) != NULL)
        return json_object_new_string_len(text, (int)n);
    autofree char *s = xstrndup(text, n);
    struct json_object *o = NULL;
    if (is_one_of(s, nulls)) {
        *is_null = true;
        return NULL;
    }
    if (is_one_of(s, trues) || is_one_of(s, falses))
        o = yaml_bool(s);
    else if (looks_int(s))
        o = yaml_int(s);
    else if (looks_float(s))
        o = yaml_float(s);
    else if (looks_timestamp(s))
        o = yaml_timestamp(s);
    return o != NULL ? o : json_object_new_string_len(text, (int)n);
}
