/* Messages survive the way; everything malformed is refused and leaves no descriptor behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manager/table.h"

#define ID "11111111-2222-3333-4444-555555555555"

static int pair[2];

static int set_up(void **state)
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int tear_down(void **state)
{
    close(pair[0]);
    return close(pair[1]);
}

static int open_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void send_raw(const void *p, size_t n, size_t n_fds)
{
    int fds[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    char control[CMSG_SPACE(sizeof(fds))] __attribute__((aligned(8))) = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n_fds) {
        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
    }
    assert_int_equal(sendmsg(pair[0], &msg, 0), n);
}

static void refused(const void *p, size_t n, size_t n_fds, bool from_listener, const char *why)
{
    struct table_message m;
    struct err err = ERR_INIT;
    int fds[2];
    int before = open_fds();
    send_raw(p, n, n_fds);
    assert_int_equal(table_receive(pair[1], from_listener, &m, fds, &err), -1);
    assert_non_null(strstr(err.text, why));
    assert_int_equal(fds[0], -1);
    assert_int_equal(fds[1], -1);
    assert_int_equal(open_fds(), before);
}

static struct table_message start_message(void)
{
    struct table_message m = {.type = TABLE_START, .request = 7};
    snprintf(m.start.user, sizeof(m.start.user), "ada");
    snprintf(m.start.name, sizeof(m.start.name), "uep.1");
    snprintf(m.start.key, sizeof(m.start.key), "key");
    snprintf(m.start.command, sizeof(m.start.command), "gce start uep.1");
    return m;
}

static size_t size_of_start(void)
{
    return offsetof(struct table_message, start) + sizeof(((struct table_message *)0)->start);
}

static void test_round_trip(void **state)
{
    struct table_message m = start_message(), got;
    struct err err = ERR_INIT;
    int fds[2];
    memset(m.start.name + 6, 'x', 20); /* what stands behind the end of a text stays here */
    assert_int_equal(table_send(pair[0], &m, 0, 1), 0);
    assert_int_equal(table_receive(pair[1], true, &got, fds, &err), 1);
    assert_string_equal(got.start.user, "ada");
    assert_string_equal(got.start.name, "uep.1");
    assert_string_equal(got.start.command, "gce start uep.1");
    assert_int_equal(got.start.name[7], 0);
    assert_int_equal(got.request, 7);
    assert_true(fds[0] >= 0 && fds[1] >= 0);
    assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    close(fds[0]);
    close(fds[1]);
    struct table_message hello = {.type = TABLE_HELLO};
    hello.hello.version = TABLE_VERSION;
    hello.hello.privileged = true;
    assert_int_equal(table_send(pair[0], &hello, -1, -1), 0);
    assert_int_equal(table_receive(pair[1], false, &got, fds, &err), 1);
    assert_true(got.hello.privileged);
    assert_false(got.hello.debug);
}

static void test_send_refuses(void **state)
{
    struct table_message m = start_message();
    assert_int_equal(table_send(pair[0], &m, 0, -1), -1);
    assert_int_equal(table_send(pair[0], &m, -1, 0), -1);
    memset(m.start.user, 'u', sizeof(m.start.user));
    assert_int_equal(table_send(pair[0], &m, 0, 1), -1);
    m.type = 55;
    assert_int_equal(table_send(pair[0], &m, -1, -1), -1);
}

static void test_malformed(void **state)
{
    struct table_message m = start_message();
    size_t n = size_of_start();
    char huge[sizeof(m) + 8] = {0};
    refused("abc", 3, 0, true, "too short");
    refused(&m, n, 2, false, "not one of this side");
    refused(&m, n - 1, 2, true, "bytes instead of");
    refused(&m, n + 1, 2, true, "bytes instead of");
    refused(&m, n, 0, true, "descriptors");
    refused(&m, n, 1, true, "descriptors");
    refused(&m, n, 3, true, "descriptors");
    refused(&m, n, 8, true, "descriptors");
    refused(huge, sizeof(huge), 2, true, "larger than any");
    memset(m.start.name, 'n', sizeof(m.start.name));
    refused(&m, n, 2, true, "without an end");
    m.type = 0xffffffff;
    refused(&m, n, 2, true, "not one of this side");
    m.type = TABLE_HELLO;
    refused(&m, n, 0, true, "not one of this side");
    struct table_message reg = {.type = TABLE_REGISTERED};
    size_t id = offsetof(struct table_message, endpoint_id) + UUID_TEXT;
    refused(&reg, id, 0, true, "not a UUID");
    struct table_message file = {.type = TABLE_FILE, .file = 99};
    refused(&file, offsetof(struct table_message, endpoint_id), 0, false, "none that we know");
    struct table_message hello = {.type = TABLE_HELLO};
    ((unsigned char *)&hello)[offsetof(struct table_message, hello.debug)] = 7;
    refused(&hello,
            offsetof(struct table_message, hello) + sizeof(((struct table_message *)0)->hello), 0,
            false, "without an end");
}

/* It left without having read all that we sent. */
static void test_last_words(void **state)
{
    struct table_message m, unread = {.type = TABLE_STOP};
    struct table_message last = {.type = TABLE_FATAL, .code = 69, .text.admin = "gone"};
    struct err err = ERR_INIT;
    int fds[2];
    assert_int_equal(table_send(pair[1], &unread, -1, -1), 0);
    assert_int_equal(table_send(pair[0], &last, -1, -1), 0);
    close(pair[0]);
    assert_int_equal(table_receive(pair[1], true, &m, fds, &err), 1);
    assert_int_equal(m.type, TABLE_FATAL);
    assert_int_equal(m.code, 69);
    assert_int_equal(table_receive(pair[1], true, &m, fds, &err), 0);
    pair[0] = dup(pair[1]); /* for the tear-down */
}

static void test_end_of_stream(void **state)
{
    struct table_message m;
    struct err err = ERR_INIT;
    int fds[2];
    assert_int_equal(table_receive(pair[1], true, &m, fds, &err), -1);
    assert_int_equal(err.code, EAGAIN);
    shutdown(pair[0], SHUT_WR);
    assert_int_equal(table_receive(pair[1], true, &m, fds, &err), 0);
}

static void test_settings(void **state)
{
    static struct table_settings s;
    memset(&s, 0, sizeof(s));
    assert_false(table_settings_are_good(&s)); /* version */
    s.version = TABLE_VERSION;
    s.heartbeat_period_s = 30;
    s.minimum_uid = -1;
    assert_true(table_settings_are_good(&s));
    memcpy(s.deny_users, "a\0bc\0", 6);
    assert_true(table_settings_are_good(&s));
    memset(s.deny_users, 'x', sizeof(s.deny_users));
    assert_false(table_settings_are_good(&s));
    memset(s.deny_users, 0, sizeof(s.deny_users));
    s.heartbeat_period_s = NAN;
    assert_false(table_settings_are_good(&s));
    s.heartbeat_period_s = 30;
    *((unsigned char *)&s + offsetof(struct table_settings, pam_enable)) = 3;
    assert_false(table_settings_are_good(&s));
    s.pam_enable = true;
    memset(s.mapping_path, 'p', sizeof(s.mapping_path));
    assert_false(table_settings_are_good(&s));
}

static void test_names(void **state)
{
    char longest[TABLE_NAME + 1];
    memset(longest, 'n', sizeof(longest));
    longest[TABLE_NAME - 1] = '\0';

    assert_true(table_name_is_good("uep.A:b_c-1"));
    assert_true(table_name_is_good(longest));
    for (const char *const *p = (const char *const[]){"", "-x", ".x", "..", "../x", "a/b", "a b",
                                                      "a\nb", "\xc3\xa4", NULL};
         *p; p++)
        assert_false(table_name_is_good(*p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_send_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_malformed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_end_of_stream, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_last_words, set_up, tear_down),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
