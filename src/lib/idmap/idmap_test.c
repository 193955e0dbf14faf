/* lib/idmap against the cases that the original produced, and against what hostile rules and
 * programs do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/loop.h"
#include "lib/idmap/idmap.h"

static const char endpoint_id[] = "11111111-aaaa-4bbb-8ccc-222222222222";

struct answer {
    bool called;
    char *username, *identity;
    struct json_object *candidates, *warnings, *explanation;
};

static void answer_cb(void *arg, const struct idmap_outcome *o)
{
    struct answer *a = arg;
    a->called = true;
    a->username = xstrdup(o->username);
    a->identity = xstrdup(o->matched_identity);
    a->candidates = json_object_get(o->candidates);
    a->warnings = json_object_get(o->warnings);
    a->explanation = json_object_get(o->explanation);
}

static void answer_free(struct answer *a)
{
    free(a->username);
    free(a->identity);
    json_object_put(a->candidates);
    json_object_put(a->warnings);
    json_object_put(a->explanation);
    *a = (struct answer){.called = false};
}

static void evaluate(struct idmap *m, struct json_object *identities, struct answer *a)
{
    struct loop *loop = loop_create();
    idmap_explain(m, loop, endpoint_id, identities, answer_cb, a);
    while (!a->called)
        loop_once(loop, LOOP_S(10));
    loop_destroy(loop);
}

/* One rule on one identity, given as JSON: the name, "" for nobody, NULL when it does not load. */
static char *one(const char *source, const char *match, const char *output, const char *identity)
{
    autojson struct json_object *doc = json_tokener_parse(
        "[{\"DATA_TYPE\":\"expression_identity_mapping#1.0.0\",\"mappings\":[{}]}]");
    struct json_object *rule =
        json_object_array_get_idx(json_at(json_object_array_get_idx(doc, 0), "mappings"), 0);
    json_add_str(rule, "source", source);
    json_add_str(rule, "match", match);
    json_add_str(rule, "output", output);
    autobuf struct buf text = BUF_INIT;
    json_write(&text, doc);
    struct idmap *m = idmap_load(text.data, text.len, NULL);
    if (m == NULL)
        return NULL;
    autojson struct json_object *set = json_object_new_array();
    struct json_object *person = json_tokener_parse(identity);
    json_add_str(person, "status", "used");
    json_add_str(person, "id", "00000000-0000-4000-8000-00000000000a");
    json_object_array_add(set, person);
    struct answer a = {.called = false};
    evaluate(m, set, &a);
    char *name = xstrdup(a.username != NULL ? a.username : "");
    answer_free(&a);
    idmap_free(m);
    return name;
}

static struct json_object *case_file(void)
{
    autofree char *path = xasprintf("%s/identity-mapping-cases.json",
                                    getenv("TEST_DATA") ? getenv("TEST_DATA") : ".");
    struct json_object *doc = json_object_from_file(path);
    assert_non_null(doc);
    return doc;
}

/* The case's files in dir, and its text with @DIR@ replaced. */
static void write_files(const char *dir, struct json_object *files)
{
    json_object_object_foreach(files, name, content)
    {
        autofree char *path = xasprintf("%s/%s", dir, name);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(json_object_get_string(content), f);
        fclose(f);
        assert_int_equal(chmod(path, 0755), 0);
    }
}

static void replace(struct buf *out, const char *text, const char *dir)
{
    const char *at;
    while ((at = strstr(text, "@DIR@")) != NULL) {
        buf_add(out, text, (size_t)(at - text));
        buf_str(out, dir);
        text = at + 5;
    }
    buf_str(out, text);
}

static bool has_tag(struct json_object *c, const char *tag)
{
    struct json_object *tags = json_at(c, "tags");
    for (size_t i = 0; i < json_object_array_length(tags); i++)
        if (strcmp(json_object_get_string(json_object_array_get_idx(tags, i)), tag) == 0)
            return true;
    return false;
}

static void check_answer(const char *id, struct json_object *expect, const struct answer *a)
{
    const char *username = json_str_or(expect, "username", NULL);
    const char *identity = json_str_or(expect, "matched_identity", NULL);
    if (username == NULL ? a->username != NULL
                         : a->username == NULL || strcmp(a->username, username) != 0)
        fail_msg("%s: username %s, wanted %s", id, a->username, username);
    if (identity == NULL ? a->identity != NULL
                         : a->identity == NULL || strcmp(a->identity, identity) != 0)
        fail_msg("%s: identity %s, wanted %s", id, a->identity, identity);
    struct json_object *candidates = json_at(expect, "candidates");
    if (!json_object_equal(candidates, a->candidates))
        fail_msg("%s: candidates %s, wanted %s", id, json_object_to_json_string(a->candidates),
                 json_object_to_json_string(candidates));
    struct json_object *warnings = json_at(expect, "mapper_warnings");
    size_t n = warnings != NULL ? json_object_array_length(warnings) : 0;
    assert_int_equal(json_object_array_length(a->warnings), n);
    for (size_t i = 0; i < n; i++) {
        /* The first line: what follows in the original is the program's input and output. */
        const char *want = json_object_get_string(json_object_array_get_idx(warnings, i));
        const char *got = json_object_get_string(json_object_array_get_idx(a->warnings, i));
        if (strncmp(got, want, strcspn(want, "\n")) != 0)
            fail_msg("%s: warning %s, wanted %s", id, got, want);
    }
}

static void check_case(struct json_object *c)
{
    const char *id = json_str_or(c, "id", "");
    char dir[] = "/tmp/idmap-test.XXXXXX";
    assert_non_null(mkdtemp(dir));
    if (json_at(c, "files") != NULL)
        write_files(dir, json_at(c, "files"));
    autobuf struct buf text = BUF_INIT;
    struct json_object *mapping = json_at(c, "mapping");
    const char *raw = json_str_or(c, "mapping_text", NULL);
    replace(&text,
            raw != NULL ? raw
                        : json_object_to_json_string_ext(mapping, JSON_C_TO_STRING_NOSLASHESCAPE),
            dir);
    struct err err = ERR_INIT;
    struct idmap *m = idmap_load(text.data, text.len, &err);
    struct json_object *expect = json_at(c, "expect");
    if (strcmp(json_str_or(expect, "load", ""), "ok") != 0) {
        if (m != NULL)
            fail_msg("%s: loads, but must not", id);
        const char *type = json_str_or(expect, "load_error_type", "");
        if (strstr(err.text, type) == NULL)
            fail_msg("%s: %s does not name %s", id, err.text, type);
    } else {
        if (m == NULL)
            fail_msg("%s: does not load: %s", id, err.text);
        struct answer a = {.called = false};
        evaluate(m, json_at(c, "identities"), &a);
        if (!has_tag(c, "security"))
            check_answer(id, expect, &a);
        else
            assert_null(a.username); /* the original lets these in */
        answer_free(&a);
    }
    idmap_free(m);
    err = (struct err)ERR_INIT;
    assert_int_equal(fs_remove_tree(dir, &err), 0);
}

static void agrees_with_the_cases_of_the_original(void **state)
{
    autojson struct json_object *doc = case_file();
    struct json_object *cases = json_at(doc, "cases");
    assert_int_equal(json_object_array_length(cases), 67);
    for (size_t i = 0; i < 67; i++)
        check_case(json_object_array_get_idx(cases, i));
}

/* Observed with globus-identity-mapping 0.5.0, beyond the case file. */
static void reads_pythons_spellings(void **state)
{
    static const struct {
        const char *source, *match, *output, *identity, *name; /* name NULL: must not load */
    } t[] = {
        {"{username}", "(.*)", "\\{0}", "{\"username\":\"u\"}", "\\{0}"},
        {"{username}", "(.*)", "\\\\{0}", "{\"username\":\"u\"}", "\\\\u"},
        {"{username}", "(.*)", "a{0", "{\"username\":\"u\"}", "a{0"},
        {"{username}", "(.*)", "a{}", "{\"username\":\"u\"}", ""},
        {"{username}", "(.*)", "a{ 0 }", "{\"username\":\"u\"}", "au"},
        {"{username}", "(.*)", "a{+0}", "{\"username\":\"u\"}", "au"},
        {"{username}", "(.*)", "a{0_0}", "{\"username\":\"u\"}", "au"},
        {"{username}", "(.*)", "a{\xd9\xa0}", "{\"username\":\"u\"}", "au"},
        {"{username}", "(.*)", "{0x0}", "{\"username\":\"u\"}", ""},
        {"{username}", "(.*)", "{-2}", "{\"username\":\"u\"}", ""},
        {"{username}", "(.*)", "{5}", "{\"username\":\"u\",\"5\":\"five\"}", "five"},
        {"{username}", "(.*)", "{05}", "{\"username\":\"u\",\"5\":\"five\"}", ""},
        {"{username}", "(.*)", "{n}", "{\"username\":\"u\",\"n\":5}", ""},
        {"{0}", "(.*)", "{0}", "{\"username\":\"u\"}", ""},
        {"{username}", "(b)\\1a", "{0}", "{\"username\":\"bba\"}", "b"},
        {"{username}", "a\\1(b)", "{0}", "{\"username\":\"ab\"}", NULL},
        {"{username}", "(b)\\10a", "{0}", "{\"username\":\"bb0a\"}", NULL},
        {"{username}", "a\\01a", "x", "{\"username\":\"a\\u0001a\"}", "x"},
        {"{username}", "", "x", "{\"username\":\"\"}", "x"},
        {"{username}", "a**", "x", "{\"username\":\"a\"}", NULL},
        {"{username}", "(*a)", "x", "{\"username\":\"a\"}", NULL},
        {"{username}", "a|*b", "x", "{\"username\":\"a\"}", NULL},
        {"{username}", "(?R)", "x", "{\"username\":\"a\"}", NULL},
        {"{username}", "(*COMMIT)a", "x", "{\"username\":\"a\"}", NULL},
        {"{username}", "a\\\\^b", "x", "{\"username\":\"a\\\\^b\"}", NULL},
        {"{username}", "a\\", "x", "{\"username\":\"a\"}", NULL},
        {"{username}", "a\\\\", "x", "{\"username\":\"a\\\\\"}", "x"},
        {"{username}", "(?P<n>a)", "{0}", "{\"username\":\"a\"}", "a"},
        {"{username}", "(?P<n>a)", "{n}", "{\"username\":\"a\"}", ""},
        {"{username}", "(?i:A)b", "x", "{\"username\":\"ab\"}", "x"},
        {"{username}", "(?i)ab", "x", "{\"username\":\"ab\"}", NULL},
        {"{username}", "(?#note)a", "x", "{\"username\":\"a\"}", "x"},
        {"{username}", "a(?<=a)b", "x", "{\"username\":\"ab\"}", "x"},
        {"{username}", "(?>a)", "x", "{\"username\":\"a\"}", "x"},
        {"{username}", "a.b", "x", "{\"username\":\"a\\nb\"}", ""},
        {"{username}", "ab?c*", "x", "{\"username\":\"a\"}", "x"},
        {"{ username }", "(a)", "{0}", "{\"username\":\"a\"}", ""},
        {"{username}", "j\xc3\xb6rg@(.*)", "{0}", "{\"username\":\"j\xc3\xb6rg@x\"}", "x"},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        autofree char *name = one(t[i].source, t[i].match, t[i].output, t[i].identity);
        if (name == NULL ? t[i].name != NULL : t[i].name == NULL || strcmp(name, t[i].name) != 0)
            fail_msg("%s ~ %s -> %s: %s, wanted %s", t[i].source, t[i].match, t[i].output, name,
                     t[i].name);
    }
}

/* The four leaks of the original that are closed here. */
static void is_safer_than_the_original(void **state)
{
    autofree char *a = one("{username}", "a@x|b@x", "ab", "{\"username\":\"a@x.evil.net\"}");
    autofree char *b = one("{username}", "a@x", "ab", "{\"username\":\"a@x\\n\"}");
    autofree char *c =
        one("{username}", "(.*)@x", "{0}{name}", "{\"username\":\"{name}@x\",\"name\":\"root\"}");
    autofree char *d = one("{username}", "a@x|b@x", "ab", "{\"username\":\"b@x\"}");
    assert_string_equal(a, "");
    assert_string_equal(b, "");
    assert_string_equal(c, "{name}root");
    assert_string_equal(d, "ab");
}

static void a_catastrophic_expression_gives_up(void **state)
{
    autofree char *name = one("{username}", "(a*)*b", "x",
                              "{\"username\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac\"}");
    assert_string_equal(name, "");
    static const char text[] = "[{\"DATA_TYPE\":\"expression_identity_mapping#1.0.0\",\"mappings\":"
                               "[{\"source\":\"{u}\",\"match\":\"((a*)*)*(b|c)d*\",\"output\":"
                               "\"x\"}]}]";
    struct idmap *m = idmap_load(text, strlen(text), NULL);
    autojson struct json_object *set =
        json_tokener_parse("[{\"id\":\"i\",\"status\":\"used\",\"u\":"
                           "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaae\"}]");
    struct answer a = {.called = false};
    evaluate(m, set, &a);
    assert_non_null(strstr(json_object_to_json_string(a.warnings), "too many steps"));
    answer_free(&a);
    idmap_free(m);
}

static struct idmap *with_program(const char *dir, const char *script)
{
    autofree char *path = xasprintf("%s/map.sh", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", script);
    fclose(f);
    assert_int_equal(chmod(path, 0755), 0);
    autofree char *text = xasprintf(
        "[{\"DATA_TYPE\":\"external_identity_mapping#1.0.0\",\"command\":[\"%s\", 7, 2.5]}]", path);
    struct idmap *m = idmap_load(text, strlen(text), NULL);
    assert_non_null(m);
    assert_true(idmap_has_external(m));
    return m;
}

/* Every answer that is not exactly the protocol's is a failure of that mapper. */
static void distrusts_programs(void **state)
{
    static const struct {
        const char *script, *warning; /* "" = no warning, nobody mapped */
    } t[] = {
        {"cat >/dev/null", ""},
        {"exec </dev/null", ""}, /* never reads its input */
        {"printf ' \\n'", "IdentityMappingError"},
        {"echo '[]'", "an object"},
        {"echo '{\"result\":null}'", "IdentityMappingError"},
        {"echo '{\"result\":[{\"id\":\"nonsense\",\"output\":\"x\"}]}'", "not a UUID"},
        {"echo '{\"result\":[{\"id\":\"00000000-0000-4000-8000-00000000000a\",\"output\":5}]}'",
         "IdentityMappingError"},
        {"echo '{\"DATA_TYPE\":\"other\",\"result\":[]}'", "DATA_TYPE"},
        {"echo '{\"result\":[],\"more\":1}'", "unknown field"},
        {"kill -9 $$", "exit code: -9"},
        {"env | grep -q SECRET && exit 3; exit 4", "exit code: 4"},
        {"head -c 3000000 /dev/zero | tr '\\0' x", "IdentityMappingError"},
    };
    char dir[] = "/tmp/idmap-test.XXXXXX";
    assert_non_null(mkdtemp(dir));
    setenv("SECRET", "1", 1);
    autojson struct json_object *set = json_tokener_parse(
        "[{\"id\":\"00000000-0000-4000-8000-00000000000a\",\"username\":\"a@x\"}]");
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct idmap *m = with_program(dir, t[i].script);
        struct answer a = {.called = false};
        evaluate(m, set, &a);
        const char *warnings = json_object_to_json_string(a.warnings);
        assert_null(a.username);
        if (*t[i].warning == '\0' ? json_object_array_length(a.warnings) != 0
                                  : strstr(warnings, t[i].warning) == NULL)
            fail_msg("%s: %s", t[i].script, warnings);
        answer_free(&a);
        idmap_free(m);
    }
    assert_int_equal(fs_remove_tree(dir, NULL), 0);
}

static void a_cancelled_run_is_silent(void **state)
{
    char dir[] = "/tmp/idmap-test.XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct idmap *m = with_program(dir, "sleep 60");
    struct loop *loop = loop_create();
    struct answer a = {.called = false};
    struct idmap_run *run = idmap_eval(m, loop, endpoint_id, NULL, answer_cb, &a);
    idmap_free(m); /* the run keeps the rules */
    loop_once(loop, 1000);
    idmap_cancel(run);
    loop_once(loop, 1000);
    assert_false(a.called);
    loop_destroy(loop);
    assert_int_equal(fs_remove_tree(dir, NULL), 0);
}

static void an_explanation_names_rule_and_reason(void **state)
{
    static const char text[] =
        "[{\"DATA_TYPE\":\"expression_identity_mapping#1.0.0\",\"mappings\":["
        "{\"source\":\"{username}\",\"match\":\"(.*)@b\\\\.org\",\"output\":\"{0}\"},"
        "{\"source\":\"{username}\",\"match\":\"(.*)@a\\\\.org\",\"output\":\"{0}\"}]}]";
    struct idmap *m = idmap_load(text, strlen(text), NULL);
    autojson struct json_object *set =
        json_tokener_parse("[{\"id\":\"i1\",\"username\":\"x@a.org\",\"status\":\"used\"},"
                           "{\"id\":\"i2\",\"username\":\"y@a.org\",\"status\":\"closed\"}]");
    struct answer a = {.called = false};
    evaluate(m, set, &a);
    const char *said = json_object_to_json_string(a.explanation);
    assert_string_equal(a.username, "x");
    assert_non_null(strstr(said, "mapper 1 maps identity i1 to x"));
    assert_non_null(strstr(said, "neither used nor private"));
    assert_non_null(strstr(said, "does not match"));
    answer_free(&a);
    idmap_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_cases_of_the_original),
        cmocka_unit_test(reads_pythons_spellings),
        cmocka_unit_test(is_safer_than_the_original),
        cmocka_unit_test(a_catastrophic_expression_gives_up),
        cmocka_unit_test(distrusts_programs),
        cmocka_unit_test(a_cancelled_run_is_silent),
        cmocka_unit_test(an_explanation_names_rule_and_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
