/* schema_check() against Python's jsonschema 4.26 (tests/data/schema-cases.json): the whole text
 * for refused values; for broken schemas the first line, since the metaschema isn't quoted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/fs.h"
#include "lib/schema/schema.h"

static const char *cases_path;

static bool same_text(const char *kind, const char *wanted, const char *got)
{
    if (strcmp(kind, "schema") == 0)
        return strcmp(wanted, got) == 0;
    /* References: the kind of trouble and the name of what isn't there are enough. */
    if (strncmp(wanted, "_WrappedReferencingError", 24) == 0)
        return strncmp(got, "Unresolvable", 12) == 0 || strncmp(got, "PointerToNowhere", 16) == 0;
    size_t line = strcspn(wanted, "\n");
    return strncmp(wanted, got, line) == 0 && (got[line] == '\n' || got[line] == '\0');
}

static void run_case(struct json_object *c, unsigned *bad)
{
    struct json_object *schema = NULL, *instance = NULL;
    struct json_object *expect = json_at(c, "expect");
    const char *id = json_str_or(c, "id", "?");
    autobuf struct buf text = BUF_INIT;
    struct schema_error err;
    if (json_at(c, "differs") != NULL)
        return;
    json_object_object_get_ex(c, "schema", &schema);
    json_object_object_get_ex(c, "instance", &instance);
    json_write(&text, schema);
    int rc = schema_check(text.data, text.len, instance, &err);
    const char *kind = json_str_or(expect, "kind", "");
    const char *wanted = json_str_or(expect, "message", "(accepted)");
    if (rc == 0 ? expect != NULL
                : expect == NULL || strcmp(kind, err.kind) != 0 ||
                      !same_text(kind, wanted, err.message)) {
        fprintf(stderr, "# %s %s\n# gave %s:\n%s\n# wanted %s:\n%s\n", id, text.data,
                rc == 0 ? "" : err.kind, rc == 0 ? "(accepted)" : err.message, kind, wanted);
        (*bad)++;
    }
    if (rc < 0)
        schema_error_free(&err);
}

static void all_cases_agree(void **state)
{
    autobuf struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    unsigned bad = 0;
    if (fs_read(cases_path, 1 << 24, &text, &err) < 0)
        fail_msg("%s", err.text);
    autojson struct json_object *all = json_read(text.data, text.len, 1 << 24, "cases", &err);
    struct json_object *list = json_at(all, "cases");
    assert_true(json_object_array_length(list) > 80);
    for (size_t i = 0; i < json_object_array_length(list); i++)
        run_case(json_object_array_get_idx(list, i), &bad);
    assert_int_equal(bad, 0);
}

static void check_refused(const char *schema, const char *value, const char *kind, const char *says)
{
    autojson struct json_object *instance = json_tokener_parse(value);
    struct schema_error err;
    if (schema_check(schema, strlen(schema), instance, &err) == 0)
        fail_msg("%s accepts %s", schema, value);
    if (strcmp(err.kind, kind) != 0 || strstr(err.message, says) == NULL)
        fail_msg("%s: %s %s, wanted %s %s", schema, err.kind, err.message, kind, says);
    schema_error_free(&err);
}

/* The next four are differences from Python: docs/differences-templates.md. */
static void differs_false_refuses_everything(void **state)
{
    check_refused("false", "{}", "schema", "False schema does not allow {}");
}

static void differs_no_look_around(void **state)
{
    check_refused("{\"pattern\":\"(?=a)b\"}", "\"x\"", "schema-invalid", "look-around");
    check_refused("{\"pattern\":\"(a)\\\\1\"}", "\"x\"", "schema-invalid", "back references");
}

static void differs_no_draft_3(void **state)
{
    check_refused("{\"$schema\":\"http://json-schema.org/draft-03/schema#\"}", "{}",
                  "schema-invalid", "draft 3");
}

static void differs_integer_of_draft_4(void **state)
{
    static const char schema[] =
        "{\"$schema\":\"http://json-schema.org/draft-04/schema\",\"type\":\"integer\"}";
    autojson struct json_object *value = json_tokener_parse("1.0");
    struct schema_error err;
    assert_int_equal(schema_check(schema, sizeof(schema) - 1, value, &err), 0);
}

static void refuses_what_is_no_schema(void **state)
{
    check_refused("{", "{}", "schema-invalid", "not valid JSON");
    check_refused("\"text\"", "{}", "schema-invalid", "");
    check_refused("{\"$ref\":\"#\"}", "{}", "schema", "refers to itself without end");
    check_refused("\xff", "{}", "schema-invalid", "UTF-8");
    check_refused("{\"$ref\":\"file:///etc/passwd\"}", "{}", "schema-invalid", "Unresolvable");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_cases_agree),
        cmocka_unit_test(differs_false_refuses_everything),
        cmocka_unit_test(differs_no_look_around),
        cmocka_unit_test(differs_no_draft_3),
        cmocka_unit_test(differs_integer_of_draft_4),
        cmocka_unit_test(refuses_what_is_no_schema),
    };
    if (argc < 2)
        return 2;
    cases_path = argv[1];
    return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
