/* Expression mappers: each mapping in order, each identity in order. */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/idmap/interpolate.h"
#include "lib/idmap/private.h"

/* One rule on one identity, and what is said about it. */
struct trial {
    const struct mapping *mapping;
    struct json_object *identity;
    struct buf source, output;
    const char *skipped; /* why it was not tried, or NULL */
    bool matched;
};

static const char *reason_to_skip(struct json_object *identity)
{
    const char *status = json_str_or(identity, "status", NULL);
    if (status == NULL)
        return "the identity has no status";
    if (strcmp(status, "used") != 0 && strcmp(status, "private") != 0)
        return "the identity's status is neither used nor private";
    return NULL;
}

static int try_mapping(struct trial *t, struct err *err)
{
    const struct mapping *m = t->mapping;
    buf_clear(&t->source);
    buf_clear(&t->output);
    t->matched = false;
    t->skipped = reason_to_skip(t->identity);
    if (t->skipped != NULL)
        return 0;
    if (!m->source_is_text || !m->output_is_text)
        return err_set(err, "(TypeError) 'source' and 'output' must be text");
    if (interpolate(&t->source, m->source, m->source_len, t->identity, NULL, err) != 0)
        return -1;
    struct captures captures;
    int rc = pattern_match(m->pattern, t->source.data, t->source.len, &captures, err);
    if (rc <= 0)
        return rc;
    t->matched = true;
    return interpolate(&t->output, m->output, m->output_len, t->identity, &captures, err);
}

static int keep(struct trial *t, struct json_object *results, struct err *err)
{
    const char *id = json_str_or(t->identity, "id", NULL);
    if (id == NULL)
        return err_set(err, "(KeyError) 'id': an identity that matched has none");
    struct json_object *names;
    if (!json_object_object_get_ex(results, id, &names)) {
        names = json_object_new_array_ext(1);
        json_object_object_add(results, id, names);
    }
    json_object_array_add(names, json_object_new_string_len(t->output.data, (int)t->output.len));
    return 0;
}

static void describe(struct json_object *list, const struct trial *t, const char *failure)
{
    struct json_object *o = json_object_new_object();
    json_add_str(o, "id", json_str_or(t->identity, "id", NULL));
    json_add_str(o, "username", json_str_or(t->identity, "username", NULL));
    json_add_str(o, "tested", t->skipped == NULL ? t->source.data : NULL);
    json_add_bool(o, "matched", t->matched && failure == NULL);
    if (t->matched && failure == NULL)
        json_add_str(o, "name", t->output.data);
    else
        json_add_str(o, "why_not",
                     failure != NULL      ? failure
                     : t->skipped != NULL ? t->skipped
                                          : "the expression does not match the tested text");
    json_object_array_add(list, o);
}

static struct json_object *describe_mapping(struct json_object *list, const struct mapping *m,
                                            size_t number)
{
    struct json_object *o = json_object_new_object();
    json_add_int(o, "mapping", (int64_t)number);
    json_add_str(o, "source", m->source);
    json_add_str(o, "match", m->match);
    json_add_str(o, "output", m->output);
    struct json_object *identities = json_object_new_array();
    json_add(o, "identities", identities);
    json_object_array_add(list, o);
    return identities;
}

/* All identities for one mapping.  -1: the whole mapper has failed. */
static int run_mapping(struct trial *t, struct json_object *identities,
                       struct json_object *candidates, struct json_object *details, struct err *err)
{
    struct json_object *results = json_object_new_object();
    int rc = 0;
    size_t n = json_object_array_length(identities);
    for (size_t i = 0; i < n && rc == 0; i++) {
        t->identity = json_object_array_get_idx(identities, i);
        rc = try_mapping(t, err);
        if (rc == 0 && t->matched)
            rc = keep(t, results, err);
        if (details != NULL)
            describe(details, t, rc != 0 ? err->text : NULL);
    }
    if (rc == 0 && json_object_object_length(results) > 0)
        json_object_array_add(candidates, results);
    else
        json_object_put(results);
    return rc;
}

void expression_evaluate(const struct mapper *m, struct json_object *identities, bool explain,
                         struct finding *f)
{
    struct trial t = {.source = BUF_INIT, .output = BUF_INIT};
    struct err err = ERR_INIT;
    struct json_object *candidates = json_object_new_array();
    f->details = explain ? json_object_new_array() : NULL;
    for (size_t i = 0; i < m->mappings_count && f->failure == NULL; i++) {
        t.mapping = &m->mappings[i];
        struct json_object *details =
            explain ? describe_mapping(f->details, t.mapping, i + 1) : NULL;
        if (run_mapping(&t, identities, candidates, details, &err) != 0)
            f->failure = xstrdup(err.text);
    }
    if (f->failure != NULL) {
        json_object_put(candidates);
        candidates = json_object_new_array();
    }
    f->candidates = candidates;
    buf_free(&t.source);
    buf_free(&t.output);
}
