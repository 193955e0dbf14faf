/* The validation table of start requests, old SDKs, and what users may read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "manager/listener/command.h"
#include "manager/listener/compose.h"
#include "manager/listener/refusal.h"

#define NOW 1700000000

static const char creds[] =
    "{\"endpoint_id\":\"7F0C3D2E-1111-4222-8333-444455556666\",\"heartbeat_queue_info\":{"
    "\"connection_url\":\"amqp://u:secret@h/\",\"queue_publish_kwargs\":{\"exchange\":\"hb\","
    "\"routing_key\":\"k\"}}}";

static char *body(const char *verb, const char *name, const char *args, const char *amqp_creds)
{
    return xasprintf("{\"command\":%s,\"args\":%s,\"kwargs\":{\"name\":%s,\"amqp_creds\":%s},"
                     "\"globus_effective_identity\":\"i\",\"globus_username\":\"u@x\","
                     "\"globus_identity_set\":[]}",
                     verb, args, name, amqp_creds);
}

static struct command *read_text(const char *text, int64_t at, struct command_fault *f)
{
    struct command_message m = {.content_type = "application/json",
                                .timestamp = at,
                                .body = text,
                                .body_len = strlen(text)};
    return command_read(&m, NOW, f);
}

static void unreadable(void **state)
{
    static const struct {
        const char *type, *text, *want;
        int64_t at;
    } cases[] = {
        {"text/plain", "{}", "(ValueError) Invalid message type; expecting JSON", NOW},
        {"", "{}", "(ValueError)", NOW},
        {"application/json", "{}", "(TypeError)", -1},
        {"application/json", "{}", "(TypeError)", INT64_MAX},
        {"application/json", "{", "(JSONDecodeError)", NOW},
        {"application/json", "", "(JSONDecodeError)", NOW},
        {"application/json", "null", "(JSONDecodeError)", NOW},
        {"application/json", "[]", "(AttributeError) command is a list", NOW},
        {"application/json", "\"x\"", "(AttributeError)", NOW},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct command_fault f = COMMAND_FAULT_INIT;
        struct command_message m = {.content_type = cases[i].type,
                                    .timestamp = cases[i].at,
                                    .body = cases[i].text,
                                    .body_len = strlen(cases[i].text)};
        assert_null(command_read(&m, NOW, &f));
        assert_non_null(strstr(f.log.data, "Unable to deserialize Globus Compute services command."
                                           "  ("));
        assert_non_null(strstr(f.log.data, cases[i].want));
        assert_int_equal(f.notice.len, 0);
        command_fault_clear(&f);
    }
}

static void window(void **state)
{
    static const int64_t skews[] = {0, 170, -170, 180, -180, 181, -181, 100000, -100000};
    autofree char *text = body("\"cmd_start_endpoint\"", "\"n\"", "[]", creds);
    for (size_t i = 0; i < sizeof(skews) / sizeof(skews[0]); i++) {
        struct command_fault f = COMMAND_FAULT_INIT;
        struct command *c = read_text(text, NOW + skews[i], &f);
        assert_non_null(c);
        bool fine = skews[i] >= -180 && skews[i] <= 180;
        assert_int_equal(f.log.len == 0, fine);
        if (!fine) {
            assert_int_equal(f.level, LOG_L_WARNING);
            assert_non_null(strstr(f.notice.data, "Endpoint timestamp: 1,700,000,000 ("));
        }
        command_fault_clear(&f);
        command_drop(c);
    }
}

static void fields(void **state)
{
    struct command_fault f = COMMAND_FAULT_INIT;
    autofree char *text = body("\"cmd_start_endpoint\"", "\"uep.1\"", "[\"-x\"]", creds);
    struct command *c = read_text(text, NOW, &f);
    assert_int_equal(f.log.len, 0);
    assert_string_equal(c->route.endpoint_id, "7f0c3d2e-1111-4222-8333-444455556666");
    assert_string_equal(c->route.url, "amqp://u:secret@h/");
    assert_string_equal(c->correlation, c->route.endpoint_id);
    assert_int_equal(command_check(c, &f), 0);
    char line[64];
    compose_command_line(c, line, sizeof(line));
    assert_string_equal(line, "globus-compute-endpoint _start-user-endpoint uep.1 -x");
    command_drop(c);
}

static void missing_keys(void **state)
{
    static const char *const all[] = {"globus_effective_identity", "globus_identity_set",
                                      "globus_username"};
    for (size_t i = 0; i <= 3; i++) {
        struct command_fault f = COMMAND_FAULT_INIT;
        autobuf struct buf b = BUF_INIT;
        buf_str(&b, "{\"x\":1");
        for (size_t k = 0; k < i; k++) /* null is there */
            buf_fmt(&b, ",\"%s\":null", all[k]);
        buf_str(&b, "}");
        struct command *c = read_text(b.data, NOW, &f);
        if (i == 3) {
            assert_int_equal(f.log.len, 0);
        } else {
            autofree char *want = xasprintf("Invalid server command.  (KeyError) '%s'", all[i]);
            assert_string_equal(f.log.data, want);
            assert_string_equal(f.notice.data, want);
        }
        command_fault_clear(&f);
        command_drop(c);
    }
}

static void checks(void **state)
{
    static const struct {
        const char *verb, *name, *args, *amqp_creds, *want; /* want NULL: it is fine */
    } cases[] = {
        {"\"cmd_start_endpoint\"", "\"a.b-c_D:9\"", "[\"x\"]", "{}", NULL},
        {"\"cmd_start_endpoint\"", "\"a\"", "null", "{}", NULL},
        {"\"cmd_stop_endpoint\"", "\"a\"", "[]", "{}", "Unknown or invalid command: cmd_stop_end"},
        {"\"x\\ny\"", "\"a\"", "[]", "{}", "Unknown or invalid command: x?y"},
        {"null", "\"a\"", "[]", "{}", "Unknown or invalid command: None"},
        {"[1]", "\"a\"", "[]", "{}", "Unknown or invalid command: [1]"},
        {"\"cmd_start_endpoint\"", "\"\"", "[]", "{}", "Missing endpoint name"},
        {"\"cmd_start_endpoint\"", "null", "[]", "{}", "Missing endpoint name"},
        {"\"cmd_start_endpoint\"", "5", "[]", "{}", "Invalid endpoint name"},
        {"\"cmd_start_endpoint\"", "\"..\"", "[]", "{}", "Invalid endpoint name: .."},
        {"\"cmd_start_endpoint\"", "\"a/b\"", "[]", "{}", "Invalid endpoint name: a/b"},
        {"\"cmd_start_endpoint\"", "\"-a\"", "[]", "{}", "Invalid endpoint name: -a"},
        {"\"cmd_start_endpoint\"", "\"a\\u0000b\"", "[]", "{}", "Invalid endpoint name"},
        {"\"cmd_start_endpoint\"", "\"a\"", "[1]", "{}", "Invalid endpoint name or arguments"},
        {"\"cmd_start_endpoint\"", "\"a\"", "{}", "{}", "Invalid endpoint name or arguments"},
        {"\"cmd_start_endpoint\"", "\"a\"", "[\"\\u0000\"]", "{}", "Invalid endpoint name or arg"},
        {"\"cmd_start_endpoint\"", "\"a\"", "[]", "null", "Unable to execute command: cmd_start_"},
        {"\"cmd_start_endpoint\"", "\"a\"", "[]", "[]", "Unable to execute command: cmd_start_"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct command_fault f = COMMAND_FAULT_INIT;
        autofree char *text =
            body(cases[i].verb, cases[i].name, cases[i].args, cases[i].amqp_creds);
        struct command *c = read_text(text, NOW, &f);
        assert_int_equal(f.log.len, 0);
        int rc = command_check(c, &f);
        if (!cases[i].want)
            assert_int_equal(rc, 0);
        else if (rc == 0 || !strstr(f.log.data, cases[i].want))
            fail_msg("%s: %s", text, f.log.data ? f.log.data : "accepted");
        else
            assert_true(f.notice.len > 0);
        command_fault_clear(&f);
        command_drop(c);
    }
}

static void no_secrets(void **state)
{
    struct command_fault f = COMMAND_FAULT_INIT;
    autofree char *text = body("\"cmd_start_endpoint\"", "\"a\"", "[]", creds);
    struct command *c = read_text(text, NOW, &f);
    command_general_fault(c, "why", &f);
    assert_null(strstr(f.log.data, "secret"));
    assert_string_equal(f.notice.data, "General or unknown failure starting user endpoint");
    command_fault_clear(&f);
    command_drop(c);
}

static void old_sdk(void **state)
{
    static const struct {
        const char *version;
        bool old;
    } cases[] = {{"\"4.9.9\"", true},
                 {"\"4.10.0\"", false},
                 {"\"4.10.0a1\"", false},
                 {"\"2.18.1\"", true},
                 {"\"5\"", false},
                 {"\"3\"", true},
                 {"\"4.9\"", true},
                 {"\"x\"", false},
                 {"\"\"", false},
                 {"\"4.19.0\"", false},
                 {"4.5", false},
                 {"\"99999999999.1\"", false},
                 {"\"4.9.9223372036854775807\"", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct command_fault f = COMMAND_FAULT_INIT;
        autofree char *text = xasprintf("{\"kwargs\":{\"name\":\"n\",\"user_runtime\":{"
                                        "\"globus_compute_sdk_version\":%s}}}",
                                        cases[i].version);
        struct command *c = read_text(text, NOW, &f);
        if (command_is_from_old_sdk(c) != cases[i].old)
            fail_msg("%s", cases[i].version);
        command_fault_clear(&f);
        command_drop(c);
    }
}

static void paths_are_cut(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"no '/etc/gce/schema.json' here", "no 'schema.json' here"},
        {"/srv/ep/template.j2:3: bad", "template.j2:3: bad"},
        {"see https://example.org/etc/x", "see https://example.org/etc/x"},
        {"'/home/alice' is not of type", "'/home/alice' is not of type"},
        {"/etcetera/x", "/etcetera/x"},
        {"/etc", "etc"},
        {"", ""},
    };
    refusal_hide("/srv/ep");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        autobuf struct buf b = BUF_INIT;
        refusal_clean(cases[i].text, &b);
        assert_string_equal(b.data ? b.data : "", cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unreadable), cmocka_unit_test(window),
        cmocka_unit_test(fields),     cmocka_unit_test(missing_keys),
        cmocka_unit_test(checks),     cmocka_unit_test(no_secrets),
        cmocka_unit_test(old_sdk),    cmocka_unit_test(paths_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
