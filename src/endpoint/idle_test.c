/* The idle rule on the numbers of the specification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "endpoint/idle.h"

/* Quiet ticks until it leaves, at most `most`; the state then. */
static int64_t ticks(struct idle *i, uint64_t received, uint64_t confirmed, uint64_t outstanding,
                     int64_t most, enum idle_state *state)
{
    for (int64_t n = 1; n <= most; n++) {
        *state = idle_tick(i, received, confirmed, outstanding);
        if (*state == IDLE_LEAVE_SOFT || *state == IDLE_LEAVE_HARD)
            return n;
    }
    return 0;
}

static void soft(void **state)
{
    struct idle i;
    enum idle_state s;
    idle_init(&i, 10, 5760);
    assert_int_equal(idle_tick(&i, 3, 3, 0), IDLE_ACTIVE);
    assert_int_equal(ticks(&i, 3, 3, 0, 100, &s), 10);
    assert_int_equal(s, IDLE_LEAVE_SOFT);
    idle_init(&i, 10, 5760);
    idle_tick(&i, 3, 3, 0);
    assert_int_equal(idle_tick(&i, 3, 3, 0), IDLE_SOFT);
    assert_int_equal(i.left, 9);
    assert_int_equal(idle_tick(&i, 4, 3, 1), IDLE_ACTIVE); /* starts anew */
    assert_int_equal(idle_tick(&i, 4, 4, 0), IDLE_ACTIVE);
    assert_int_equal(ticks(&i, 4, 4, 0, 100, &s), 10);
}

static void hard(void **state)
{
    struct idle i;
    enum idle_state s;
    idle_init(&i, 10, 5760);
    assert_int_equal(ticks(&i, 0, 0, 0, 10000, &s), 5761); /* never got a task */
    assert_int_equal(s, IDLE_LEAVE_HARD);
    idle_init(&i, 10, 5760);
    idle_tick(&i, 1, 0, 1);
    assert_int_equal(ticks(&i, 1, 0, 1, 10000, &s), 5761); /* a task hangs */
    assert_int_equal(s, IDLE_LEAVE_HARD);
    idle_init(&i, 1, 2);
    assert_int_equal(ticks(&i, 0, 0, 0, 100, &s), 3);
    idle_init(&i, 10, 3); /* raised to soft + 1 */
    assert_int_equal(ticks(&i, 0, 0, 0, 100, &s), 12);
}

static void words(void **state)
{
    struct idle i;
    idle_init(&i, 2, 10);
    assert_int_equal(idle_tick(&i, 0, 0, 0), IDLE_QUIET);
    assert_int_equal(idle_tick(&i, 0, 0, 0), IDLE_QUIET);
    assert_int_equal(idle_tick(&i, 0, 0, 0), IDLE_HARD);
    assert_int_equal(i.left, 8);
}

/* Results of an earlier life alone make it "did something". */
static void stored_results_count(void **state)
{
    struct idle i;
    enum idle_state s;
    idle_init(&i, 2, 100);
    idle_tick(&i, 0, 1, 0);
    assert_int_equal(ticks(&i, 0, 1, 0, 100, &s), 2);
    assert_int_equal(s, IDLE_LEAVE_SOFT);
}

static void always_on(void **state)
{
    struct idle i;
    enum idle_state s;
    idle_init(&i, 0, 1);
    idle_tick(&i, 1, 1, 0);
    assert_int_equal(ticks(&i, 1, 1, 0, 10000, &s), 0);
    idle_init(&i, -5, 1);
    assert_int_equal(ticks(&i, 0, 0, 0, 10000, &s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(soft),      cmocka_unit_test(hard),
        cmocka_unit_test(words),     cmocka_unit_test(stored_results_count),
        cmocka_unit_test(always_on),
    };
    return cmocka_run_group_tests_name("endpoint/idle", tests, NULL, NULL);
}
