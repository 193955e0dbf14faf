#include "lib/base/test_tables.h"

#include "lib/base/json.h"

#include <string.h>

static struct json_object *parse(const char *text, struct err *err)
{
    return json_read(text, strlen(text), 1000, "doc", err);
}

static void refuses(void **state)
{
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "doc is not JSON"},
        {"{", "doc is not JSON"},
        {"{} x", "doc is not JSON: unexpected character at byte 3"},
        {"{'a':1}", "doc is not JSON"},
        {"[1,]", "doc is not JSON"},
        {"null", "doc is null"},
        {"\"\xff\"", "doc is not JSON"},
        {"\"\xc0\x80\"", "doc is not JSON: text that is not UTF-8"},
        {"\"\xe0\x80\x80\"", "doc is not JSON: text that is not UTF-8"},
        {"\"\xed\xa0\x80\"", "doc is not JSON: text that is not UTF-8"},
        {"\"\xf0\x80\x80\x80\"", "doc is not JSON: text that is not UTF-8"},
        {"\"\xf4\x90\x80\x80\"", "doc is not JSON: text that is not UTF-8"},
        {"\"\xf5\x80\x80\x80\"", "doc is not JSON"},
        {"\"\xe2\x82\"", "doc is not JSON"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = ERR_INIT;
        if (parse(cases[i].text, &err))
            fail_msg("%s was accepted", cases[i].text);
        if (!strstr(err.text, cases[i].reason))
            fail_msg("%s gave: %s", cases[i].text, err.text);
    }
    char deep[300];
    memset(deep, '[', sizeof(deep));
    struct err err = ERR_INIT;
    assert_null(json_read(deep, sizeof(deep), 1000, "doc", &err));
    assert_non_null(strstr(err.text, "not JSON"));
    assert_null(json_read(deep, sizeof(deep), 100, "doc", &err));
    assert_non_null(strstr(err.text, "larger than 100 bytes"));
}

static void getters(void **state)
{
    autojson struct json_object *o = parse(" {\"a\":{\"b\":\"x\",\"n\":5,\"z\":null}} ", NULL);
    assert_non_null(o);
    struct err err = ERR_INIT;
    const char *s;
    int64_t n;
    assert_int_equal(json_get_str(o, "a.b", &s, &err), 0);
    assert_string_equal(s, "x");
    assert_int_equal(json_get_int(o, "a.n", &n, &err), 0);
    assert_int_equal(n, 5);
    assert_int_equal(json_get_str(o, "a.n", &s, &err), -1);
    assert_string_equal(err.text, "a.n is not a string (it is a number)");
    assert_int_equal(json_get_str(o, "a.c", &s, &err), -1);
    assert_string_equal(err.text, "a.c is missing");
    assert_int_equal(json_get_str(o, "a.b.c", &s, &err), -1);
    assert_int_equal(json_get_str(o, "a.z", &s, &err), -1);
    assert_string_equal(err.text, "a.z is not a string (it is null)");
    assert_string_equal(json_str_or(o, "a.z", "other"), "other");
}

static void writes(void **state)
{
    autojson struct json_object *o =
        parse("{\"b\":[1,2.5,1e22,true,null],\"a\":\"/\\u00e9\\ud83d\\ude00\"}", NULL);
    struct buf b = BUF_INIT;
    json_write(&b, o);
    assert_string_equal(b.data,
                        "{\"b\":[1,2.5,1e+22,true,null],\"a\":\"/\xc3\xa9\xf0\x9f\x98\x80\"}");
    buf_clear(&b);
    json_write_ascii(&b, o);
    assert_string_equal(b.data, "{\"b\":[1,2.5,1e+22,true,null],\"a\":\"/\\u00e9\\ud83d\\ude00\"}");
    buf_clear(&b);
    json_write_canonical(&b, o);
    assert_memory_equal(b.data, "{\"a\":", 5);
    buf_free(&b);
}

int json_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(getters),
        cmocka_unit_test(writes),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
