/* render_user_config() against what the Python original gave for the same input
 * (tests/data/render-cases.json): the text exactly, the YAML value, the kind of an error and the
 * thing that it names.  Then what the cases don't have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/config/config.h"
#include "lib/render/render.h"
#include "lib/yaml/yaml.h"

static const char *cases_path;

static struct json_object *identity_of(struct json_object *fixed)
{
    static const char *const names[] = {"uname", NULL, "uid", "gid", "gecos", "dir", "shell"};
    struct json_object *record = json_at(fixed, "mapped_identity.local_user_record");
    struct json_object *local = json_object_new_object();
    struct json_object *globus = json_object_new_object();
    struct json_object *identity = json_object_new_object();
    for (size_t i = 0; i < 7; i++)
        if (names[i] != NULL)
            json_add(local, names[i], json_object_get(json_object_array_get_idx(record, i)));
    json_add(local, "groups", json_tokener_parse("[7001]"));
    json_add(globus, "id", json_object_get(json_at(fixed, "mapped_identity.matched_identity")));
    json_add(identity, "local", local);
    json_add(identity, "globus", globus);
    return identity;
}

static void write_files(const char *dir, struct json_object *files)
{
    json_object_object_foreach(files, name, text)
    {
        autofree char *path = xasprintf("%s/%s", dir, name);
        const char *s = json_object_get_string(text);
        assert_int_equal(fs_write(path, s, strlen(s), 0600, false, NULL), 0);
    }
}

/* The first quoted word of the original's message must be in ours. */
static bool names_the_same(const char *theirs, const char *ours)
{
    const char *open = strchr(theirs, '\'');
    const char *shut = open != NULL ? strchr(open + 1, '\'') : NULL;
    if (shut == NULL)
        return true;
    autofree char *word = xstrndup(open + 1, (size_t)(shut - open - 1));
    return strstr(ours, word) != NULL;
}

static void check_value(const char *id, struct json_object *expect, const struct buf *out)
{
    struct json_object *wanted;
    if (!json_object_object_get_ex(expect, "yaml", &wanted))
        return;
    struct err err = ERR_INIT;
    autojson struct json_object *got =
        yaml_read(out->data != NULL ? out->data : "", out->len, id, &err);
    autobuf struct buf a = BUF_INIT, b = BUF_INIT;
    json_write_canonical(&a, got);
    json_write_canonical(&b, wanted);
    if (err.text[0] != '\0' || strcmp(a.data, b.data) != 0)
        fail_msg("%s: YAML %s, wanted %s (%s)", id, a.data, b.data, err.text);
}

static void run_case(struct json_object *c, struct json_object *fixed, const char *dir)
{
    const char *id = json_str_or(c, "id", "?");
    const char *text = json_str_or(c, "template", "");
    struct json_object *expect = json_at(c, "expect");
    autobuf struct buf schema = BUF_INIT, out = BUF_INIT;
    struct json_object *found;
    struct err err = ERR_INIT;
    if (json_object_object_get_ex(c, "schema", &found))
        json_write(&schema, found);
    struct config *config =
        config_parse(json_str_or(c, "parent_config", ""),
                     strlen(json_str_or(c, "parent_config", "")), "config.yaml", NULL, &err);
    assert_non_null(config);
    autojson struct json_object *parent = config_as_json(config);
    autojson struct json_object *identity = identity_of(fixed);
    const char *raw = json_str_or(c, "user_opts_json", NULL);
    autojson struct json_object *opts =
        raw != NULL ? json_read(raw, strlen(raw), RENDER_OPTIONS_MAX, "options", &err)
                    : json_object_get(json_at(c, "user_opts"));
    struct json_object *runtime = json_at(c, "user_runtime");
    if (json_at(c, "files") != NULL)
        write_files(dir, json_at(c, "files"));
    struct render_input in = {
        .template_text = text,
        .template_len = strlen(text),
        .template_dir = dir,
        .schema_text = schema.data,
        .schema_len = schema.len,
        .user_opts = opts,
        .user_runtime = runtime != NULL ? runtime : json_at(fixed, "user_runtime_default"),
        .parent_config = parent,
        .parent_config_source = json_str_or(c, "parent_config", ""),
        .mapped_identity = identity,
    };
    struct render_error failure;
    int rc = render_user_config(&in, &out, NULL, &failure);
    const char *wanted = json_str_or(expect, "rendered", NULL);
    if (wanted != NULL) {
        if (rc < 0)
            fail_msg("%s: (%s) %s", id, failure.type, failure.message);
        if (strcmp(out.data != NULL ? out.data : "", wanted) != 0)
            fail_msg("%s: gave <%s>, wanted <%s>", id, out.data, wanted);
        check_value(id, expect, &out);
    } else {
        const char *kind = json_str_or(expect, "kind", "?");
        const char *type = json_str_or(expect, "error_type", "?");
        const char *message = json_str_or(expect, "message", "");
        if (rc == 0)
            fail_msg("%s: gave <%s>, wanted (%s) %s", id, out.data, type, message);
        if (strcmp(failure.kind, kind) != 0 || strcmp(failure.type, type) != 0 ||
            !names_the_same(message, failure.message))
            fail_msg("%s: %s (%s) %s, wanted %s (%s) %s", id, failure.kind, failure.type,
                     failure.message, kind, type, message);
        if (getenv("RENDER_SHOW") != NULL && strcmp(failure.message, message) != 0)
            fprintf(stderr, "# %s says\n%s\n# the original says\n%s\n", id, failure.message,
                    message);
        render_error_free(&failure);
    }
    config_free(config);
}

static void all_cases_agree(void **state)
{
    autobuf struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    char dir[] = "/tmp/render_test.XXXXXX";
    if (fs_read(cases_path, 1 << 24, &text, &err) < 0)
        fail_msg("%s", err.text);
    autojson struct json_object *all = json_read(text.data, text.len, 1 << 24, "cases", &err);
    assert_non_null(all);
    assert_non_null(mkdtemp(dir));
    struct json_object *list = json_at(all, "cases");
    assert_true(json_object_array_length(list) >= 39);
    for (size_t i = 0; i < json_object_array_length(list); i++)
        run_case(json_object_array_get_idx(list, i), json_at(all, "fixed"), dir);
    assert_int_equal(fs_remove_tree(dir, NULL), 0);
}

static int simple(const char *template, const char *opts, const char *schema, struct buf *out,
                  struct json_object **warnings, struct render_error *failure)
{
    autojson struct json_object *o = json_tokener_parse(opts);
    struct render_input in = {
        .template_text = template,
        .template_len = strlen(template),
        .schema_text = schema,
        .schema_len = schema != NULL ? strlen(schema) : 0,
        .user_opts = o,
    };
    return render_user_config(&in, out, warnings, failure);
}

static void texts_keep_their_place(void **state)
{
    static const struct {
        const char *template, *opts, *text;
    } t[] = {
        {"v: {{ v }}", "{\"v\":\"\\ud83d\\ude00\"}", "v: \"\\U0001f600\""},
        {"v: {{ v|shell_escape }}", "{\"v\":\"\\ud83d\\ude00\"}", "v: \"'\\U0001f600'\""},
        {"v: {{ v }}", "{\"v\":\"\\u0000\\u007f\\u0085\\u2028\"}",
         "v: \"\\u0000\\u007f\\u0085\\u2028\""},
        {"v: {{ v }}", "{\"v\":\"{{ 7 * 7 }}\"}", "v: \"{{ 7 * 7 }}\""},
        {"v: {{ v }}", "{\"v\":\"\"}", "v: \"\""},
        {"{% if v %}yes{% endif %}", "{\"v\":\"\"}", "yes"},
        {"v: {{ v }}", "{\"v\":[\"it's\",1]}", "v: ['\"it''s\"', 1]"},
        {"v: {{ v }}", "{\"v\":1e22}", "v: 1e+22"},
        {"v: {{ v }}", "{\"v\":1e400}", "v: inf"},
        {"v: {{ v }}", "{\"v\":18446744073709551615}", "v: 18446744073709551615"},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        autobuf struct buf out = BUF_INIT;
        struct render_error failure;
        if (simple(t[i].template, t[i].opts, NULL, &out, NULL, &failure) < 0)
            fail_msg("%s: %s", t[i].template, failure.message);
        if (strcmp(out.data, t[i].text) != 0)
            fail_msg("%s with %s: %s, wanted %s", t[i].template, t[i].opts, out.data, t[i].text);
    }
}

static void refuses_options(void **state)
{
    static const struct {
        const char *template, *opts, *schema, *kind, *says;
    } t[] = {
        {"x", "{\"mapped_identity\":1}", "{\"type\":5}", "reserved", "'mapped_identity'"},
        {"x", "{\"user_runtime\":1}", NULL, "reserved", "'user_runtime'"},
        {"x", "{\"self\":1}", NULL, "type", "'self'"},
        {"x", "{\"a\\nb: 1\":1}", NULL, "type", "control character"},
        {"x", "{\"o\":[{\"a\\u0085b\":1}]}", NULL, "type", "control character"},
        {"x", "{}", "false", "schema", "False schema does not allow {}"},
        {"x", "{}", "nonsense", "schema-invalid", "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        autobuf struct buf out = BUF_INIT;
        struct render_error failure;
        if (simple(t[i].template, t[i].opts, t[i].schema, &out, NULL, &failure) == 0)
            fail_msg("%s: gave %s", t[i].opts, out.data);
        if (strcmp(failure.kind, t[i].kind) != 0 || strstr(failure.message, t[i].says) == NULL)
            fail_msg("%s: %s %s, wanted %s", t[i].opts, failure.kind, failure.message, t[i].says);
        render_error_free(&failure);
    }
}

static void warns_of_old_names(void **state)
{
    autobuf struct buf out = BUF_INIT;
    autojson struct json_object *warnings = NULL;
    struct render_error failure;
    assert_int_equal(simple("{{ parent_config.source_content }}{{ _GC.user_runtime }}", "{}", NULL,
                            &out, &warnings, &failure),
                     0);
    assert_string_equal(out.data, "{}");
    assert_int_equal(json_object_array_length(warnings), 1);
    assert_non_null(strstr(json_object_get_string(json_object_array_get_idx(warnings, 0)),
                           "Template access to `parent_config` is deprecated"));
}

static void lints(void **state)
{
    static const char template[] = "{{ a }}{{ b.c }}{{ _GC.env.X }}{{ b.d }}";
    static const char schema[] = "{\"properties\":{\"a\":{}}}";
    struct render_input in = {
        .template_text = template,
        .template_len = sizeof(template) - 1,
        .schema_text = schema,
        .schema_len = sizeof(schema) - 1,
    };
    autojson struct json_object *wanted = NULL, *unknown = NULL;
    struct render_error failure;
    assert_int_equal(render_lint(&in, &wanted, &unknown, &failure), 0);
    assert_string_equal(json_object_to_json_string_ext(wanted, JSON_C_TO_STRING_PLAIN),
                        "[\"a\",\"b\"]");
    assert_string_equal(json_object_to_json_string_ext(unknown, JSON_C_TO_STRING_PLAIN), "[\"b\"]");
}

static void shows_values_as_python(void **state)
{
    static const struct {
        const char *yaml, *text;
    } t[] = {
        {"5", "5"},
        {"1.50", "1.5"},
        {"yes", "True"},
        {"null", "None"},
        {"0755", "493"},
        {"1:30:00", "5400"},
        {"2020-01-01", "2020-01-01"},
        {"2020-01-01 10:00:00", "2020-01-01 10:00:00"},
        {"[1, a, {b: null}]", "[1, 'a', {'b': None}]"},
        {"[2020-01-01]", "[datetime.date(2020, 1, 1)]"},
        {"1.0e+22", "1e+22"},
        {"0.1", "0.1"},
        {"100.0", "100.0"},
        {"1.0e-5", "1e-05"},
        {".inf", "inf"},
        {"[\"it's\"]", "[\"it's\"]"},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        autobuf struct buf out = BUF_INIT;
        autojson struct json_object *o = yaml_read(t[i].yaml, strlen(t[i].yaml), "t", NULL);
        render_python_str(&out, o);
        if (strcmp(out.data, t[i].text) != 0)
            fail_msg("%s: %s, wanted %s", t[i].yaml, out.data, t[i].text);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_cases_agree), cmocka_unit_test(texts_keep_their_place),
        cmocka_unit_test(refuses_options), cmocka_unit_test(warns_of_old_names),
        cmocka_unit_test(lints),           cmocka_unit_test(shows_values_as_python),
    };
    if (argc < 2)
        return 2;
    cases_path = argv[1];
    return cmocka_run_group_tests_name("render", tests, NULL, NULL);
}
