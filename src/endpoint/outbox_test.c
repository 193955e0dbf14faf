/* Results on disk: what is published when, what stays, what another life finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "endpoint/outbox.h"
#include "endpoint/spool.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"

#define ID "7f0c3d2e-1111-4222-8333-44445555%04d"

static struct {
    struct loop *loop;
    char dir[64];
    char published[4096]; /* "cookie:body " */
    char settled[4096];   /* "tag " */
    struct outbox *o;
} g;

static void publish_cb(void *arg, char *body, size_t n, uint64_t cookie)
{
    char text[64];
    snprintf(text, sizeof(text), "%d:%.*s ", (int)cookie, (int)n, body);
    strcat(g.published, text);
    free(body);
}

static void settled_cb(void *arg, const char *id, uint64_t tag, bool durable)
{
    char text[64];
    snprintf(text, sizeof(text), "%d%s ", (int)tag, durable ? "d" : "");
    strcat(g.settled, text);
}

static const struct outbox_handlers handlers = {publish_cb, settled_cb};

static void open_again(void)
{
    struct err err = ERR_INIT;
    g.published[0] = g.settled[0] = '\0';
    g.o = outbox_open(g.loop, g.dir, &handlers, NULL, &err);
    if (g.o == NULL)
        fail_msg("%s", err.text);
}

static int begin(void **state)
{
    memset(&g, 0, sizeof(g));
    strcpy(g.dir, "/tmp/outbox-test-XXXXXX");
    assert_non_null(mkdtemp(g.dir));
    g.loop = loop_create();
    loop_fake_clock(g.loop, 1000000);
    open_again();
    return 0;
}

static int end(void **state)
{
    outbox_close(g.o);
    loop_destroy(g.loop);
    return fs_remove_tree(g.dir, NULL);
}

static void add(int n, const char *body)
{
    char id[64];
    snprintf(id, sizeof(id), ID, n);
    outbox_add(g.o, id, (uint64_t)n, false, xstrdup(body), strlen(body));
}

static bool has_file(int n)
{
    autofree char *path = xasprintf("%s/unacked_results/" ID, g.dir, n);
    return access(path, F_OK) == 0;
}

static void at_once(void **state)
{
    outbox_up(g.o);
    add(1, "a");
    add(2, "b");
    assert_string_equal(g.published, "1:a 2:b ");
    outbox_confirm(g.o, 2, AMQP_ACKED);
    outbox_confirm(g.o, 1, AMQP_ACKED);
    outbox_confirm(g.o, 1, AMQP_ACKED); /* not twice */
    assert_string_equal(g.settled, "2 1 ");
    assert_int_equal(outbox_count(g.o), 0);
}

static void lost_on_the_way(void **state)
{
    outbox_up(g.o);
    add(1, "a");
    outbox_confirm(g.o, 1, AMQP_LOST);
    outbox_down(g.o);
    add(2, "b");
    assert_string_equal(g.published, "1:a ");
    outbox_forget_tags(g.o);
    outbox_up(g.o);
    assert_string_equal(g.published, "1:a 2:a 3:b ");
    char id[64];
    snprintf(id, sizeof(id), ID, 2);
    assert_true(outbox_redelivered(g.o, id, 77));
    outbox_confirm(g.o, 2, AMQP_ACKED);
    outbox_confirm(g.o, 3, AMQP_ACKED);
    assert_string_equal(g.settled, "0 77 ");
    assert_false(outbox_redelivered(g.o, id, 78));
}

static void returned(void **state)
{
    outbox_up(g.o);
    add(1, "a");
    outbox_confirm(g.o, 1, AMQP_RETURNED);
    assert_string_equal(g.published, "1:a ");
    loop_fake_advance(g.loop, LOOP_S(1));
    assert_string_equal(g.published, "1:a 2:a ");
    outbox_confirm(g.o, 2, AMQP_ACKED);
    assert_int_equal(outbox_count(g.o), 0);
}

static void away(void **state)
{
    outbox_up(g.o);
    add(1, "a");
    outbox_confirm(g.o, 1, AMQP_LOST);
    outbox_down(g.o);
    assert_false(has_file(1));
    loop_fake_advance(g.loop, LOOP_S(2));
    assert_true(has_file(1));
    add(2, "b");
    assert_true(has_file(2));
    outbox_up(g.o);
    assert_string_equal(g.published, "1:a 2:a 3:b ");
    assert_true(has_file(2)); /* until it is confirmed */
    outbox_confirm(g.o, 2, AMQP_ACKED);
    outbox_confirm(g.o, 3, AMQP_ACKED);
    assert_false(has_file(1) || has_file(2));
}

static void another_life(void **state)
{
    outbox_up(g.o);
    add(1, "a");
    add(2, "b");
    outbox_close(g.o);
    assert_true(has_file(1) && has_file(2));
    open_again();
    assert_int_equal(outbox_count(g.o), 2);
    outbox_up(g.o);
    assert_int_equal(strlen(g.published), 8);
    outbox_confirm(g.o, 1, AMQP_ACKED);
    outbox_confirm(g.o, 2, AMQP_ACKED);
    assert_string_equal(g.settled, "0d 0d ");
}

static size_t found_n;

static void found_cb(void *arg, const char *id, struct spool_place place)
{
    found_n++;
    assert_int_equal(place.len, 0);
}

/* The process ended with records in the spool, the last one cut off. */
static void after_a_kill(void **state)
{
    char dir[80], id[64], path[256];
    struct err err = ERR_INIT;
    struct spool_place place;
    snprintf(dir, sizeof(dir), "%s/store", g.dir);
    struct spool *s = spool_open(dir, found_cb, NULL, &err);
    for (int i = 0; i < 3; i++) {
        snprintf(id, sizeof(id), ID, i);
        assert_int_equal(spool_add(s, id, "body", 4, false, &place, &err), 0);
    }
    spool_close(s);
    snprintf(path, sizeof(path), "%s/.spool", dir);
    assert_int_equal(truncate(path, place.at + 2), 0);
    snprintf(path, sizeof(path), "%s/%s.tmp-123456", dir, id);
    assert_int_equal(fs_write(path, "x", 1, 0600, false, &err), 0);
    found_n = 0;
    s = spool_open(dir, found_cb, NULL, &err);
    assert_int_equal(found_n, 2);
    assert_int_not_equal(access(path, F_OK), 0);
    autobuf struct buf b = BUF_INIT;
    snprintf(id, sizeof(id), ID, 1);
    assert_int_equal(spool_get(s, id, (struct spool_place){0, 0}, &b, &err), 0);
    assert_string_equal(b.data, "body");
    spool_close(s);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(at_once), TEST(lost_on_the_way), TEST(returned),
        TEST(away),    TEST(another_life),    TEST(after_a_kill),
    };
    return cmocka_run_group_tests_name("endpoint/outbox", tests, NULL, NULL);
}
