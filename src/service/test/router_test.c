#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "service/http/router.h"

static void handler(struct req *r)
{
    (void)r;
}

static const struct route routes[] = {
    {"GET", "/v2/tasks/{id}", handler, 0, 0},
    {"DELETE", "/v2/tasks/{id}", handler, 0, 0},
    {"GET", "/v2/tasks/all", handler, 0, 0},
    {"POST", "/v3/endpoints/{id}/submit", handler, 0, 0},
    {"GET", "/", handler, 0, 0},
    {NULL},
};

static struct router_hit find(struct router *r, const char *method, const char *raw,
                              struct target *t)
{
    struct router_hit hit;
    assert_int_equal(target_parse(raw, t, NULL), 0);
    router_find(r, method, t, &hit);
    return hit;
}

static void finds_the_best(void **state)
{
    (void)state;
    struct router *r = router_create();
    struct target t;
    router_add(r, routes, (void *)"arg");
    struct router_hit hit = find(r, "GET", "/v2/tasks/7", &t);
    assert_ptr_equal(hit.route, &routes[0]);
    assert_string_equal(hit.value[0], "7");
    assert_int_equal(hit.name_len[0], 2);
    assert_string_equal(hit.arg, "arg");
    target_clear(&t);
    hit = find(r, "HEAD", "/v2/tasks/all", &t);
    assert_ptr_equal(hit.route, &routes[2]);
    target_clear(&t);
    hit = find(r, "GET", "/", &t);
    assert_ptr_equal(hit.route, &routes[4]);
    target_clear(&t);
    router_destroy(r);
}

static void tells_wrong_methods_from_nothing(void **state)
{
    (void)state;
    struct router *r = router_create();
    struct target t;
    router_add(r, routes, NULL);
    struct router_hit hit = find(r, "POST", "/v2/tasks/7", &t);
    assert_null(hit.route);
    assert_true(hit.other_method);
    target_clear(&t);
    hit = find(r, "GET", "/v2/task", &t);
    assert_null(hit.route);
    assert_false(hit.other_method);
    target_clear(&t);
    hit = find(r, "GET", "/v2/tasksx/7", &t);
    assert_null(hit.route);
    assert_false(hit.other_method);
    target_clear(&t);
    router_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_best),
        cmocka_unit_test(tells_wrong_methods_from_nothing),
    };
    return cmocka_run_group_tests_name("router", tests, NULL, NULL);
}
