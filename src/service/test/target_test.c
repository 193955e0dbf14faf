#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "service/http/target.h"

static void takes_both_forms(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *authority, *path, *query;
        size_t segments;
    } cases[] = {
        {"/", NULL, "/", NULL, 0},
        {"/v2/version?service=all", NULL, "/v2/version", "service=all", 2},
        {"//v2//version/", NULL, "/v2/version", NULL, 2},
        {"http://localhost:5000/v2/x%20y?a=b#c", "localhost:5000", "/v2/x y", "a=b", 2},
        {"HTTP://[::1]:5000", "[::1]:5000", "/", NULL, 0},
        {"http://h?x", "h", "/", "x", 0},
        {"/a%2Fb/c", NULL, "/a/b/c", NULL, 2},
        {"/../..", NULL, "/../..", NULL, 2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct target t;
        assert_int_equal(target_parse(cases[i].raw, &t, NULL), 0);
        assert_string_equal(t.path, cases[i].path);
        assert_int_equal(t.segments, cases[i].segments);
        if (cases[i].authority)
            assert_string_equal(t.authority, cases[i].authority);
        else
            assert_null(t.authority);
        if (cases[i].query)
            assert_string_equal(t.query, cases[i].query);
        else
            assert_null(t.query);
        target_clear(&t);
    }
}

static void refuses_nonsense(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",    "v2",   "ftp://x/", "http:///x", "/%",
        "/%2", "/%zz", "/a%00b",   "*",         "/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g/h"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct target t;
        struct err err = ERR_INIT;
        assert_int_equal(target_parse(cases[i], &t, &err), -1);
        assert_true(err.text[0]);
        target_clear(&t);
    }
    char *big = malloc(TARGET_MAX + 3);
    memset(big, 'a', TARGET_MAX + 2);
    big[0] = '/';
    big[TARGET_MAX + 2] = '\0';
    struct target t;
    assert_int_equal(target_parse(big, &t, NULL), -1);
    target_clear(&t);
    free(big);
}

static void splits_pairs(void **state)
{
    (void)state;
    struct pairs *p = pairs_parse("a=1&b=x+y%26z&c&=d&&e==", 23, NULL);
    assert_non_null(p);
    assert_string_equal(pairs_get(p, "a"), "1");
    assert_string_equal(pairs_get(p, "b"), "x y&z");
    assert_string_equal(pairs_get(p, "c"), "");
    assert_string_equal(pairs_get(p, "e"), "=");
    assert_null(pairs_get(p, "x"));
    pairs_free(p);
    assert_null(pairs_parse("a=%", 3, NULL));
    assert_null(pairs_parse("a=%0", 4, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_both_forms),
        cmocka_unit_test(refuses_nonsense),
        cmocka_unit_test(splits_pairs),
    };
    return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
