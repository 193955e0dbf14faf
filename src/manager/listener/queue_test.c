/* The round of users, and the arguments kept for a revival, by a clock of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "manager/listener/fair.h"
#include "manager/listener/revive.h"

static char *item(const char *user, int n)
{
    return xasprintf("%s%d", user, n);
}

static void expect(struct fair *f, const char *want)
{
    autofree char *got = fair_take(f);
    if (!want)
        assert_null(got);
    else
        assert_string_equal(got, want);
}

static void users_take_turns(void **state)
{
    struct fair *f =
        fair_create(&(struct fair_limits){.per_user = 10, .total = 100, .running_max = 9});
    for (int i = 0; i < 4; i++)
        assert_int_equal(fair_push(f, "a", item("a", i)), FAIR_OK);
    fair_push(f, "b", item("b", 0));
    fair_push(f, "c", item("c", 0));
    fair_push(f, "b", item("b", 1));
    static const char *const order[] = {"a0", "b0", "c0", "a1", "b1", "a2", "a3", NULL};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        expect(f, order[i]);
    assert_int_equal(fair_waiting(f), 0);
    fair_destroy(f, free);
}

static void nobody_runs_more_than_his_share(void **state)
{
    struct fair *f =
        fair_create(&(struct fair_limits){.per_user = 10, .total = 100, .running_max = 2});
    for (int i = 0; i < 4; i++)
        fair_push(f, "a", item("a", i));
    expect(f, "a0");
    expect(f, "a1");
    expect(f, NULL);
    fair_push(f, "b", item("b", 0));
    expect(f, "b0");
    fair_done(f, "a");
    expect(f, "a2");
    expect(f, NULL);
    fair_done(f, "a");
    fair_done(f, "b"); /* he is forgotten; he may come back */
    fair_push(f, "b", item("b", 1));
    expect(f, "a3");
    expect(f, "b1");
    fair_destroy(f, free);
}

static void lines_are_bounded(void **state)
{
    struct fair *f =
        fair_create(&(struct fair_limits){.per_user = 2, .total = 3, .running_max = 1});
    assert_int_equal(fair_push(f, "a", item("a", 0)), FAIR_OK);
    assert_int_equal(fair_push(f, "a", item("a", 1)), FAIR_OK);
    char c = 0;
    assert_int_equal(fair_push(f, "a", &c), FAIR_USER_FULL);
    assert_int_equal(fair_push(f, "b", item("b", 0)), FAIR_OK);
    assert_int_equal(fair_push(f, "c", &c), FAIR_ALL_FULL);
    fair_destroy(f, free);
    fair_destroy(NULL, free);
}

/* Ten thousand of one user: whoever comes last waits for one of his only. */
static void a_flood(void **state)
{
    struct fair *f =
        fair_create(&(struct fair_limits){.per_user = 20000, .total = 30000, .running_max = 20000});
    for (int i = 0; i < 10000; i++)
        fair_push(f, "flood", item("f", i));
    fair_push(f, "late", item("late", 0));
    expect(f, "f0");
    expect(f, "late0");
    expect(f, "f1");
    fair_destroy(f, free);
}

static unsigned freed;

static void free_cb(void *p)
{
    freed++;
    free(p);
}

static void kept_for_the_grace_period(void **state)
{
    struct loop *l = loop_create();
    loop_fake_clock(l, LOOP_S(1000));
    struct revive *r = revive_create(l, LOOP_S(30), 3, free_cb);
    freed = 0;
    assert_null(revive_take(r, "a"));
    revive_put(r, "a", xstrdup("1"));
    loop_fake_advance(l, LOOP_S(29));
    autofree char *kept = revive_take(r, "a");
    assert_string_equal(kept, "1");
    assert_null(revive_take(r, "a")); /* once */
    revive_put(r, "a", xstrdup("2"));
    loop_fake_advance(l, LOOP_S(20));
    revive_put(r, "a", xstrdup("3")); /* the newer counts, and its time */
    assert_int_equal(freed, 1);
    loop_fake_advance(l, LOOP_S(20));
    autofree char *newer = revive_take(r, "a");
    assert_string_equal(newer, "3");
    revive_put(r, "a", xstrdup("4"));
    loop_fake_advance(l, LOOP_S(30));
    assert_null(revive_take(r, "a"));
    loop_fake_advance(l, LOOP_S(5));
    assert_int_equal(revive_count(r), 0); /* and nothing stays in memory */
    assert_int_equal(freed, 2);
    for (int i = 0; i < 5; i++) {
        char key[2] = {(char)('p' + i), 0};
        revive_put(r, key, xstrdup(key));
    }
    assert_int_equal(revive_count(r), 3);
    assert_null(revive_take(r, "p")); /* the oldest went */
    revive_destroy(r);
    struct revive *off = revive_create(l, 0, 3, free_cb);
    revive_put(off, "a", xstrdup("5"));
    assert_null(revive_take(off, "a"));
    revive_destroy(off);
    loop_destroy(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_take_turns),
        cmocka_unit_test(nobody_runs_more_than_his_share),
        cmocka_unit_test(lines_are_bounded),
        cmocka_unit_test(a_flood),
        cmocka_unit_test(kept_for_the_grace_period),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
