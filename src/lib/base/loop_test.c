#include "lib/base/test_tables.h"

#include "lib/base/loop.h"

#include <pthread.h>
#include <string.h>

static char trace[64];

static void note_cb(void *arg)
{
    strcat(trace, arg);
}

static void timers_fire_in_order(void **state)
{
    struct loop *l = loop_create();
    loop_fake_clock(l, 1000);
    struct loop_timer *t[5];
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    static const uint64_t delay[] = {50, 10, 40, 20, 30};
    trace[0] = '\0';
    for (int i = 0; i < 5; i++) {
        t[i] = loop_timer_create(l, note_cb, (void *)names[i]);
        loop_timer_set(t[i], delay[i], 0);
    }
    loop_timer_cancel(t[3]);
    loop_timer_set(t[1], 45, 0); /* moved */
    loop_fake_advance(l, 39);
    assert_string_equal(trace, "e");
    loop_fake_advance(l, 11);
    assert_string_equal(trace, "ecba");
    assert_int_equal(loop_now_us(l), 1050);
    for (int i = 0; i < 5; i++)
        loop_timer_destroy(t[i]);
    loop_destroy(l);
}

static void *poster(void *arg)
{
    for (int i = 0; i < 3; i++)
        loop_post(arg, note_cb, (void *)"p");
    return NULL;
}

static void stop_cb(void *arg)
{
    loop_stop(arg, 7);
}

static void posts_and_real_time(void **state)
{
    struct loop *l = loop_create();
    trace[0] = '\0';
    pthread_t th;
    pthread_create(&th, NULL, poster, l);
    pthread_join(th, NULL);
    loop_defer(l, note_cb, (void *)"d");
    struct loop_timer *t = loop_timer_create(l, stop_cb, l);
    loop_timer_set(t, LOOP_MS(20), 0);
    uint64_t began = loop_now_us(l);
    assert_int_equal(loop_run(l), 7);
    assert_true(loop_now_us(l) - began >= LOOP_MS(20));
    assert_int_equal(strlen(trace), 4);
    loop_timer_destroy(t);
    loop_destroy(l);
}

int loop_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order),
        cmocka_unit_test(posts_and_real_time),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
