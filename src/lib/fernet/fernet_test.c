#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/fernet/fernet.h"

#define KEY "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
#define TOKEN                                                                                      \
    "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_"                                    \
    "5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4Iw"                                                       \
    "qDA=="

/* Made by Python's cryptography.fernet 43 and by the specification's test vector. */
static void reads_the_originals(void **state)
{
    static const char *const tokens[][2] = {
        {TOKEN, "hello"},
        {" \n" TOKEN "\n", "hello"},
        {"gAAAAABrBb3Hv6om2vEhvG3OSHBdnGt7HvvSeoyvvIgPulRCb8xIHu0TxKSOUDGTw2c8nltFY1FCLPkOgOE4w6Smv"
         "TrjT"
         "1pPlarLEU6gSyjyKY-FLHV0y-nadvrg_sn81z6V9B0Kv03p",
         "{\"amqp_creds\": {\"endpoint_id\": \"x\"}}"},
    };
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        struct buf out autobuf = BUF_INIT;
        struct err err = ERR_INIT;
        if (fernet_decrypt(KEY, tokens[i][0], strlen(tokens[i][0]), &out, &err) != 0)
            fail_msg("%zu: %s", i, err.text);
        assert_string_equal(out.data, tokens[i][1]);
    }
}

static void round_trip(void **state)
{
    for (size_t n = 0; n < 70; n++) {
        char key[FERNET_KEY_TEXT], *clear = xmalloc(n + 1);
        struct buf token autobuf = BUF_INIT, out autobuf = BUF_INIT;
        struct err err = ERR_INIT;
        memset(clear, (int)n, n);
        fernet_key_new(key);
        assert_int_equal(fernet_encrypt(key, clear, n, &token, &err), 0);
        assert_int_equal(fernet_decrypt(key, token.data, token.len, &out, &err), 0);
        assert_int_equal(out.len, n);
        assert_memory_equal(out.data, clear, n);
        free(clear);
    }
}

static void refuses(void **state)
{
    static const struct {
        const char *key, *token, *says;
    } cases[] = {
        {"", TOKEN, "encryption key"},
        {"cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e", TOKEN, "encryption key"},
        {"cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e!=", TOKEN, "encryption key"},
        {KEY, "", "not a Fernet token"},
        {KEY, "gAAAAA==", "not a Fernet token"},
        {KEY,
         "hAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR6"
         "4jVmpU4IwqDA==",
         "not a Fernet token"},
        {KEY,
         "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR6"
         "4jVmpU4IwqDA=",
         "not a Fernet token"},
        {"dw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=", TOKEN, "not encrypted with the given key"},
        {KEY,
         "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR6"
         "4jVmpU4Iwqda==",
         "damaged"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out autobuf = BUF_INIT;
        struct err err = ERR_INIT;
        assert_int_equal(
            fernet_decrypt(cases[i].key, cases[i].token, strlen(cases[i].token), &out, &err), -1);
        if (!strstr(err.text, cases[i].says))
            fail_msg("%zu: %s", i, err.text);
        assert_int_equal(out.len, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_originals),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
