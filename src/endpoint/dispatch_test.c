/* Dispatch with pretended agents, and the set of answered ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "endpoint/dispatch.h"
#include "endpoint/ids.h"
#include "lib/base/alloc.h"

struct agent {
    char got[512]; /* last two characters of each id, in order */
    bool deaf;
};

static struct {
    struct loop *loop;
    struct dispatch *d;
    char answered[512], failed[4096];
    unsigned frames;
    struct seat *seats[8];
    size_t seats_n;
} g;

static int send_cb(void *arg, void *agent, const struct task *t)
{
    struct agent *a = agent;
    if (a->deaf)
        return -1;
    strcat(a->got, t->id + 34);
    return 0;
}

static void answered_cb(void *arg, struct task *t, const void *body, size_t n)
{
    strcat(g.answered, t->id + 34);
    g.frames = t->failure.count;
    if (body == NULL)
        snprintf(g.failed, sizeof(g.failed), "%s", t->failure.attempts[t->failure.count - 1]);
}

static void started_cb(void *arg, struct task *t)
{
}

static const struct dispatch_handlers handlers = {send_cb, answered_cb, started_cb};

static void begin(int64_t retries)
{
    memset(&g, 0, sizeof(g));
    g.loop = loop_create();
    loop_fake_clock(g.loop, 1000000);
    g.d = dispatch_create(g.loop, retries, &handlers, NULL);
}

static struct seat *seat(struct agent *a, const char *block, size_t capacity)
{
    struct seat *s = dispatch_seat(g.d, a, block, capacity);
    g.seats[g.seats_n++] = s;
    return s;
}

static void unseat(struct seat *s, const char *text)
{
    for (size_t i = 0; i < g.seats_n; i++)
        if (g.seats[i] == s)
            g.seats[i] = g.seats[--g.seats_n];
    dispatch_unseat(g.d, s, text);
}

static void end(void)
{
    dispatch_stop(g.d);
    while (g.seats_n > 0)
        unseat(g.seats[0], "the end");
    dispatch_destroy(g.d);
    loop_destroy(g.loop);
}

static void settle(void)
{
    for (int i = 0; i < 5; i++)
        loop_once(g.loop, 0);
}

static const char *id_of(int n)
{
    static char id[8][UUID_TEXT];
    static int next;
    char *out = id[next++ % 8];
    snprintf(out, UUID_TEXT, "00000000-0000-4000-8000-0000000000%02d", n % 100);
    return out;
}

static void add(int n, const char *spec)
{
    struct task *t = task_new(id_of(n));
    task_set_spec(t, spec != NULL ? json_tokener_parse(spec) : NULL);
    dispatch_add(g.d, t);
}

static void order(void **state)
{
    struct agent a = {.got = ""};
    begin(0);
    add(1, NULL);
    add(2, "{\"priority\": 5}");
    add(3, "{\"priority\": 1.5}");
    add(4, NULL);
    add(5, "{\"priority\": 5}");
    seat(&a, "0", 10);
    settle();
    assert_string_equal(a.got, "0302050104");
    end();
}

static void capacity(void **state)
{
    struct agent a = {.got = ""};
    begin(0);
    seat(&a, "0", 2);
    for (int i = 1; i <= 5; i++)
        add(i, NULL);
    settle();
    assert_string_equal(a.got, "0102");
    assert_int_equal(dispatch_waiting(g.d), 3);
    loop_fake_advance(g.loop, LOOP_S(1)); /* a second each: nothing is handed out ahead */
    dispatch_result(g.d, id_of(1), "x", 1);
    settle();
    assert_string_equal(a.got, "010203");
    assert_string_equal(g.answered, "01");
    assert_int_equal(dispatch_count(g.d), 4);
    end();
}

/* Short tasks may wait at the agent, and stop doing so when one takes long. */
static void ahead(void **state)
{
    struct agent a = {.got = ""};
    begin(0);
    struct seat *s = seat(&a, "0", 1);
    for (int i = 0; i < 60; i++)
        add(i, NULL);
    settle();
    assert_int_equal(seat_tasks(s), 1);
    loop_fake_advance(g.loop, 1000);
    dispatch_result(g.d, id_of(0), "x", 1);
    settle();
    assert_true(seat_tasks(s) > 4 && seat_tasks(s) < 12);
    size_t before = seat_tasks(s);
    loop_fake_advance(g.loop, LOOP_S(2));
    dispatch_result(g.d, id_of(1), "x", 1);
    settle();
    assert_int_equal(seat_tasks(s), before - 1);
    end();
}

static void deaf_agents_are_passed_over(void **state)
{
    struct agent deaf = {.deaf = true}, good = {.got = ""};
    begin(0);
    seat(&deaf, "0", 5);
    seat(&good, "1", 5);
    seat(&deaf, "2", 5);
    for (int i = 1; i <= 3; i++)
        add(i, NULL);
    settle();
    assert_string_equal(good.got, "010203");
    end();
}

static void lost_and_tried_again(void **state)
{
    struct agent a = {.got = ""}, b = {.got = ""};
    begin(1);
    struct seat *s = seat(&a, "0", 1);
    add(1, NULL);
    add(2, NULL);
    settle();
    dispatch_hold(g.d, s);
    unseat(s, "gone");
    assert_string_equal(g.answered, "");
    s = seat(&b, "1", 1);
    settle();
    assert_string_equal(b.got, "01"); /* its place in the queue is the old one */
    dispatch_lost(g.d, s, id_of(1), true, "again");
    assert_string_equal(g.answered, "01");
    assert_string_equal(g.failed, "again");
    assert_int_equal(g.frames, 2);
    settle();
    dispatch_lost(g.d, s, id_of(2), false, "not startable");
    assert_string_equal(g.answered, "0102");
    assert_int_equal(g.frames, 1);
    end();
}

static void reports_of_strangers(void **state)
{
    struct agent a = {.got = ""}, b = {.got = ""};
    begin(0);
    seat(&a, "0", 1);
    add(1, NULL);
    settle();
    struct seat *other = seat(&b, "1", 1);
    dispatch_lost(g.d, other, id_of(1), true, "not mine");
    dispatch_result(g.d, id_of(9), "x", 1);
    dispatch_started(g.d, id_of(9));
    assert_string_equal(g.answered, "");
    end();
}

static void the_end(void **state)
{
    struct agent a = {.got = ""};
    begin(3);
    seat(&a, "0", 1);
    add(1, NULL);
    add(2, NULL);
    settle();
    dispatch_started(g.d, id_of(1));
    dispatch_stop(g.d);
    dispatch_give_back(g.d, dispatch_find(g.d, id_of(2)));
    dispatch_fail_all(g.d, "bad state");
    assert_string_equal(g.answered, "01");
    assert_string_equal(g.failed, "bad state");
    assert_int_equal(dispatch_count(g.d), 0);
    end();
}

static void uuid_of(uint64_t n, char out[UUID_TEXT])
{
    snprintf(out, UUID_TEXT, "%08x-0000-4000-8000-%012llx", (unsigned)(n * 2654435761u),
             (unsigned long long)n);
}

static void ids_are_remembered(void **state)
{
    struct ids *s = ids_create();
    char id[UUID_TEXT];
    const uint64_t n = IDS_MAX + 5000;
    uuid_of(1, id);
    assert_false(ids_has(s, id));
    for (uint64_t i = 0; i < n; i++) {
        uuid_of(i, id);
        ids_add(s, id);
        ids_add(s, id);
    }
    for (uint64_t i = 0; i < n; i++) {
        uuid_of(i, id);
        if (ids_has(s, id) != (i >= n - IDS_MAX))
            fail_msg("id %llu", (unsigned long long)i);
    }
    ids_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order),
        cmocka_unit_test(capacity),
        cmocka_unit_test(ahead),
        cmocka_unit_test(deaf_agents_are_passed_over),
        cmocka_unit_test(lost_and_tried_again),
        cmocka_unit_test(reports_of_strangers),
        cmocka_unit_test(the_end),
        cmocka_unit_test(ids_are_remembered),
    };
    return cmocka_run_group_tests_name("endpoint/dispatch", tests, NULL, NULL);
}
