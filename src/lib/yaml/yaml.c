/* From libyaml's events to a tree. */
#include "lib/yaml/yaml.h"

#include <string.h>
#include <yaml.h>

#include "lib/base/alloc.h"
#include "lib/base/map.h"
#include "lib/yaml/private.h"

#define DEPTH_MAX 64
#define NODES_MAX 1000000 /* with every reference counted as often as it is used */

struct node {
    struct json_object *value;
    size_t weight; /* nodes below, references expanded */
};

struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    bool has_event;
    struct map *anchors; /* name → struct node */
    unsigned depth;
    size_t nodes;
    const char *what;
    struct err *err;
};

static int fail_at(struct reader *r, yaml_mark_t at, const char *why)
{
    return err_set(r->err, "%s: %s, line %zu, column %zu", r->what, why, at.line + 1,
                   at.column + 1);
}

static int next(struct reader *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = false;
    if (yaml_parser_parse(&r->parser, &r->event)) {
        r->has_event = true;
        return 0;
    }
    const char *problem = r->parser.problem != NULL ? r->parser.problem : "it is not YAML";
    if (r->parser.context == NULL)
        return fail_at(r, r->parser.problem_mark, problem);
    autofree char *both = xasprintf("%s, %s", r->parser.context, problem);
    return fail_at(r, r->parser.problem_mark, both);
}

static int read_node(struct reader *r, struct json_object **out);

static const char *tag_of(const yaml_event_t *e)
{
    const unsigned char *tag = e->type == YAML_SCALAR_EVENT           ? e->data.scalar.tag
                               : e->type == YAML_MAPPING_START_EVENT  ? e->data.mapping_start.tag
                               : e->type == YAML_SEQUENCE_START_EVENT ? e->data.sequence_start.tag
                                                                      : NULL;
    return (const char *)tag;
}

static int tagged_scalar(struct reader *r, const char *tag, const char *text, size_t n,
                         struct json_object **out)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    yaml_mark_t at = r->event.start_mark;
    const char *kind =
        strncmp(tag, prefix, sizeof(prefix) - 1) == 0 ? tag + sizeof(prefix) - 1 : "";
    *out = NULL;
    if (strcmp(kind, "str") == 0 || strcmp(tag, "!") == 0)
        *out = json_object_new_string_len(text, (int)n);
    else if (strcmp(kind, "int") == 0)
        *out = yaml_int(text);
    else if (strcmp(kind, "float") == 0)
        *out = yaml_float(text);
    else if (strcmp(kind, "bool") == 0)
        *out = yaml_bool(text);
    else if (strcmp(kind, "timestamp") == 0)
        *out = yaml_timestamp(text);
    else if (strcmp(kind, "null") == 0)
        return 0;
    else if (strcmp(kind, "binary") == 0) {
        *out = json_object_new_object();
        json_add_str(*out, "!binary", text);
    } else {
        autofree char *why =
            xasprintf("could not determine a constructor for the tag '%.100s'", tag);
        return fail_at(r, at, why);
    }
    return *out != NULL ? 0 : fail_at(r, at, "the text does not fit its tag");
}

static int read_scalar(struct reader *r, struct json_object **out)
{
    const char *tag = tag_of(&r->event);
    const char *text = (const char *)r->event.data.scalar.value;
    size_t n = r->event.data.scalar.length;
    bool is_null;
    if (tag != NULL)
        return tagged_scalar(r, tag, text, n, out);
    if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        *out = yaml_plain_scalar(text, n, &is_null);
    else
        *out = json_object_new_string_len(text, (int)n);
    return 0;
}

/* Keys are text here; Python's other keys are written as Python would print them. */
static int key_text(struct reader *r, struct json_object *key, yaml_mark_t at, char **out)
{
    switch (json_object_get_type(key)) {
    case json_type_null:
        *out = xstrdup("None");
        return 0;
    case json_type_boolean:
        *out = xstrdup(json_object_get_boolean(key) ? "True" : "False");
        return 0;
    case json_type_object:
    case json_type_array:
        return fail_at(r, at, "found unhashable key");
    default:
        *out = xstrdup(json_object_get_string(key));
        return 0;
    }
}

/* `<<: *base` or a list of them: keys that are not there yet, the mapping's own win. */
static int merge(struct reader *r, struct json_object *into, struct json_object *from,
                 yaml_mark_t at)
{
    if (json_object_is_type(from, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(from); i++)
            if (merge(r, into, json_object_array_get_idx(from, i), at) != 0)
                return -1;
        return 0;
    }
    if (!json_object_is_type(from, json_type_object))
        return fail_at(r, at, "expected a mapping or list of mappings for merging");
    json_object_object_foreach(from, key, value)
    {
        if (++r->nodes > NODES_MAX)
            return fail_at(r, at, "references blow the document up beyond a million nodes");
        if (!json_object_object_get_ex(into, key, NULL))
            json_object_object_add(into, key, json_object_get(value));
    }
    return 0;
}

static bool is_merge_key(const struct reader *r)
{
    return r->event.type == YAML_SCALAR_EVENT && tag_of(&r->event) == NULL &&
           r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           r->event.data.scalar.length == 2 && memcmp(r->event.data.scalar.value, "<<", 2) == 0;
}

static int read_pair(struct reader *r, struct json_object *own, struct json_object *merged)
{
    yaml_mark_t at = r->event.start_mark;
    bool merging = is_merge_key(r);
    autojson struct json_object *key = NULL;
    struct json_object *value = NULL;
    autofree char *text = NULL;
    if (read_node(r, &key) != 0 || key_text(r, key, at, &text) != 0 || next(r) != 0 ||
        read_node(r, &value) != 0) {
        json_object_put(value);
        return -1;
    }
    if (merging) {
        int rc = merge(r, merged, value, at);
        json_object_put(value);
        return rc;
    }
    json_object_object_add(own, text, value);
    return 0;
}

static int read_mapping(struct reader *r, struct json_object **out)
{
    struct json_object *own = json_object_new_object();
    autojson struct json_object *merged = json_object_new_object();
    int rc = next(r);
    while (rc == 0 && r->event.type != YAML_MAPPING_END_EVENT) {
        rc = read_pair(r, own, merged);
        if (rc == 0)
            rc = next(r);
    }
    /* PyYAML puts merged keys in front. */
    if (rc == 0 && json_object_object_length(merged) > 0) {
        json_object_object_foreach(own, key, value)
        {
            json_object_object_add(merged, key, json_object_get(value));
        }
        json_object_put(own);
        own = json_object_get(merged);
    }
    *out = own;
    return rc;
}

static int read_sequence(struct reader *r, struct json_object **out)
{
    *out = json_object_new_array();
    for (;;) {
        struct json_object *value = NULL;
        if (next(r) != 0)
            return -1;
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            return 0;
        int rc = read_node(r, &value);
        json_object_array_add(*out, value);
        if (rc != 0)
            return rc;
    }
}

static int check_collection_tag(struct reader *r, const char *allowed)
{
    const char *tag = tag_of(&r->event);
    if (tag == NULL || strcmp(tag, allowed) == 0 || strcmp(tag, "!") == 0)
        return 0;
    autofree char *why = xasprintf("could not determine a constructor for the tag '%.100s'", tag);
    return fail_at(r, r->event.start_mark, why);
}

static char *anchor_of(const yaml_event_t *e)
{
    const unsigned char *name = e->type == YAML_SCALAR_EVENT          ? e->data.scalar.anchor
                                : e->type == YAML_MAPPING_START_EVENT ? e->data.mapping_start.anchor
                                : e->type == YAML_SEQUENCE_START_EVENT
                                    ? e->data.sequence_start.anchor
                                    : NULL;
    return xstrdup((const char *)name);
}

static void node_free(void *p)
{
    struct node *node = p;
    if (node != NULL)
        json_object_put(node->value);
    free(node);
}

static int read_alias(struct reader *r, struct json_object **out)
{
    struct node *node = map_get(r->anchors, (const char *)r->event.data.alias.anchor);
    if (node == NULL)
        return fail_at(r, r->event.start_mark, "found undefined alias");
    r->nodes += node->weight;
    if (r->nodes > NODES_MAX)
        return fail_at(r, r->event.start_mark,
                       "references blow the document up beyond a million nodes");
    *out = json_object_get(node->value);
    return 0;
}

/* The node that the present event begins. */
static int read_node(struct reader *r, struct json_object **out)
{
    size_t before = r->nodes++;
    *out = NULL;
    if (r->nodes > NODES_MAX)
        return fail_at(r, r->event.start_mark, "the document has more than a million nodes");
    if (r->event.type == YAML_ALIAS_EVENT)
        return read_alias(r, out);
    if (++r->depth > DEPTH_MAX)
        return fail_at(r, r->event.start_mark, "the document is nested too deeply");
    autofree char *anchor = anchor_of(&r->event);
    int rc;
    if (r->event.type == YAML_SCALAR_EVENT)
        rc = read_scalar(r, out);
    else if (r->event.type == YAML_SEQUENCE_START_EVENT)
        rc = check_collection_tag(r, YAML_SEQ_TAG) != 0 ? -1 : read_sequence(r, out);
    else if (r->event.type == YAML_MAPPING_START_EVENT)
        rc = check_collection_tag(r, YAML_MAP_TAG) != 0 ? -1 : read_mapping(r, out);
    else
        rc = fail_at(r, r->event.start_mark, "unexpected end of a collection");
    r->depth--;
    if (rc == 0 && anchor != NULL) {
        struct node *node = xmalloc(sizeof(*node));
        *node = (struct node){.value = json_object_get(*out), .weight = r->nodes - before};
        node_free(map_put(r->anchors, anchor, node));
    }
    return rc;
}

static int read_document(struct reader *r, struct json_object **out)
{
    if (next(r) != 0 || next(r) != 0) /* stream start, document start */
        return -1;
    if (r->event.type == YAML_STREAM_END_EVENT)
        return 0;
    if (next(r) != 0 || read_node(r, out) != 0 || next(r) != 0 || next(r) != 0)
        return -1;
    if (r->event.type == YAML_STREAM_END_EVENT)
        return 0;
    return fail_at(r, r->event.start_mark,
                   "expected a single document in the stream but found another document");
}

struct json_object *yaml_read(const char *text, size_t n, const char *what, struct err *err)
{
    struct err unused = ERR_INIT;
    struct json_object *out = NULL;
    struct reader r = {.what = what, .err = err != NULL ? err : &unused};
    r.err->text[0] = '\0';
    if (n > YAML_SIZE_MAX) {
        err_set(r.err, "%s: %zu bytes; at most %u are accepted", what, n, YAML_SIZE_MAX);
        return NULL;
    }
    if (!yaml_parser_initialize(&r.parser)) {
        err_set(r.err, "%s: out of memory", what);
        return NULL;
    }
    r.anchors = map_create();
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
    if (read_document(&r, &out) != 0) {
        json_object_put(out);
        out = NULL;
    }
    if (r.has_event)
        yaml_event_delete(&r.event);
    map_destroy(r.anchors, node_free);
    yaml_parser_delete(&r.parser);
    return out;
}
