#include "endpoint/providers/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"

/* Every provider has these.  The last two are ours: see blocks/breaker.h. */
static const struct option_spec common[] = {
    {"nodes_per_block", OPT_INT, "1"},    {"init_blocks", OPT_INT, "1"},
    {"min_blocks", OPT_INT, "0"},         {"max_blocks", OPT_INT, "1"},
    {"parallelism", OPT_NUMBER, "1"},     {"worker_init", OPT_LINES, "\"\""},
    {"launcher", OPT_ANY, NULL},          {"max_failed_blocks", OPT_INT, NULL},
    {"max_jobs_per_hour", OPT_INT, NULL}, {NULL, OPT_ANY, NULL},
};

static const struct option_spec *spec_in(const struct option_spec *list, const char *key)
{
    for (; list->name != NULL; list++)
        if (strcmp(list->name, key) == 0)
            return list;
    return NULL;
}

/* The kind's own first: it may have another default than the common one. */
static const struct option_spec *spec_of(const struct provider_kind *k, const char *key)
{
    const struct option_spec *s = spec_in(k->options, key);
    if (s == NULL && k->launcher == NULL && strcmp(key, "launcher") == 0)
        return NULL;
    return s != NULL ? s : spec_in(common, key);
}

/* The number that is meant by a value of any type: 2, 2.0, "2". */
static bool as_number(struct json_object *v, double *out)
{
    char *end;
    if (json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double)) {
        *out = json_object_get_double(v);
        return isfinite(*out);
    }
    if (!json_object_is_type(v, json_type_string))
        return false;
    const char *text = json_object_get_string(v);
    errno = 0;
    *out = strtod(text, &end);
    return end > text && *end == '\0' && errno == 0 && isfinite(*out);
}

static bool all_text(struct json_object *v)
{
    if (json_object_is_type(v, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(v); i++)
            if (!json_object_is_type(json_object_array_get_idx(v, i), json_type_string))
                return false;
        return true;
    }
    json_object_object_foreach(v, key, value)
    {
        if (*key == '\0' || !json_object_is_type(value, json_type_string))
            return false;
    }
    return true;
}

static bool fits(const struct provider_kind *k, const struct option_spec *s, struct json_object *v)
{
    enum json_type t = json_object_get_type(v);
    double number;
    switch (s->kind) {
    case OPT_TEXT:
    case OPT_LINES:
        return t == json_type_string || (k->loose && t != json_type_array && t != json_type_object);
    case OPT_INT:
        return t == json_type_int || (k->loose && as_number(v, &number) && number == floor(number));
    case OPT_NUMBER:
        return t == json_type_int || t == json_type_double || (k->loose && as_number(v, &number));
    case OPT_BOOL:
        return t == json_type_boolean || (k->loose && t == json_type_int);
    case OPT_LIST:
        return t == json_type_array && all_text(v);
    case OPT_MAP:
        return t == json_type_object && all_text(v);
    case OPT_WALLTIME:
    case OPT_DURATION:
        return t == json_type_int || t == json_type_string;
    case OPT_ANY:
        return true;
    }
    return false;
}

static const char *wanted(const struct option_spec *s)
{
    static const char *const words[] = {
        [OPT_TEXT] = "text",
        [OPT_LINES] = "text",
        [OPT_INT] = "a whole number",
        [OPT_NUMBER] = "a number",
        [OPT_BOOL] = "true or false",
        [OPT_LIST] = "a list of texts",
        [OPT_MAP] = "a mapping of names to texts",
        [OPT_ANY] = "anything",
        [OPT_WALLTIME] = "a duration such as \"01:30:00\"",
        [OPT_DURATION] = "a duration such as \"01:30:00\"",
    };
    return words[s->kind];
}

/* A value that goes into one line of a script must not bring a second one. */
static bool is_one_line(const struct option_spec *s, struct json_object *v)
{
    if ((s->kind != OPT_TEXT && s->kind != OPT_DURATION) ||
        !json_object_is_type(v, json_type_string))
        return true;
    const char *text = json_object_get_string(v);
    size_t n = (size_t)json_object_get_string_len(v);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' '))
        n--;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' && text[i] != '\t')
            return false;
    return true;
}

static int in_range(const struct provider_kind *k, const struct option_spec *s,
                    struct json_object *v, struct err *err)
{
    double n;
    if ((s->kind != OPT_INT && s->kind != OPT_NUMBER) || !as_number(v, &n))
        return 0;
    bool one_at_least =
        strcmp(s->name, "nodes_per_block") == 0 || strcmp(s->name, "cmd_timeout") == 0 ||
        strcmp(s->name, "status_batch_size") == 0 || strcmp(s->name, "cmd_chunk_size") == 0;
    if (n < (one_at_least ? 1 : 0) || n > 1e9)
        return err_set(err, "provider %s: %s is %s, it must be %s or more", k->type, s->name,
                       json_object_to_json_string(v), one_at_least ? "1" : "0");
    return 0;
}

int options_check(const struct provider_kind *k, struct json_object *options, struct err *err)
{
    json_object_object_foreach(options, key, value)
    {
        if (strcmp(key, "type") == 0 || value == NULL)
            continue;
        const struct option_spec *s = spec_of(k, key);
        if (s == NULL)
            return err_set(err, "provider %s does not know the option %.100s", k->type, key);
        if (!fits(k, s, value))
            return err_set(err, "provider %s: %s must be %s, it is %s", k->type, key, wanted(s),
                           json_kind(value));
        if (!is_one_line(s, value))
            return err_set(err, "provider %s: %s must be one line", k->type, key);
        if (in_range(k, s, value, err) != 0)
            return -1;
        if (s->kind == OPT_WALLTIME && walltime_seconds(value, err) < 0)
            return err_prefix(err, "provider %s", k->type);
    }
    return 0;
}

/* The value in the type that its table names; the caller's reference. */
static struct json_object *converted(const struct option_spec *s, struct json_object *v)
{
    double n;
    if (s->kind == OPT_INT && as_number(v, &n))
        return json_object_new_int64((int64_t)n);
    if (s->kind == OPT_NUMBER && json_object_is_type(v, json_type_string) && as_number(v, &n))
        return json_object_new_double(n);
    if (s->kind == OPT_BOOL)
        return json_object_new_boolean(json_object_get_boolean(v));
    if (s->kind == OPT_TEXT || s->kind == OPT_DURATION) {
        const char *text = json_object_get_string(v);
        size_t len = strlen(text);
        while (len > 0 && strchr("\n\r ", text[len - 1]) != NULL)
            len--;
        if (json_object_is_type(v, json_type_string))
            return json_object_new_string_len(text, (int)len);
    }
    return json_object_get(v);
}

static void add_defaults(struct json_object *into, const struct option_spec *list)
{
    for (; list->name != NULL; list++)
        if (json_object_object_get(into, list->name) == NULL && list->otherwise != NULL)
            json_object_object_add(into, list->name, json_tokener_parse(list->otherwise));
}

struct json_object *options_complete(const struct provider_kind *k, struct json_object *options)
{
    struct json_object *all = json_object_new_object();
    json_object_object_foreach(options, key, value)
    {
        const struct option_spec *s = spec_of(k, key);
        if (value != NULL && s != NULL)
            json_object_object_add(all, key, converted(s, value));
    }
    add_defaults(all, k->options);
    add_defaults(all, common);
    if (k->derive != NULL)
        k->derive(all);
    return all;
}
