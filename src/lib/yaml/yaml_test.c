/* lib/yaml against values that PyYAML 6 gave for the same text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/alloc.h"
#include "lib/yaml/yaml.h"

static void types_scalars_as_pyyaml(void **state)
{
    static const struct {
        const char *yaml, *json; /* repr of the value */
    } t[] = {
        {"1:00:00", "3600"},
        {"01:00:00", "\"01:00:00\""},
        {"48:00:00", "172800"},
        {"90:00", "5400"},
        {"0:30:00", "\"0:30:00\""},
        {"1:60:00", "\"1:60:00\""},
        {"-1:30", "-90"},
        {"1:30.5", "90.5"},
        {"010", "8"},
        {"08", "\"08\""},
        {"0x1F", "31"},
        {"0b101", "5"},
        {"1_000", "1000"},
        {"+5", "5"},
        {"0o7", "\"0o7\""},
        {"1e3", "\"1e3\""},
        {"1.0e3", "\"1.0e3\""},
        {"1.5e+3", "1500.0"},
        {"1.", "1.0"},
        {".5", "0.5"},
        {"-.5", "\"-.5\""},
        {"1.2.3", "\"1.2.3\""},
        {"yes", "true"},
        {"Off", "false"},
        {"y", "\"y\""},
        {"tRue", "\"tRue\""},
        {"~", "null"},
        {"Null", "null"},
        {"'~'", "\"~\""},
        {"!!str 12", "\"12\""},
        {"!!int '12'", "12"},
        {"!!bool yes", "true"},
        {"2026-01-02", "{\"!date\":\"2026-01-02\"}"},
        {"2026-1-2", "\"2026-1-2\""},
        {"2026-01-02 03:04:05Z", "{\"!date\":\"2026-01-02T03:04:05+00:00\"}"},
        {"2026-01-02T03:04:05.5-05:00", "{\"!date\":\"2026-01-02T03:04:05.500000-05:00\"}"},
        {"[1, 'a', {b: c}]", "[1,\"a\",{\"b\":\"c\"}]"},
        {"{1: a, yes: b, ~: c}", "{\"1\":\"a\",\"True\":\"b\",\"None\":\"c\"}"},
        {"a: 1\na: 2\n", "{\"a\":2}"},
        {"x: &b {p: 1, q: 2}\ny:\n  <<: *b\n  q: 3\n",
         "{\"x\":{\"p\":1,\"q\":2},\"y\":{\"p\":1,\"q\":3}}"},
        {"a: |\n  l1\n  l2\n", "{\"a\":\"l1\\nl2\\n\"}"},
        {"a: >-\n  l1\n  l2\n", "{\"a\":\"l1 l2\"}"},
        {"18446744073709551615", "18446744073709551615"},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct err err = ERR_INIT;
        autojson struct json_object *o = yaml_read(t[i].yaml, strlen(t[i].yaml), "test", &err);
        const char *got = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
        if (err.text[0] != '\0' || strcmp(got, t[i].json) != 0)
            fail_msg("%s: %s, wanted %s (%s)", t[i].yaml, got, t[i].json, err.text);
    }
}

static void refuses_with_place(void **state)
{
    static const struct {
        const char *yaml, *why;
    } t[] = {
        {"a: [1,", "flow node"},
        {"a: b: c", "line 1, column 5"},
        {"a: *x", "undefined alias"},
        {"--- 1\n--- 2\n", "single document"},
        {"!!python/object:os.system x", "constructor for the tag"},
        {"? [a]\n: b", "unhashable"},
        {"a: !!int x", "does not fit"},
        {"<<: 5", "merging"},
        {"a: &a [*a]", "undefined alias"},
        {"\t- a", "line 1"},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct err err = ERR_INIT;
        assert_null(yaml_read(t[i].yaml, strlen(t[i].yaml), "test", &err));
        if (strstr(err.text, t[i].why) == NULL)
            fail_msg("%s: %s", t[i].yaml, err.text);
    }
}

static void empty_is_null_without_error(void **state)
{
    static const char *const t[] = {"", "# nothing\n", "---\n", "null"};
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct err err = ERR_INIT;
        assert_null(yaml_read(t[i], strlen(t[i]), "test", &err));
        assert_string_equal(err.text, "");
    }
}

/* A few lines that would be a billion nodes, and a document that is only depth. */
static void bombs_are_refused(void **state)
{
    struct err err = ERR_INIT;
    autobuf struct buf b = BUF_INIT;
    buf_str(&b, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 12; i++) {
        buf_fmt(&b, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            buf_fmt(&b, "*a%d, ", i - 1);
        buf_str(&b, "]\n");
    }
    assert_null(yaml_read(b.data, b.len, "bomb", &err));
    assert_non_null(strstr(err.text, "million nodes"));
    buf_clear(&b);
    for (int i = 0; i < 5000; i++)
        buf_char(&b, '[');
    assert_null(yaml_read(b.data, b.len, "deep", &err));
    assert_non_null(strstr(err.text, "deep"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_scalars_as_pyyaml),
        cmocka_unit_test(refuses_with_place),
        cmocka_unit_test(empty_is_null_without_error),
        cmocka_unit_test(bombs_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
