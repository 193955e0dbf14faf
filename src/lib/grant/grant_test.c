#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/grant/grant.h"

#define NOW 1700000000

static const char body[] = "{\"command\":\"cmd_start_endpoint\"}";
static const struct grant good = {.endpoint_id = "e",
                                  .identity = "i",
                                  .user_endpoint_id = "u",
                                  .body = body,
                                  .body_len = sizeof(body) - 1,
                                  .expires_s = NOW + 60};

static void there_and_back(void **state)
{
    char secret[GRANT_KEY_TEXT], public[GRANT_KEY_TEXT], again[GRANT_KEY_TEXT];
    char first[GRANT_NONCE_TEXT], second[GRANT_NONCE_TEXT];
    struct err err = ERR_INIT;
    grant_key_new(secret, public);
    assert_int_equal(strlen(public), 44);
    assert_int_equal(grant_key_check(public, &err), 0);
    assert_int_equal(grant_key_public(secret, again, &err), 0);
    assert_string_equal(public, again);
    autofree char *header = grant_sign(secret, &good, &err);
    assert_non_null(header);
    assert_int_equal(grant_verify(public, header, &good, NOW, first, &err), 0);
    autofree char *other = grant_sign(secret, &good, &err);
    assert_int_equal(grant_verify(public, other, &good, NOW + 60, second, &err), 0);
    assert_string_not_equal(first, second);
}

static void anything_else_is_refused(void **state)
{
    char secret[GRANT_KEY_TEXT], public[GRANT_KEY_TEXT], nonce[GRANT_NONCE_TEXT];
    char secret2[GRANT_KEY_TEXT], public2[GRANT_KEY_TEXT];
    struct err err = ERR_INIT;
    grant_key_new(secret, public);
    grant_key_new(secret2, public2);
    autofree char *header = grant_sign(secret, &good, &err);
    static const struct {
        const char *endpoint_id, *identity, *user_endpoint_id, *body, *want;
        int64_t now;
    } cases[] = {
        {"x", "i", "u", body, "another endpoint", NOW},
        {"e", "x", "u", body, "another user", NOW},
        {"e", "i", "x", body, "another user_endpoint", NOW},
        {"e", "i", NULL, body, "another user_endpoint", NOW},
        {"e", "i", "u", "{}", "another message", NOW},
        {"e", "i", "u", body, "has expired", NOW + 61},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct grant wanted = {.endpoint_id = cases[i].endpoint_id,
                               .identity = cases[i].identity,
                               .user_endpoint_id = cases[i].user_endpoint_id,
                               .body = cases[i].body,
                               .body_len = strlen(cases[i].body)};
        assert_int_equal(grant_verify(public, header, &wanted, cases[i].now, nonce, &err), -1);
        assert_non_null(strstr(err.text, cases[i].want));
    }
    assert_int_equal(grant_verify(public2, header, &good, NOW, nonce, &err), -1);
    assert_non_null(strstr(err.text, "not signed with the key"));
    assert_int_equal(grant_verify(public, NULL, &good, NOW, nonce, &err), -1);
    assert_int_equal(grant_verify("short", header, &good, NOW, nonce, &err), -1);
}

/* Every single changed, dropped or added character. */
static void tampered(void **state)
{
    char secret[GRANT_KEY_TEXT], public[GRANT_KEY_TEXT], nonce[GRANT_NONCE_TEXT];
    struct err err = ERR_INIT;
    grant_key_new(secret, public);
    autofree char *header = grant_sign(secret, &good, &err);
    size_t n = strlen(header);
    for (size_t i = 0; i < n; i++) {
        autofree char *bad = xstrdup(header);
        bad[i] = bad[i] == 'A' ? 'B' : 'A';
        assert_int_equal(grant_verify(public, bad, &good, NOW, nonce, &err), -1);
        bad[i] = '\0';
        assert_int_equal(grant_verify(public, bad, &good, NOW, nonce, &err), -1);
    }
    autofree char *longer = xasprintf("%sA", header);
    assert_int_equal(grant_verify(public, longer, &good, NOW, nonce, &err), -1);
    static const char *const junk[] = {"", ".", "..", "a.b", "%.%", "e30.e30"};
    for (size_t i = 0; i < sizeof(junk) / sizeof(junk[0]); i++)
        assert_int_equal(grant_verify(public, junk[i], &good, NOW, nonce, &err), -1);
}

/* A service that changes its key signs with both. */
static void two_keys(void **state)
{
    char secret[GRANT_KEY_TEXT], public[GRANT_KEY_TEXT], nonce[GRANT_NONCE_TEXT];
    char secret2[GRANT_KEY_TEXT], public2[GRANT_KEY_TEXT];
    char other[GRANT_KEY_TEXT], stranger[GRANT_KEY_TEXT];
    struct err err = ERR_INIT;
    grant_key_new(secret, public);
    grant_key_new(secret2, public2);
    grant_key_new(other, stranger);
    autofree char *one = grant_sign(secret, &good, &err);
    autofree char *two = grant_sign(secret2, &good, &err);
    autofree char *both = xasprintf("%s %s", two, one);
    assert_int_equal(grant_verify(public, both, &good, NOW, nonce, &err), 0);
    assert_int_equal(grant_verify(public2, both, &good, NOW, nonce, &err), 0);
    assert_int_equal(grant_verify(stranger, both, &good, NOW, nonce, &err), -1);
    assert_int_equal(grant_verify(public, both, &good, NOW + 61, nonce, &err), -1);
    static const char *const junk[] = {" ", "  ", "a.b ", " a.b"};
    for (size_t i = 0; i < sizeof(junk) / sizeof(junk[0]); i++)
        assert_int_equal(grant_verify(public, junk[i], &good, NOW, nonce, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(tampered),
        cmocka_unit_test(two_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
