/* Durations as sites write them: "1:00:00", "01:30", 3600 (which is what YAML makes of an unquoted
 * 1:00:00), "2-12:00:00". */
#include <stdlib.h>
#include <string.h>

#include "endpoint/providers/provider.h"

#define PART_MAX 1000000

/* Digits only, no sign, no blanks. */
static const char *number(const char *p, int64_t *out)
{
    const char *begin = p;
    for (*out = 0; *p >= '0' && *p <= '9' && *out <= PART_MAX; p++)
        *out = *out * 10 + (*p - '0');
    return p > begin && *out <= PART_MAX ? p : NULL;
}

/* Parts between colons; -1 when it is something else. */
static int split(const char *p, int64_t part[3])
{
    for (int n = 0; n < 3; n++) {
        p = number(p, &part[n]);
        if (p == NULL)
            return -1;
        if (*p == '\0')
            return n + 1;
        if (*p++ != ':')
            return -1;
    }
    return -1;
}

static int64_t seconds_of(const char *text)
{
    int64_t days = 0, part[3] = {0};
    const char *dash = strchr(text, '-');
    if (dash != NULL && number(text, &days) != dash)
        return -1;
    int n = split(dash != NULL ? dash + 1 : text, part);
    if (n < 0)
        return -1;
    if (n == 3 || dash != NULL) /* H:M:S; behind days the first part is hours */
        return days * 86400 + part[0] * 3600 + part[1] * 60 + part[2];
    return part[0] * 60 + part[1]; /* M:S, M */
}

int64_t walltime_seconds(struct json_object *value, struct err *err)
{
    int64_t s = -1;
    if (json_object_is_type(value, json_type_int))
        s = json_object_get_int64(value);
    else if (json_object_is_type(value, json_type_string))
        s = seconds_of(json_object_get_string(value));
    if (s >= 0 && s <= (int64_t)PART_MAX * 86400)
        return s;
    err_set(err, "walltime %s is not a duration such as \"01:30:00\"",
            value != NULL ? json_object_to_json_string(value) : "null");
    return -1;
}

int64_t walltime_minutes(struct json_object *value)
{
    int64_t s = walltime_seconds(value, NULL);
    return s > 60 ? (s + 59) / 60 : 1;
}
