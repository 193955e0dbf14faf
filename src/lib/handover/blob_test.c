/* The start request as prepare reads it: what is taken, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/handover/blob.h"

#define NEEDED                                                                                     \
    "\"name\":\"uep.1\",\"argv\":[\"gce\",\"start\"],\"account\":\"alice\","                       \
    "\"amqp_creds\":{},\"enckey\":\"k\""

static void takes_the_keys(void **state)
{
    static const char in[] = "{" NEEDED ",\"seed_style\":true,\"umask\":18,\"user_opts\":{\"a\":1},"
                             "\"globus_id\":null,\"unknown\":[]}";
    struct err err = ERR_INIT;
    struct blob *b = blob_parse(in, sizeof(in) - 1, &err);
    assert_non_null(b);
    assert_string_equal(b->name, "uep.1");
    assert_int_equal(b->argc, 2);
    assert_string_equal(b->argv[1], "start");
    assert_null(b->argv[2]);
    assert_true(b->seed_style);
    assert_false(b->privileged);
    assert_int_equal(b->umask, 022);
    assert_null(b->globus_id);
    assert_non_null(b->user_opts);
    blob_free(b);
}

static void refuses_in_one_sentence(void **state)
{
    static const struct {
        const char *in, *why;
    } t[] = {
        {"[]", "it is a list, not an object"},
        {"{}", "name is missing"},
        {"{" NEEDED ",\"user_opts\":[]}", "user_opts is a list"},
        {"{" NEEDED ",\"umask\":512}", "umask is out of range"},
        {"{" NEEDED ",\"template_path\":\"a\\u0000b\"}", "template_path contains a NUL character"},
        {"{" NEEDED ",\"argv\":[]}", "argv has 0 members"},
        {"{" NEEDED ",\"argv\":[\"gce\",5]}", "argument 1 is not a text"},
        {"{" NEEDED ",\"name\":\"../x\"}", "Invalid endpoint name"},
        {"{" NEEDED ",\"name\":\"-x\"}", "Invalid endpoint name"},
        {"{" NEEDED ",\"privileged\":1}", "privileged is"},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct err err = ERR_INIT;
        assert_null(blob_parse(t[i].in, strlen(t[i].in), &err));
        if (strstr(err.text, t[i].why) == NULL)
            fail_msg("%s: %s, wanted %s", t[i].in, err.text, t[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_keys),
        cmocka_unit_test(refuses_in_one_sentence),
    };
    return cmocka_run_group_tests_name("handover/blob", tests, NULL, NULL);
}
