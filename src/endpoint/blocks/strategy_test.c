/* The scaling formula on the numbers of the specification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "endpoint/blocks/strategy.h"

static void check(struct scaling s, enum scaling_act act, int64_t blocks)
{
    s.scales = true;
    struct scaling_step step = strategy_step(&s);
    assert_int_equal(step.act, act);
    assert_int_equal(step.blocks, blocks);
}

#define BASE .max_blocks = 10, .nodes_per_block = 2, .slots_per_node = 4, .parallelism = 1

static void grows_with_demand(void **state)
{
    check((struct scaling){BASE, .tasks = 1}, SCALE_OUT, 1);
    check((struct scaling){BASE, .tasks = 8}, SCALE_OUT, 1);
    check((struct scaling){BASE, .tasks = 9}, SCALE_OUT, 2);
    check((struct scaling){BASE, .tasks = 1000}, SCALE_OUT, 10);
    check((struct scaling){BASE, .tasks = 1000, .active = 9}, SCALE_OUT, 1);
    check((struct scaling){BASE, .tasks = 1000, .active = 10}, SCALE_NOT, 0);
    check((struct scaling){BASE, .tasks = 8, .active = 1}, SCALE_NOT, 0);
    struct scaling half = {BASE, .tasks = 32};
    half.parallelism = 0.5;
    check(half, SCALE_OUT, 2);
    half.parallelism = 0;
    check(half, SCALE_OUT, 1);
    half.active = 1;
    check(half, SCALE_NOT, 0);
}

static void shrinks_when_idle(void **state)
{
    check((struct scaling){BASE, .active = 3}, SCALE_NOT, 0);
    check((struct scaling){BASE, .active = 3, .idle_long = true}, SCALE_IN, 3);
    check((struct scaling){BASE, .active = 3, .min_blocks = 1, .idle_long = true}, SCALE_IN, 2);
    check((struct scaling){BASE, .active = 1, .min_blocks = 1, .idle_long = true}, SCALE_NOT, 0);
    check((struct scaling){BASE, .active = 3, .tasks = 2}, SCALE_NOT, 0);
    check((struct scaling){BASE, .active = 3, .tasks = 2, .gives_early = true}, SCALE_IN_IDLE_ONLY,
          2);
    check((struct scaling){BASE, .active = 2, .tasks = 9, .gives_early = true}, SCALE_NOT, 0);
}

static void none_never_scales(void **state)
{
    struct scaling s = {BASE, .tasks = 100};
    assert_int_equal(strategy_step(&s).act, SCALE_NOT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_with_demand),
        cmocka_unit_test(shrinks_when_idle),
        cmocka_unit_test(none_never_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
