/* The mapping file: from text to rules that are ready to use, or one sentence. */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/idmap/private.h"

#define MAPPERS_MAX 1000
#define MAPPINGS_MAX 200000

static const char expression_type[] = "expression_identity_mapping#1.0.0";
static const char external_type[] = "external_identity_mapping#1.0.0";

/* Any value that Python calls true: "false" is. */
static bool is_truthy(struct json_object *v)
{
    switch (json_object_get_type(v)) {
    case json_type_boolean:
        return json_object_get_boolean(v);
    case json_type_int:
        return json_object_get_int64(v) != 0;
    case json_type_double:
        return json_object_get_double(v) != 0;
    case json_type_string:
        return json_object_get_string_len(v) > 0;
    case json_type_array:
        return json_object_array_length(v) > 0;
    case json_type_object:
        return json_object_object_length(v) > 0;
    default:
        return false;
    }
}

static bool flag(struct json_object *o, const char *key)
{
    struct json_object *v;
    return json_object_object_get_ex(o, key, &v) && is_truthy(v);
}

static int text_of(struct json_object *o, const char *key, const char **text, size_t *len,
                   bool *is_text, struct err *err)
{
    struct json_object *v;
    if (!json_object_object_get_ex(o, key, &v))
        return err_set(err, "(KeyError) '%s' is missing", key);
    *is_text = json_object_is_type(v, json_type_string);
    *text = *is_text ? json_object_get_string(v) : "";
    *len = *is_text ? (size_t)json_object_get_string_len(v) : 0;
    return 0;
}

static int load_mapping(struct mapping *m, struct json_object *o, struct err *err)
{
    bool match_is_text = false;
    if (!json_object_is_type(o, json_type_object))
        return err_set(err, "(TypeError) a mapping must be an object, it is %s", json_kind(o));
    if (text_of(o, "source", &m->source, &m->source_len, &m->source_is_text, err) != 0 ||
        text_of(o, "match", &m->match, &m->match_len, &match_is_text, err) != 0 ||
        text_of(o, "output", &m->output, &m->output_len, &m->output_is_text, err) != 0)
        return -1;
    if (!match_is_text)
        return err_set(err, "(TypeError) 'match' must be text");
    m->pattern =
        pattern_compile(m->match, m->match_len, flag(o, "literal"), flag(o, "ignore_case"), err);
    return m->pattern != NULL ? 0 : err_prefix(err, "(InvalidMappingError)");
}

static void warn(struct idmap *im, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void warn(struct idmap *im, const char *fmt, ...)
{
    autobuf struct buf b = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vfmt(&b, fmt, ap);
    va_end(ap);
    json_object_array_add(im->warnings, json_object_new_string(b.data));
}

static int load_expression(struct idmap *im, struct mapper *m, struct json_object *o,
                           struct err *err)
{
    struct json_object *list;
    m->kind = MAPPER_EXPRESSION;
    if (!json_object_object_get_ex(o, "mappings", &list))
        return err_set(err, "(KeyError) 'mappings' is missing");
    if (!json_object_is_type(list, json_type_array))
        return err_set(err, "(TypeError) 'mappings' must be a list, it is %s", json_kind(list));
    size_t n = json_object_array_length(list);
    if (n > MAPPINGS_MAX)
        return err_set(err, "%zu mappings; at most %d are accepted", n, MAPPINGS_MAX);
    m->mappings = xcalloc(n + 1, sizeof(*m->mappings));
    for (size_t i = 0; i < n; i++) {
        struct mapping *mapping = &m->mappings[m->mappings_count++];
        if (load_mapping(mapping, json_object_array_get_idx(list, i), err) != 0)
            return err_prefix(err, "mapping %zu", i + 1);
        if (pattern_has_open_branch(mapping->pattern))
            warn(im,
                 "mapping %zu: %s has a | outside parentheses; it is read as (?:%s), which some "
                 "versions of globus-identity-mapping do not do: write the parentheses",
                 i + 1, mapping->match, mapping->match);
    }
    return 0;
}

static int load_external(struct mapper *m, struct json_object *o, struct err *err)
{
    struct json_object *list;
    m->kind = MAPPER_EXTERNAL;
    if (!json_object_object_get_ex(o, "command", &list))
        return err_set(err, "(KeyError) 'command' is missing");
    size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
    if (n == 0 || n > 1000)
        return err_set(err, "(InvalidMappingError) 'command' must be a list, program first");
    m->command = xcalloc(n + 1, sizeof(*m->command));
    for (size_t i = 0; i < n; i++) {
        struct json_object *word = json_object_array_get_idx(list, i);
        if (json_object_is_type(word, json_type_array) ||
            json_object_is_type(word, json_type_object) || word == NULL)
            return err_set(err, "(TypeError) word %zu of 'command' must be text, it is %s", i + 1,
                           json_kind(word));
        m->command[i] = xstrdup(json_object_get_string(word));
    }
    return 0;
}

/* 1 = loaded, 0 = a kind that nobody knows, skipped. */
static int load_mapper(struct idmap *im, struct mapper *m, struct json_object *o, size_t index,
                       struct err *err)
{
    const char *type =
        json_object_is_type(o, json_type_object) ? json_str_or(o, "DATA_TYPE", NULL) : NULL;
    if (type == NULL)
        return err_set(err, "(InvalidMappingError) Invalid map config: no DATA_TYPE");
    size_t name = strcspn(type, "#");
    bool expression =
        name == strcspn(expression_type, "#") && strncmp(type, expression_type, name) == 0;
    bool external = name == strcspn(external_type, "#") && strncmp(type, external_type, name) == 0;
    if (!expression && !external) {
        warn(im, "No identity mapper found for: %s (index: %zu)", type, index);
        return 0;
    }
    if (strcmp(type, expression ? expression_type : external_type) != 0)
        return err_set(err, "(ValueError) Unsupported DATA_TYPE %s; %s is supported", type,
                       expression ? expression_type : external_type);
    int rc = expression ? load_expression(im, m, o, err) : load_external(m, o, err);
    return rc == 0 ? 1 : -1;
}

static int load_list(struct idmap *im, struct err *err)
{
    if (im->document == NULL)
        return 0;
    if (!json_object_is_type(im->document, json_type_array))
        return err_set(err,
                       "(InvalidMappingError) Invalid mapping or map config: the file must hold a "
                       "list of mapping documents, it holds %s",
                       json_kind(im->document));
    size_t n = json_object_array_length(im->document);
    if (n > MAPPERS_MAX)
        return err_set(err, "%zu mapping documents; at most %d are accepted", n, MAPPERS_MAX);
    im->mappers = xcalloc(n + 1, sizeof(*im->mappers));
    for (size_t i = 0; i < n; i++) {
        struct mapper *m = &im->mappers[im->count++];
        int rc = load_mapper(im, m, json_object_array_get_idx(im->document, i), i, err);
        if (rc < 0)
            return err_prefix(err, "mapping document at index %zu", i);
        if (rc == 0)
            im->count--;
    }
    return 0;
}

/* json-c has no object for null, which an empty mapping may be written as. */
static bool says_null(const char *text, size_t len)
{
    while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
        len--;
    return len == 4 && memcmp(text, "null", 4) == 0;
}

struct idmap *idmap_load(const char *text, size_t len, struct err *err)
{
    struct idmap *im = xcalloc(1, sizeof(*im));
    im->refs = 1;
    im->warnings = json_object_new_array();
    bool is_null = says_null(text, len);
    int rc = 0;
    if (!is_null) {
        im->document = json_read(text, len, IDMAP_FILE_MAX, "the identity mapping", err);
        rc = im->document != NULL ? load_list(im, err) : err_prefix(err, "(JSONDecodeError)");
    }
    if (rc == 0)
        return im;
    idmap_free(im);
    return NULL;
}

struct idmap *idmap_ref(struct idmap *m)
{
    m->refs++;
    return m;
}

void idmap_free(struct idmap *m)
{
    if (m == NULL || --m->refs > 0)
        return;
    for (size_t i = 0; i < m->count; i++) {
        struct mapper *mapper = &m->mappers[i];
        for (size_t k = 0; k < mapper->mappings_count; k++)
            pattern_free(mapper->mappings[k].pattern);
        free(mapper->mappings);
        for (char **word = mapper->command; word != NULL && *word != NULL; word++)
            free(*word);
        free(mapper->command);
    }
    free(m->mappers);
    json_object_put(m->warnings);
    json_object_put(m->document);
    free(m);
}

struct json_object *idmap_warnings(const struct idmap *m)
{
    return m->warnings;
}

size_t idmap_count(const struct idmap *m)
{
    return m->count;
}

bool idmap_has_external(const struct idmap *m)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->mappers[i].kind == MAPPER_EXTERNAL)
            return true;
    return false;
}
