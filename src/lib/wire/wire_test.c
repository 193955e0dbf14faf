#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/wire/queue_info.h"
#include "lib/wire/wire.h"

#define ID "7f0c3d2e-1111-4222-8333-444455556666"

static void expect_body(const struct buf *b, const char *json)
{
    assert_int_equal(b->data[0], 1);
    assert_string_equal(b->data + 1, json);
}

static void packs(void **state)
{
    struct buf b autobuf = BUF_INIT;
    wire_pack_task(&b, ID, "14\n01\nabc\n\xc3\xa9test", 16);
    expect_body(&b, "{\"message_type\":\"task\",\"data\":{\"task_id\":\"" ID
                    "\",\"container_id\":null,\"container\":null,"
                    "\"task_buffer\":\"14\\n01\\nabc\\n\xc3\xa9test\"}}");
    buf_clear(&b);
    wire_pack_failure(&b, &(struct wire_failure){.task_id = ID, .text = "x", .code = "C"});
    expect_body(&b, "{\"message_type\":\"result\",\"data\":{\"task_id\":\"" ID
                    "\",\"data\":\"x\",\"details\":null,\"error_details\":{\"code\":\"C\","
                    "\"user_message\":\"An error occurred during the execution of this task\"},"
                    "\"task_statuses\":null}}");
    buf_clear(&b);
    wire_pack_start_failure(&b, ID, "no \"way\"");
    expect_body(&b, "{\"message_type\":\"ep_status_report\",\"data\":{\"endpoint_id\":\"" ID
                    "\",\"global_state\":{\"error\":\"no \\\"way\\\"\",\"heartbeat_period\":3},"
                    "\"task_statuses\":{}}}");
}

static void reads_results(void **state)
{
    static const char body[] =
        "\x01 {\"data\": {\"later\": [1, {\"a\": -0.5e+3}], \"task_statuses\": "
        "[{\"state\":\"running\"}], \"dat\\u0061\": \"00\\ngAR\\u00e9\\ud83d\\ude00\\ud800\","
        "\"task_id\": \"7F0C3D2E-1111-4222-8333-444455556666\"}, "
        "\"message_type\" : \"result\"} ";
    struct wire_result r;
    struct err err = ERR_INIT;
    struct buf text autobuf = BUF_INIT;
    if (wire_read_result(body, sizeof(body) - 1, &r, &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(r.task_id, ID);
    assert_false(r.is_error);
    assert_true(wire_span_is_null(r.details));
    assert_int_equal(wire_span_string(r.data, &text, &err), 0);
    assert_string_equal(text.data, "00\ngAR\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd");
    struct json_object *o = wire_span_json(r.task_statuses, "task_statuses", &err);
    assert_int_equal(json_object_array_length(o), 1);
    json_object_put(o);
}

static void reads_what_it_packs(void **state)
{
    struct buf b autobuf = BUF_INIT, text autobuf = BUF_INIT;
    struct wire_result r;
    struct wire_status s;
    struct err err = ERR_INIT;
    wire_pack_failure(&b, &(struct wire_failure){
                              .task_id = ID, .text = "a\n\"\\\x01", .code = "C", .statuses = "[]"});
    assert_int_equal(wire_read_result(b.data, b.len, &r, &err), 0);
    assert_true(r.is_error);
    assert_int_equal(wire_span_string(r.data, &text, &err), 0);
    assert_string_equal(text.data, "a\n\"\\\x01");
    buf_clear(&b);
    wire_pack_start_failure(&b, ID, "why");
    assert_int_equal(wire_read_status(b.data, b.len, &s, &err), 0);
    assert_string_equal(s.endpoint_id, ID);
    assert_string_equal(json_str_or(s.global_state, "error", ""), "why");
    wire_status_clear(&s);
}

static void refuses_results(void **state)
{
    static const struct {
        const char *body, *says;
    } cases[] = {
        {"", "empty"},
        {"\x02{}", "protocol version 2"},
        {"{}", "protocol version 123"},
        {"\x01", "not JSON"},
        {"\x01[]", "not JSON: not an object"},
        {"\x01{\"message_type\":\"result\"}", "no data object"},
        {"\x01{\"data\":{}}", "no message_type"},
        {"\x01{\"message_type\":\"result\",\"data\":{}}x", "more follows"},
        {"\x01{\"message_type\":\"task\",\"data\":{}}", "type task, wanted result"},
        {"\x01{\"message_type\":\"result\",\"data\":{}}", "task_id is missing"},
        {"\x01{\"message_type\":\"result\",\"data\":{\"task_id\":\"x\"}}", "task_id is not a UUID"},
        {"\x01{\"message_type\":\"result\",\"data\":{\"task_id\":\"" ID "\"}}", "data is missing"},
        {"\x01{\"message_type\":\"result\",\"data\":{\"task_id\":\"" ID
         "\",\"data\":\"\",\"error_details\":[]}}",
         "error_details"},
        {"\x01{\"message_type\":\"a\",\"data\":{\"x\":01}}", "bad number"},
        {"\x01{\"message_type\":\"a\",\"data\":{\"x\":NaN}}", "not a JSON value"},
        {"\x01{\"message_type\":\"a\",\"data\":{\"x\":\"\xc3\x28\"}}", "UTF-8"},
        {"\x01{\"message_type\":\"a\",\"data\":{\"x\":\"\xed\xa0\x80\"}}", "UTF-8"},
        {"\x01{\"message_type\":\"a\",\"data\":{\"x\":\"\n\"}}", "control character"},
        {"\x01{\"message_type\":\"a\",\"data\":{\"x\":\"\\q\"}}", "escape"},
        {"\x01{\"message_type\":\"a\",\"data\":{\"x\":\"\\u12g4\"}}", "escape"},
        {"\x01{\"message_type\":\"a\",\"data\":{\"x\":[1,]}}", "not a JSON value"},
        {"\x01{\"message_type\":\"a\",\"data\":{\"x\":1", "unterminated object"},
        {"\x01{\"message_type\":\"a\",\"data\":{,}}", "expected a key"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire_result r;
        struct err err = ERR_INIT;
        assert_int_equal(wire_read_result(cases[i].body, strlen(cases[i].body), &r, &err), -1);
        if (!strstr(err.text, cases[i].says))
            fail_msg("%zu: %s", i, err.text);
    }
}

static void depth_is_bounded(void **state)
{
    struct buf b autobuf = BUF_INIT;
    struct wire_message m;
    struct err err = ERR_INIT;
    buf_str(&b, "\x01{\"message_type\":\"a\",\"data\":");
    for (int i = 0; i < 100000; i++)
        buf_char(&b, '[');
    assert_int_equal(wire_open(b.data, b.len, &m, &err), -1);
    assert_non_null(strstr(err.text, "nested too deeply"));
}

#define PUBLISH(props)                                                                             \
    "{\"connection_url\":\"amqp://u:p@h/\",\"exchange\":\"results\",\"queue\":\"results\","        \
    "\"queue_publish_kwargs\":{\"exchange\":\"results\",\"routing_key\":\"k\",\"mandatory\":true," \
    "\"properties\":" props "}}"

static void queue_infos(void **state)
{
    struct wire_queue_info q;
    struct err err = ERR_INIT;
    struct json_object *o = json_tokener_parse(
        PUBLISH("{\"delivery_mode\":2,\"user_id\":\"me\",\"headers\":{\"a\":\"b\",\"n\":7}}"));
    if (wire_queue_info_read(o, "result_queue_info", true, &q, &err) != 0)
        fail_msg("%s", err.text);
    json_object_put(o);
    assert_string_equal(q.publish.routing_key, "k");
    assert_true(q.publish.mandatory);
    assert_int_equal(q.publish.props->delivery_mode, 2);
    assert_memory_equal(q.publish.props->user_id.bytes, "me", 2);
    assert_int_equal(q.publish.props->headers.num_entries, 2);
    wire_queue_info_clear(&q);
}

static void queue_info_errors(void **state)
{
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"[]", "result_queue_info is a list"},
        {"{}", "result_queue_info: connection_url is missing"},
        {"{\"connection_url\":1}", "result_queue_info: connection_url is not a string"},
        {"{\"connection_url\":\"a\",\"queue\":\"q\"}", "queue_publish_kwargs is missing"},
        {PUBLISH("{\"delivery_mode\":\"2\"}"), "properties.delivery_mode is a string"},
        {PUBLISH("{\"delivery_mode\":300}"), "out of range"},
        {PUBLISH("{\"shape\":1}"), "properties.shape is not an AMQP basic property"},
        {PUBLISH("{\"headers\":{\"a\":[]}}"), "properties.headers.a is a list"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire_queue_info q;
        struct err err = ERR_INIT;
        struct json_object *o = json_tokener_parse(cases[i].json);
        assert_int_equal(wire_queue_info_read(o, "result_queue_info", true, &q, &err), -1);
        if (!strstr(err.text, cases[i].says))
            fail_msg("%zu: %s", i, err.text);
        json_object_put(o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packs),
        cmocka_unit_test(reads_results),
        cmocka_unit_test(refuses_results),
        cmocka_unit_test(reads_what_it_packs),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(queue_infos),
        cmocka_unit_test(queue_info_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
