#include "lib/base/test_tables.h"

#include "lib/base/alloc.h"
#include "lib/base/spawn.h"

#include <errno.h>
#include <string.h>

struct seen {
    struct loop *loop;
    struct spawn_result r;
    char out[4096];
    char errout[256];
};

static void done_cb(void *arg, const struct spawn_result *r)
{
    struct seen *s = arg;
    s->r = *r;
    memcpy(s->out, r->out, r->out_len < sizeof(s->out) ? r->out_len + 1 : sizeof(s->out));
    memcpy(s->errout, r->errout, r->errout_len < 255 ? r->errout_len + 1 : 255);
    loop_stop(s->loop, 0);
}

static void run(struct seen *s, const struct spawn_opts *o)
{
    memset(s, 0, sizeof(*s));
    s->loop = loop_create();
    struct err err = ERR_INIT;
    assert_non_null(spawn_start(s->loop, o, done_cb, s, &err));
    loop_run(s->loop);
    loop_destroy(s->loop);
}

static void input_output_status(void **state)
{
    struct seen s;
    run(&s, &(struct spawn_opts){.argv = (const char *[]){"sh", "-c", "cat; echo e >&2; exit 3", 0},
                                 .input = "hello",
                                 .input_len = 5});
    assert_int_equal(s.r.exit_code, 3);
    assert_string_equal(s.out, "hello");
    assert_string_equal(s.errout, "e\n");
}

static void deadline_kills_the_group(void **state)
{
    struct seen s;
    run(&s, &(struct spawn_opts){.argv = (const char *[]){"sh", "-c", "sleep 60 & sleep 60", 0},
                                 .timeout_us = LOOP_MS(100)});
    assert_true(s.r.timed_out);
    assert_int_equal(s.r.exit_code, -1);
    assert_true(s.r.took_us < LOOP_S(5));
}

static void output_is_cut(void **state)
{
    struct seen s;
    run(&s, &(struct spawn_opts){.argv = (const char *[]){"sh", "-c", "yes | head -c 100000", 0},
                                 .output_max = 1000});
    assert_int_equal(s.r.exit_code, 0);
    assert_int_equal(s.r.out_len, 1000);
}

static void ends_by_signal(void **state)
{
    struct seen s;
    run(&s, &(struct spawn_opts){.argv = (const char *[]){"sh", "-c", "kill -9 $$", 0}});
    assert_int_equal(s.r.signal, 9);
}

static void not_there(void **state)
{
    struct loop *l = loop_create();
    struct err err = ERR_INIT;
    const struct spawn_opts o = {.argv = (const char *[]){"/nonexistent/prog", 0}};
    assert_null(spawn_start(l, &o, done_cb, NULL, &err));
    assert_int_equal(err.code, ENOENT);
    assert_string_equal(err.text, "cannot run /nonexistent/prog: No such file or directory");
    loop_destroy(l);
}

int spawn_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(input_output_status), cmocka_unit_test(deadline_kills_the_group),
        cmocka_unit_test(output_is_cut),       cmocka_unit_test(ends_by_signal),
        cmocka_unit_test(not_there),
    };
    return cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
}
