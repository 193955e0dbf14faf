/* Ids, the packed prefix of functions, rate limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "service/api/private.h"

static void ids_are_ordered(void **state)
{
    char last[UUID_TEXT] = "", id[UUID_TEXT], from[UUID_TEXT], to[UUID_TEXT];
    (void)state;
    id_at(now_us() - 1000000, from);
    for (int i = 0; i < 20000; i++) {
        id_new(id);
        assert_true(uuid_is_canonical(id));
        assert_int_equal(id[14], '7');
        assert_true(strcmp(last, id) < 0);
        strcpy(last, id);
    }
    id_at(now_us() + 60000000, to);
    assert_true(strcmp(from, id) < 0 && strcmp(id, to) < 0);
}

static void id_of(const char *endpoint, const char *sub, const char *config, char out[UUID_TEXT])
{
    autojson struct json_object *o =
        config ? json_read(config, strlen(config), 1 << 16, "config", NULL) : NULL;
    id_uep(endpoint, sub, o, out);
}

static void user_endpoint_ids_depend_on_three_things(void **state)
{
    static const char *const site = "ab9caf4c-2f17-4a69-8950-27f70d9135a7";
    static const char *const sub = "11111111-1111-4111-8111-111111111111";
    char a[UUID_TEXT], b[UUID_TEXT];
    (void)state;
    id_of(site, sub, NULL, a);
    /* For ever: sites rely on it. */
    assert_string_equal(a, "986f365b-c3af-5e6d-9c11-6d6007cd8e6f");
    id_of(site, sub, "{}", b);
    assert_string_equal(a, b);
    id_of(site, sub, "{\"a\":1,\"b\":{\"c\":[1,2],\"d\":null}}", a);
    id_of(site, sub, "{ \"b\" : {\"d\":null,\"c\":[1,2]}, \"a\":1 }", b);
    assert_string_equal(a, b);
    id_of(site, sub, "{\"a\":1,\"b\":{\"c\":[2,1],\"d\":null}}", b);
    assert_string_not_equal(a, b);
    id_of(sub, sub, NULL, a);
    id_of(site, site, NULL, b);
    assert_string_not_equal(a, b);
}

static void buckets_fill_again(void **state)
{
    struct api api = {.loop = loop_create(), .settings = api_settings_default};
    (void)state;
    loop_fake_clock(api.loop, 1000000);
    api.settings.rate_per_s = 2;
    api.settings.rate_burst = 4;
    api.settings.tasks_per_s = 10;
    api.settings.tasks_burst = 100;
    api.keeper = keeper_create(&api, NULL);
    struct limits *l = limits_create(&api);
    for (int i = 0; i < 4; i++)
        assert_int_equal(limits_take(l, "alice", false, 1), 0);
    assert_int_equal(limits_take(l, "alice", false, 1), 1);
    assert_int_equal(limits_take(l, "bob", false, 1), 0);
    loop_fake_advance(api.loop, 500000);
    assert_int_equal(limits_take(l, "alice", false, 1), 0);
    assert_int_equal(limits_take(l, "alice", false, 1), 1);
    /* More than the bucket holds passes once, and is owed. */
    assert_int_equal(limits_take(l, "alice", true, 150), 0);
    assert_int_equal(limits_take(l, "alice", true, 1), 5);
    loop_fake_advance(api.loop, 6000000);
    assert_int_equal(limits_take(l, "alice", true, 1), 0);
    limits_destroy(l);
    keeper_destroy(api.keeper);
    loop_destroy(api.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_ordered),
        cmocka_unit_test(user_endpoint_ids_depend_on_three_things),
        cmocka_unit_test(buckets_fill_again),
    };
    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
