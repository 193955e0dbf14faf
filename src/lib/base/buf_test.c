#include "lib/base/test_tables.h"

#include "lib/base/buf.h"
#include "lib/base/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void json_strings(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"q\"b\\", "\"q\\\"b\\\\\""},
        {"a\nb\tc\x01", "\"a\\nb\\tc\\u0001\""},
        {"\xc3\xa9", "\"\xc3\xa9\""},
        {"\xff!", "\"\xef\xbf\xbd!\""},
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a lone surrogate */
        {"\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf b = BUF_INIT;
        buf_json_str(&b, cases[i].in, strlen(cases[i].in));
        assert_string_equal(b.data, cases[i].out);
        buf_free(&b);
    }
}

static void grows_and_drops(void **state)
{
    struct buf b = BUF_INIT;
    for (int i = 0; i < 1000; i++)
        buf_fmt(&b, "%d,", i);
    assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4);
    buf_drop(&b, 4);
    assert_memory_equal(b.data, "2,3,", 4);
    char *s = buf_take(&b);
    assert_null(b.data);
    assert_memory_equal(s, "2,3,", 4);
    free(s);
}

static void maps(void **state)
{
    struct map *m = map_create();
    char key[32];
    for (intptr_t i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "k%d", (int)i);
        assert_null(map_put(m, key, (void *)(i + 1)));
    }
    for (intptr_t i = 0; i < 5000; i += 2) {
        snprintf(key, sizeof(key), "k%d", (int)i);
        assert_ptr_equal(map_del(m, key), (void *)(i + 1));
        assert_null(map_get(m, key));
    }
    assert_int_equal(map_count(m), 2500);
    assert_ptr_equal(map_get(m, "k4999"), (void *)5000);
    assert_ptr_equal(map_put(m, "k4999", (void *)7), (void *)5000);
    size_t n = 0;
    const char *k;
    void *v;
    for (size_t it = 0; map_next(m, &it, &k, &v);) {
        assert_ptr_equal(map_del(m, k), v);
        n++;
    }
    assert_int_equal(n, 2500);
    assert_int_equal(map_count(m), 0);
    map_destroy(m, NULL);
}

int buf_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_strings),
        cmocka_unit_test(grows_and_drops),
        cmocka_unit_test(maps),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
