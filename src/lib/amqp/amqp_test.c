#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "lib/amqp/amqp.h"
#include "lib/base/alloc.h"

static void urls(void **state)
{
    static const struct {
        const char *text, *host, *user, *password, *vhost;
        int port;
        bool tls;
        unsigned heartbeat;
    } cases[] = {
        {"amqp://u:p@h:1234/v", "h", "u", "p", "v", 1234, false, 0},
        {"amqps://u:p%40%2F%3A@h", "h", "u", "p@/:", "/", 5671, true, 0},
        {"amqp://h/%2F?heartbeat=10&socket_timeout=3", "h", "guest", "guest", "/", 5672, false, 10},
        {"amqp://u:p@[::1]:99/", "::1", "u", "p", "/", 99, false, 0},
        {"AMQP://u@h", "h", "u", "", "/", 5672, false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct amqp_url u;
        struct err err = ERR_INIT;
        if (amqp_url_parse(cases[i].text, &u, &err) != 0)
            fail_msg("%s: %s", cases[i].text, err.text);
        assert_string_equal(u.host, cases[i].host);
        assert_string_equal(u.user, cases[i].user);
        assert_string_equal(u.password, cases[i].password);
        assert_string_equal(u.vhost, cases[i].vhost);
        assert_int_equal(u.port, cases[i].port);
        assert_int_equal(u.tls, cases[i].tls);
        assert_int_equal(u.heartbeat_s, cases[i].heartbeat);
        amqp_url_clear(&u);
    }
    static const char *const bad[] = {"http://x",
                                      "",
                                      "amqp://h:x/",
                                      "amqp://h:0/",
                                      "amqp://h:70000",
                                      "amqp://[::1",
                                      "amqp://h/?nonsense=1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct amqp_url u;
        struct err err = ERR_INIT;
        assert_int_equal(amqp_url_parse(bad[i], &u, &err), -1);
        assert_true(err.text[0] != '\0');
    }
}

static void private_ca(void **state)
{
    struct amqp_url u;
    struct err err = ERR_INIT;
    assert_int_equal(
        amqp_url_parse("amqps://h/?ssl_options=%7B%27cadata%27%3A+%27PEM%5CnX%27%7D", &u, &err), 0);
    assert_non_null(u.cadata);
    amqp_url_clear(&u);
}

static void ports(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"amqp://u:5672x@h:5672/v", "amqp://u:5672x@h:443/v"},
        {"amqp://u:p@h/v?a=b", "amqp://u:p@h:443/v?a=b"},
        {"amqp://u:p@[::1]:1/", "amqp://u:p@[::1]:443/"},
        {"amqp://[::1]", "amqp://[::1]:443"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        autofree char *got = amqp_url_with_port(cases[i].text, 443);
        assert_string_equal(got, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(private_ca),
        cmocka_unit_test(ports),
    };
    return cmocka_run_group_tests_name("amqp", tests, NULL, NULL);
}
