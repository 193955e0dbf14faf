/* One evaluation: all mappers, external ones side by side, then the choice.
 *
 * The explanation that idmap_explain() adds:
 *   {"mappers": [{"mapper": 1, "kind": "ExpressionIdentityMapping", "failure": null,
 *                 "mappings": [{"mapping": 1, "source", "match", "output",
 *                               "identities": [{"id", "username", "tested", "matched",
 *                                               "name" or "why_not"}]}]}],
 *    "decision": "one sentence"} */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/idmap/private.h"

struct idmap_run {
    struct idmap *rules;
    struct loop *loop;
    struct loop_timer *finish;
    struct json_object *identities;
    bool explain;
    idmap_f *done;
    void *arg;
    struct finding *findings;
    struct external **externals;
    size_t waiting;
};

struct choice {
    const char *username, *identity;
    size_t mapper; /* counted from 1; 0 = none */
};

static const char *kind_name(const struct mapper *m)
{
    return m->kind == MAPPER_EXPRESSION ? "ExpressionIdentityMapping" : "ExternalIdentityMapping";
}

/* First mapper with anything, its first object, first id, first name; empty name = nobody. */
static struct choice choose(const struct idmap_run *run)
{
    for (size_t i = 0; i < run->rules->count; i++) {
        struct json_object *list = run->findings[i].candidates;
        if (json_object_array_length(list) == 0)
            continue;
        struct json_object_iterator first =
            json_object_iter_begin(json_object_array_get_idx(list, 0));
        struct json_object *names = json_object_iter_peek_value(&first);
        const char *name = json_object_get_string(json_object_array_get_idx(names, 0));
        if (name == NULL || *name == '\0')
            return (struct choice){.mapper = i + 1};
        return (struct choice){
            .username = name, .identity = json_object_iter_peek_name(&first), .mapper = i + 1};
    }
    return (struct choice){.mapper = 0};
}

static struct json_object *explain(const struct idmap_run *run, struct choice c)
{
    struct json_object *mappers = json_object_new_array();
    for (size_t i = 0; i < run->rules->count; i++) {
        struct json_object *o = json_object_new_object();
        json_add_int(o, "mapper", (int64_t)i + 1);
        json_add_str(o, "kind", kind_name(&run->rules->mappers[i]));
        json_add_str(o, "failure", run->findings[i].failure);
        if (run->findings[i].details != NULL)
            json_add(o, "mappings", json_object_get(run->findings[i].details));
        json_object_array_add(mappers, o);
    }
    autofree char *decision =
        c.username != NULL
            ? xasprintf("mapper %zu maps identity %s to %s", c.mapper, c.identity, c.username)
        : c.mapper > 0
            ? xasprintf("mapper %zu matches with an empty name, which maps nobody and hides the "
                        "mappers behind it",
                        c.mapper)
        : run->rules->count == 0 ? xstrdup("the mapping file holds no mapper")
                                 : xstrdup("no rule matches any identity of the set");
    struct json_object *o = json_object_new_object();
    json_add(o, "mappers", mappers);
    json_add_str(o, "decision", decision);
    return o;
}

static struct json_object *all_warnings(const struct idmap_run *run)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < run->rules->count; i++) {
        if (run->findings[i].failure == NULL)
            continue;
        autofree char *text =
            xasprintf("Identity mapper %zu [of %zu] (%s) failed -- %s", i + 1, run->rules->count,
                      kind_name(&run->rules->mappers[i]), run->findings[i].failure);
        json_object_array_add(list, json_object_new_string(text));
    }
    return list;
}

static void run_free(struct idmap_run *run)
{
    for (size_t i = 0; i < run->rules->count; i++) {
        json_object_put(run->findings[i].candidates);
        json_object_put(run->findings[i].details);
        free(run->findings[i].failure);
    }
    loop_timer_destroy(run->finish);
    json_object_put(run->identities);
    idmap_free(run->rules);
    free(run->findings);
    free(run->externals);
    free(run);
}

static void finish_cb(void *arg)
{
    struct idmap_run *run = arg;
    struct choice c = choose(run);
    autojson struct json_object *candidates = json_object_new_array();
    for (size_t i = 0; i < run->rules->count; i++)
        json_object_array_add(candidates, json_object_get(run->findings[i].candidates));
    autojson struct json_object *warnings = all_warnings(run);
    autojson struct json_object *explanation = run->explain ? explain(run, c) : NULL;
    struct idmap_outcome outcome = {.username = c.username,
                                    .matched_identity = c.identity,
                                    .candidates = candidates,
                                    .warnings = warnings,
                                    .explanation = explanation};
    run->done(run->arg, &outcome);
    run_free(run);
}

/* Which program ended does not matter: each has filled its own finding. */
static void external_done_cb(void *arg)
{
    struct idmap_run *run = arg;
    if (--run->waiting == 0)
        loop_timer_set(run->finish, 0, 0);
}

/* A list of objects only: what else a sender put in can't be an identity. */
static struct json_object *clean_list(struct json_object *set)
{
    struct json_object *list = json_object_new_array();
    size_t n = json_object_is_type(set, json_type_array) ? json_object_array_length(set) : 0;
    for (size_t i = 0; i < n; i++) {
        struct json_object *identity = json_object_array_get_idx(set, i);
        if (json_object_is_type(identity, json_type_object))
            json_object_array_add(list, json_object_get(identity));
    }
    return list;
}

static struct idmap_run *start(struct idmap *m, struct loop *loop, const char *endpoint_id,
                               struct json_object *identity_set, bool explain, idmap_f *done,
                               void *arg)
{
    struct idmap_run *run = xcalloc(1, sizeof(*run));
    *run = (struct idmap_run){.rules = idmap_ref(m),
                              .loop = loop,
                              .identities = clean_list(identity_set),
                              .explain = explain,
                              .done = done,
                              .arg = arg,
                              .findings = xcalloc(m->count + 1, sizeof(*run->findings)),
                              .externals = xcalloc(m->count + 1, sizeof(*run->externals))};
    run->finish = loop_timer_create(loop, finish_cb, run);
    for (size_t i = 0; i < m->count; i++) {
        struct mapper *mapper = &m->mappers[i];
        if (mapper->kind == MAPPER_EXPRESSION) {
            expression_evaluate(mapper, run->identities, explain, &run->findings[i]);
            continue;
        }
        run->externals[i] = external_start(mapper, loop, endpoint_id, run->identities,
                                           &run->findings[i], external_done_cb, run);
        if (run->externals[i] != NULL)
            run->waiting++;
    }
    if (run->waiting == 0)
        loop_timer_set(run->finish, 0, 0);
    return run;
}

struct idmap_run *idmap_eval(struct idmap *m, struct loop *loop, const char *endpoint_id,
                             struct json_object *identity_set, idmap_f *done, void *arg)
{
    return start(m, loop, endpoint_id, identity_set, false, done, arg);
}

struct idmap_run *idmap_explain(struct idmap *m, struct loop *loop, const char *endpoint_id,
                                struct json_object *identity_set, idmap_f *done, void *arg)
{
    return start(m, loop, endpoint_id, identity_set, true, done, arg);
}

void idmap_cancel(struct idmap_run *run)
{
    if (run == NULL)
        return;
    for (size_t i = 0; i < run->rules->count; i++)
        if (run->findings[i].candidates == NULL)
            external_cancel(run->externals[i]);
    run_free(run);
}
