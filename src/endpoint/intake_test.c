/* What comes from outside: deliveries, the document, the configuration, the engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "endpoint/document.h"
#include "endpoint/engine.h"
#include "endpoint/intake.h"
#include "endpoint/settings.h"

#define ID "7f0c3d2e-1111-4222-8333-444455556666"

static void deliveries(void **state)
{
    static const struct {
        struct intake_headers h;
        enum intake_verdict verdict;
        const char *text; /* in the sentence */
    } cases[] = {
        {{ID, ID, NULL}, INTAKE_TASK, ""},
        {{ID, ID, ""}, INTAKE_TASK, ""},
        {{ID, ID, " null"}, INTAKE_TASK, ""},
        {{ID, ID, "{\"priority\": 3}"}, INTAKE_TASK, ""},
        {{"7F0C3D2E-1111-4222-8333-444455556666", ID, NULL}, INTAKE_TASK, ""},
        {{"7f0c3d2e11114222833344445555666 6", ID, NULL}, INTAKE_REJECT, "invalid task_uuid"},
        {{NULL, ID, NULL}, INTAKE_REJECT, "no task_uuid"},
        {{"", ID, NULL}, INTAKE_REJECT, "invalid task_uuid"},
        {{ID, NULL, NULL}, INTAKE_FAIL, "no function_uuid"},
        {{ID, "../../x", NULL}, INTAKE_FAIL, "invalid function_uuid"},
        {{ID, ID, "{"}, INTAKE_FAIL, "resource_specification"},
        {{ID, ID, "nul"}, INTAKE_FAIL, "resource_specification"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char id[UUID_TEXT], function_id[UUID_TEXT];
        struct json_object *spec;
        struct err err = ERR_INIT;
        assert_int_equal(intake_judge(&cases[i].h, id, function_id, &spec, &err), cases[i].verdict);
        if (strstr(err.text, cases[i].text) == NULL)
            fail_msg("case %zu: %s", i, err.text);
        assert_string_equal(id, cases[i].verdict == INTAKE_REJECT ? "" : ID);
        json_object_put(spec);
    }
}

static void documents(void **state)
{
    struct document d;
    struct err err = ERR_INIT;
    const char *good = "{\"ep_info\":{\"posix_ppid\":7},\"config\":\"x\",\"mem_fd\":3,\"enckey\":"
                       "\"k\",\"audit_fd\":0,\"allowed_functions\":null,\"other\":[1]}";
    assert_int_equal(document_read(good, strlen(good), &d, &err), 0);
    assert_int_equal(d.mem_fd, 3);
    assert_int_equal(d.audit_fd, -1);
    assert_true(d.has_allowed);
    assert_null(d.allowed);
    assert_false(d.survives_manager);
    document_clear(&d);
    static const char *const bad[] = {"",
                                      "{}",
                                      "[]",
                                      "{\"ep_info\":{},\"config\":null}",
                                      "{\"ep_info\":1,\"config\":\"x\"}",
                                      "{\"ep_info\":{},\"config\":\"x\",\"mem_fd\":-1}",
                                      "{\"ep_info\":{},\"config\":\"x\",\"allowed_functions\":{}}",
                                      "{\"ep_info\":{},\"config\":\"x\"} {}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (document_read(bad[i], strlen(bad[i]), &d, &err) == 0)
            fail_msg("accepted: %s", bad[i]);
}

static void numbers(void **state)
{
    static const struct {
        const char *line;
        int64_t soft; /* -1 = refused */
    } cases[] = {
        {"2", 2}, {"2.0", 2},  {"\"10\"", 10}, {"-3", -3},   {"2.5", -1},
        {"", -1}, {"two", -1}, {"[1]", -1},    {"1:00", 60}, {".inf", -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct settings s;
        struct err err = ERR_INIT;
        char text[200];
        snprintf(text, sizeof(text), "engine: {type: X}\nidle_heartbeats_soft: %s\n",
                 cases[i].line);
        int rc = settings_read(text, "n", &s, &err);
        if ((rc != 0) != (cases[i].soft == -1) || (rc == 0 && s.idle_soft != cases[i].soft))
            fail_msg("%s: %d %s", cases[i].line, rc, err.text);
        if (rc == 0)
            settings_clear(&s);
        else
            assert_non_null(strstr(err.text, "idle_heartbeats_soft"));
    }
}

static void defaults(void **state)
{
    struct settings s;
    struct err err = ERR_INIT;
    assert_int_equal(settings_read("engine: {type: X}\nheartbeat_period: 1\nallowed_functions: "
                                   "[7F0C3D2E-1111-4222-8333-444455556666]\nmulti_user: true\n",
                                   "n", &s, &err),
                     0);
    assert_true(s.heartbeat_period == 5);
    assert_int_equal(s.idle_soft, 0);
    assert_int_equal(s.idle_hard, 5760);
    assert_true(settings_permits(&s, ID));
    assert_false(settings_permits(&s, "00000000-1111-4222-8333-444455556666"));
    assert_non_null(strstr(s.warnings.data, "multi_user"));
    assert_int_equal(settings_allow(&s, NULL, &err), 0);
    assert_true(settings_permits(&s, "00000000-1111-4222-8333-444455556666"));
    struct json_object *none = json_object_new_array();
    assert_int_equal(settings_allow(&s, none, &err), 0);
    assert_false(settings_permits(&s, ID));
    json_object_put(none);
    settings_clear(&s);
}

static int engine(const char *yaml, struct engine *e, struct err *err)
{
    struct settings s;
    assert_int_equal(settings_read(yaml, "n", &s, err), 0);
    int rc = engine_read(s.engine, e, err);
    settings_clear(&s);
    return rc;
}

static void engines(void **state)
{
    struct engine e;
    struct err err = ERR_INIT;
    assert_int_equal(engine("engine:\n  type: GlobusComputeEngine\n  label: a b;c\n  strategy: "
                            "{type: SimpleStrategy, max_idletime: 30}\n  max_workers: 3\n"
                            "  worker_port_range: [5000, 5100]\n  available_accelerators: 2\n"
                            "  provider: {type: SlurmProvider, worker_init: , walltime: 1:00:00, "
                            "max_blocks: 4}\n",
                            &e, &err),
                     0);
    assert_string_equal(e.label, "a_b_c-HighThroughputExecutor");
    assert_string_equal(e.strategy, "simple");
    assert_true(e.max_idletime == 30 && e.strategy_period == 1);
    assert_int_equal(e.port_from, 5000);
    assert_int_equal(e.slots_per_node, 2);
    assert_int_equal(e.max_blocks, 4);
    assert_true(e.encrypted);
    assert_null(e.listen);
    engine_clear(&e);
    assert_int_equal(engine("engine: {type: ThreadPoolEngine, max_workers: 7}", &e, &err), 0);
    assert_int_equal(e.slots_per_node, 7);
    assert_string_equal(e.listen, "127.0.0.1");
    assert_int_equal(e.init_blocks, 0);
    engine_clear(&e);
}

static void specifications(void **state)
{
    static const struct {
        const char *engine, *spec, *text; /* text NULL = fine */
    } cases[] = {
        {"GlobusComputeEngine", "{}", NULL},
        {"GlobusComputeEngine", "{\"priority\": 1}", NULL},
        {"GlobusComputeEngine", "{\"priority\": \"1\"}", "priority must be a number"},
        {"GlobusComputeEngine", "{\"a\": 1, \"b\": 2}", "{'a', 'b'}. Task resource"},
        {"GlobusComputeEngine", "[]", "must be a mapping"},
        {"ThreadPoolEngine", "{\"a\": 1}", "not supported on ThreadPoolEngine"},
        {"GlobusMPIEngine", "{}", "set(). MPI mode requires"},
        {"GlobusMPIEngine", "{\"num_nodes\": 2, \"ranks_per_node\": 2}", NULL},
        {"GlobusMPIEngine", "{\"num_nodes\": 3}", "num_nodes must be a whole number from 1 to 2"},
        {"GlobusMPIEngine", "{\"num_nodes\": \"2\"}", "num_nodes"},
        {"GlobusMPIEngine", "{\"num_nodes\": 2, \"num_ranks\": 3}", "evenly"},
        {"GlobusMPIEngine", "{\"foo\": 2}", "{'foo'}. "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct engine e;
        struct err err = ERR_INIT;
        char text[300];
        snprintf(text, sizeof(text), "engine:\n  type: %s\n%s", cases[i].engine,
                 strcmp(cases[i].engine, "GlobusMPIEngine") == 0
                     ? "  provider: {type: SlurmProvider, nodes_per_block: 2, launcher: {type: "
                       "SimpleLauncher}}\n"
                     : "");
        if (engine(text, &e, &err) != 0)
            fail_msg("%s: %s", text, err.text);
        struct json_object *spec = json_tokener_parse(cases[i].spec);
        int rc = engine_check_spec(&e, spec, &err);
        if ((rc == 0) != (cases[i].text == NULL) ||
            (rc != 0 && strstr(err.text, cases[i].text) == NULL))
            fail_msg("%s: %s", cases[i].spec, err.text);
        json_object_put(spec);
        engine_clear(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deliveries), cmocka_unit_test(documents), cmocka_unit_test(numbers),
        cmocka_unit_test(defaults),   cmocka_unit_test(engines),   cmocka_unit_test(specifications),
    };
    return cmocka_run_group_tests_name("endpoint/intake", tests, NULL, NULL);
}
