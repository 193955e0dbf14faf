/* The pure parts of sign-in: secrets, passwords, PKCE, scopes, limits, cache, tokens of others,
 * policies, redirect addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "service/auth/b64url.h"
#include "service/auth/cache.h"
#include "service/auth/jwt.h"
#include "service/auth/key.h"
#include "service/auth/limit.h"
#include "service/auth/params.h"
#include "service/auth/password.h"
#include "service/auth/people.h"
#include "service/auth/pkce.h"
#include "service/auth/policy.h"
#include "service/auth/scopes.h"
#include "service/auth/secret.h"
#include "service/auth/source.h"

/* What PyJWT made with keys of its own. */
#define ES256_SET                                                                                  \
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\",\"x\":"                            \
    "\"mNjj4xIx8LWg7gCxd9JTDaldES"                                                                 \
    "2Fc8sabPq3NQq_YCY\",\"y\":\"u7oA1LpZlqWOyCGiKkz0r5s-2S5sYOZqmTL5Gvdf56U\"}]}"
#define ES256_TOKEN                                                                                \
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImUiLCJ0eXAiOiJKV1QifQ.eyJzdWIiOiJlbGxpcHRpYyJ9."                 \
    "7F7VfFJkGwZCng2NPZqpLcfnkSPPpjpnMIiBjOYUUISL2zg7ZJueLuLlfwi682SH0VPg7iufTm0F"                 \
    "f1F-OW0WgA"
#define PS256_SET                                                                                  \
    "{\"keys\":[{\"kty\":\"RSA\",\"use\":\"sig\",\"n\":\"zeMGl7jpbG0NtApWXauc2IwLRO-6ElLp3LVPz"    \
    "4CEizDPfvMaTSmsrfgyoWadvzllhouPsFuYvZFr0T-NXg7f7FaxZHAQUTYcQ5s2kY1X_nx8rPf7a"                 \
    "B2Q-a07NCqa2vvDXjz3ODJg85rglj90QDfxVsYUa_YYc1uzz3x0y7Mfj0cvg1WWr3pazNKXq3hX8"                 \
    "gx-v2vLiLVB5DCPvcfT8vUjhx6vr4MmaTyCScosa7XKPa_IXmnW5nxRhopsPQ32h19MVnPuZcNmK"                 \
    "T-IA8oXsIkrm4KDjuqL2fHK8njXOgqhYDr5MFUq_ZKr43MmPbCubdIgafVGfnwWPboeCOf81GIY-"                 \
    "w\",\"e\":\"AQAB\"}]}"
#define PS256_TOKEN                                                                                \
    "eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJwcm9iYWJpbGlzdGljIn0.d7t3Hdz"                 \
    "0hmwksj94rWUDZdU6qefl5x9geZCyxowSk2Fz6rknKaKe13Bwpc_31o3jxKoD1rAWhDgBrSOIeFx"                 \
    "8v1bxuHsTgCIAM6otejNGnpMx7x0c_K1qsSSiLAtQw9iCZ8gC3f3TX8u-5Whqzsa2nR5XTkE5RTh"                 \
    "qXM_FXW_8IH5Ivs-HPxyh6CSKr9yF2b5FEnncTwcS4MbFx-MKiyKLnZorCvwCmZ-DNLTZHBwCViM"                 \
    "MYYSo9b8pn5pfmqjdhKm1AbfZJbgWcet976RJkwXvVYFhEMxSUtxERO-II0yP3dzkWtkwbTBNIkg"                 \
    "iYyrsZyqHcIEWlVSjuCWBDwe5-Zui0A"

/* hashlib.scrypt(b"test", salt=b"0123456789abcdef", n=1024, r=8, p=1, dklen=32) */
#define FROM_PYTHON                                                                                \
    "$scrypt$ln=10,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$UGajLNtC6JkJShjLsDFExdaxMrUEAJ3H8BE0v6GK2Rk"

static struct json_object *json(const char *text)
{
    struct json_object *o = json_tokener_parse(text);
    assert_non_null(o);
    return o;
}

static void secrets(void **state)
{
    char a[SECRET_TEXT], b[SECRET_TEXT], hash[SECRET_HASH_TEXT], other[SECRET_HASH_TEXT];
    secret_make(SECRET_ACCESS, a);
    secret_make(SECRET_ACCESS, b);
    assert_string_not_equal(a, b);
    assert_true(secret_is_formed(a, SECRET_ACCESS));
    assert_false(secret_is_formed(a, SECRET_REFRESH));
    assert_false(secret_is_formed(NULL, SECRET_ACCESS));
    assert_false(secret_is_formed("A", SECRET_ACCESS));
    a[10] = '!';
    assert_false(secret_is_formed(a, SECRET_ACCESS));
    secret_hash("abc", hash);
    assert_string_equal(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    secret_derive(b, "csrf", hash);
    secret_derive(b, "form", other);
    assert_string_not_equal(hash, other);
    assert_true(secret_equal("same", "same"));
    assert_false(secret_equal("same", "sama"));
    assert_false(secret_equal("same", "same longer"));
    assert_false(secret_equal(NULL, ""));
}

static void base64url(void **state)
{
    static const char *const pairs[][2] = {{"", ""},           {"f", "Zg"},
                                           {"fo", "Zm8"},      {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg"}, {"\xff\xff\xfe", "___-"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct buf b = BUF_INIT, back = BUF_INIT;
        b64url_add(&b, pairs[i][0], strlen(pairs[i][0]));
        assert_string_equal(b.data == NULL ? "" : b.data, pairs[i][1]);
        assert_int_equal(b64url_decode(&back, pairs[i][1], strlen(pairs[i][1])), 0);
        assert_int_equal(back.len, strlen(pairs[i][0]));
        assert_memory_equal(back.data == NULL ? "" : back.data, pairs[i][0], back.len);
        buf_free(&b);
        buf_free(&back);
    }
    static const char *const bad[] = {"Z", "Zg==", "Zh", "Zm+v", "Zm/v", "Zm9 "};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf b = BUF_INIT;
        assert_int_equal(b64url_decode(&b, bad[i], strlen(bad[i])), -1);
        buf_free(&b);
    }
}

static void passwords(void **state)
{
    struct err err = ERR_INIT;
    autofree char *stored = password_hash("correct horse", &err);
    assert_non_null(stored);
    assert_int_equal(strncmp(stored, "$scrypt$ln=15,r=8,p=3$", 22), 0);
    assert_int_equal(password_check(stored, "correct horse"), 1);
    assert_int_equal(password_check(stored, "correct horsf"), 0);
    assert_int_equal(password_check(stored, ""), 0);
    assert_int_equal(password_check(NULL, "anything"), 0);
    autofree char *again = password_hash("correct horse", &err);
    assert_string_not_equal(stored, again); /* its own salt */
    assert_int_equal(password_check(FROM_PYTHON, "test"), 1);
    static const char *const damaged[] = {
        "",
        "plain text",
        "$scrypt$",
        "$scrypt$ln=15,r=8,p=3$",
        "$scrypt$ln=15,r=8,p=3$c2FsdHNhbHQ$short",
        "$scrypt$ln=63,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$WFGDLFUbGlvZ8f42xmULiSkmmUvcJLE9tHMhHCuO0ME",
        "$scrypt$ln=10,r=99,p=99$MDEyMzQ1Njc4OWFiY2RlZg$WFGDLFUbGlvZ8f42xmULiSkm",
    };
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++)
        assert_int_equal(password_check(damaged[i], "x"), -1);
    autofree char *cheap = password_hash_secret("S-secret%+&=");
    assert_true(password_is_cheap(cheap));
    assert_false(password_is_cheap(stored));
    assert_int_equal(password_check(cheap, "S-secret%+&="), 1);
    assert_int_equal(password_check(cheap, "S-secret"), 0);
    assert_int_equal(password_accept("short", &err), -1);
    assert_int_equal(password_accept("long enough", &err), 0);
    assert_int_equal(password_accept("with\ttab in it", &err), -1);
}

static void pkce(void **state)
{
    /* RFC 7636, appendix B */
    const char *verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const char *challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    assert_true(pkce_challenge_is_formed(challenge));
    assert_true(pkce_verifier_is_formed(verifier));
    assert_true(pkce_matches(challenge, verifier));
    assert_false(pkce_matches(challenge, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl"));
    assert_false(pkce_matches(challenge, challenge));
    assert_false(pkce_verifier_is_formed("short"));
    assert_false(pkce_challenge_is_formed("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"));
}

static void scope_lists(void **state)
{
    struct scopes s;
    struct err err = ERR_INIT;
    assert_int_equal(scopes_parse("openid " AUTH_SCOPE_COMPUTE " openid  " AUTH_SCOPE_COMPUTE
                                  " " SCOPE_PROJECTS,
                                  &s, &err),
                     0);
    assert_string_equal(s.of[0], AUTH_SCOPE_COMPUTE);
    assert_string_equal(s.of[1], "openid " SCOPE_PROJECTS);
    assert_string_equal(scopes_server(0), AUTH_SERVER_COMPUTE);
    assert_string_equal(scopes_server(1), AUTH_SERVER_AUTH);
    scopes_free(&s);
    assert_int_equal(scopes_parse(AUTH_SCOPE_COMPUTE "[*openid[email] profile]", &s, &err), 0);
    assert_string_equal(s.of[0], AUTH_SCOPE_COMPUTE);
    assert_null(s.of[1]);
    scopes_free(&s);
    static const char *const bad[] = {"",        "   ",      "openid nonsense",
                                      "openid[", "openid[a", "OPENID"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(scopes_parse(bad[i], &s, &err), -1);
        scopes_free(&s);
    }
    assert_true(scopes_has("a bc d", "bc"));
    assert_false(scopes_has("a bc d", "b"));
    assert_false(scopes_has("", "b"));
    assert_false(scopes_has(NULL, "b"));
}

static void limits(void **state)
{
    struct limit *l = limit_create(3, 10000000, 2);
    uint64_t now = 1000000000;
    for (int i = 0; i < 3; i++)
        assert_int_equal(limit_take(l, "a", now), 0);
    assert_int_equal(limit_take(l, "a", now), 10);
    assert_int_equal(limit_look(l, "a", now + 4000000), 6);
    assert_int_equal(limit_take(l, "a", now + 10000000), 0);
    assert_int_equal(limit_take(l, "a", now + 10000000), 10);
    assert_int_equal(limit_take(l, "b", now), 0); /* of its own */
    limit_give(l, "a");
    assert_int_equal(limit_take(l, "a", now + 10000000), 0);
    assert_int_equal(limit_take(l, "a", now + 10000000), 10);
    limit_forget(l, "a");
    assert_int_equal(limit_take(l, "a", now + 10000000), 0);
    /* A third key pushes out the one that has been quiet for longest. */
    for (int i = 0; i < 2; i++)
        limit_take(l, "b", now);
    limit_take(l, "a", now);
    limit_take(l, "c", now);
    assert_int_equal(limit_look(l, "b", now), 0);
    limit_destroy(l);
}

static struct grant *grant_of(const char *family, const char *sub)
{
    struct grant *g = xcalloc(1, sizeof *g);
    g->refs = 1;
    g->family = xstrdup(family);
    id_copy(g->who.sub, sub);
    return g;
}

static void caching(void **state)
{
    struct cache *c = cache_create(2);
    struct grant *one = grant_of("f1", "s1"), *two = grant_of("f2", "s1"), *out = NULL;
    cache_put(c, "h1", one, 0);
    cache_put(c, "h2", NULL, 0);
    assert_true(cache_get(c, "h1", 1, &out));
    assert_ptr_equal(out, one);
    assert_true(cache_get(c, "h2", 1, &out)); /* known to be bad */
    assert_null(out);
    assert_false(cache_get(c, "h1", LOOP_S(CACHE_S), &out)); /* its time is over */
    cache_put(c, "h1", one, 0);
    assert_true(cache_get(c, "h1", 1, &out));
    cache_put(c, "h3", two, 0); /* h2 was unused for longest */
    assert_false(cache_get(c, "h2", 1, &out));
    assert_int_equal(cache_count(c), 2);
    cache_forget_family(c, "f1", NULL);
    assert_false(cache_get(c, "h1", 1, &out));
    assert_true(cache_get(c, "h3", 1, &out));
    cache_forget_family(c, NULL, "s1");
    assert_int_equal(cache_count(c), 0);
    grant_unref(one);
    grant_unref(two);
    cache_destroy(c);
}

/* ---- JWTs ------------------------------------------------------------------------------------ */

static char folder[] = "/tmp/auth_test-XXXXXX";

static void own_jwts(void **state)
{
    struct err err = ERR_INIT;
    struct key *key = key_open(folder, &err);
    assert_non_null(key);
    autofree char *path = xasprintf("%s/auth-key.pem", folder);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    autojson struct json_object *claims =
        json("{\"iss\":\"http://us\",\"aud\":\"them\",\"sub\":\"x\","
             "\"exp\":2000,\"iat\":1000,\"nonce\":\"n\"}");
    autofree char *token = jwt_sign(key_private(key), key_id(key), claims);
    autojson struct json_object *set = key_set(key);
    autojson struct json_object *read = jwt_verify(token, set, &err);
    assert_non_null(read);
    assert_string_equal(json_str_or(read, "sub", ""), "x");
    /* The key stays the same; a second one behind it when the old file is kept. */
    struct key *again = key_open(folder, &err);
    assert_string_equal(key_id(key), key_id(again));
    key_close(again);
    autofree char *old = xasprintf("%s/auth-key.old.pem", folder);
    assert_int_equal(rename(path, old), 0);
    again = key_open(folder, &err);
    assert_non_null(again);
    assert_string_not_equal(key_id(key), key_id(again));
    autojson struct json_object *both = key_set(again);
    struct json_object *keys = json_at(both, "keys");
    assert_int_equal(json_object_array_length(keys), 2);
    assert_string_equal(json_str_or(json_object_array_get_idx(keys, 0), "kid", ""), key_id(again));
    autojson struct json_object *still = jwt_verify(token, both, &err);
    assert_non_null(still);
    key_close(again);
    key_close(key);
    /* Open to others, or not a key: refused. */
    assert_int_equal(chmod(path, 0644), 0);
    assert_null(key_open(folder, &err));
    assert_non_null(strstr(err.text, "0600"));
    assert_int_equal(fs_write(path, "nonsense", 8, 0600, false, &err), 0);
    assert_null(key_open(folder, &err));
    unlink(path);
    unlink(old);
}

static void bad_jwts(void **state)
{
    struct err err = ERR_INIT;
    struct key *key = key_open(folder, &err);
    autojson struct json_object *claims = json("{\"sub\":\"x\"}"), *set = key_set(key);
    autofree char *token = jwt_sign(key_private(key), key_id(key), claims);
    char *dot = strrchr(token, '.');
    dot[1] = dot[1] == 'A' ? 'B' : 'A';
    assert_null(jwt_verify(token, set, &err));
    static const char *const bad[] = {
        "",
        ".",
        "..",
        "a.b.c",
        "a.b.c.d",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.",            /* alg none */
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",       /* HS256 */
        "eyJhbGciOiJSUzI1NiIsImNyaXQiOlsieCJdfQ.e30.c2ln", /* crit */
        "W10.e30.c2ln",                                    /* a list for a header */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_null(jwt_verify(bad[i], set, &err));
    key_close(key);
    autofree char *path = xasprintf("%s/auth-key.pem", folder);
    unlink(path);
}

static void jwt_claims(void **state)
{
    static const struct {
        const char *claims;
        int rc;
    } cases[] = {
        {"{\"iss\":\"i\",\"aud\":\"a\",\"exp\":1000,\"iat\":900,\"nonce\":\"n\"}", 0},
        {"{\"iss\":\"i\",\"aud\":[\"b\",\"a\"],\"exp\":1000,\"iat\":900,\"nonce\":\"n\"}", 0},
        {"{\"iss\":\"i\",\"aud\":[\"b\",\"a\"],\"azp\":\"b\",\"exp\":1000,\"iat\":900,"
         "\"nonce\":\"n\"}",
         -1},
        {"{\"iss\":\"i\",\"aud\":\"a\",\"exp\":710,\"iat\":600,\"nonce\":\"n\"}", 0}, /* leeway */
        {"{\"iss\":\"i\",\"aud\":\"a\",\"exp\":600,\"iat\":500,\"nonce\":\"n\"}", -1},
        {"{\"iss\":\"i\",\"aud\":\"a\",\"exp\":3000,\"iat\":2000,\"nonce\":\"n\"}", -1},
        {"{\"iss\":\"i\",\"aud\":\"a\",\"exp\":3000,\"iat\":900,\"nbf\":2000,\"nonce\":\"n\"}", -1},
        {"{\"iss\":\"j\",\"aud\":\"a\",\"exp\":1000,\"iat\":900,\"nonce\":\"n\"}", -1},
        {"{\"iss\":\"i\",\"aud\":\"b\",\"exp\":1000,\"iat\":900,\"nonce\":\"n\"}", -1},
        {"{\"iss\":\"i\",\"aud\":\"a\",\"exp\":1000,\"iat\":900,\"nonce\":\"m\"}", -1},
        {"{\"iss\":\"i\",\"aud\":\"a\",\"exp\":1000,\"iat\":900}", -1},
        {"{\"iss\":\"i\",\"aud\":\"a\",\"exp\":\"1000\",\"iat\":900,\"nonce\":\"n\"}", -1},
        {"{\"iss\":\"i\",\"aud\":\"a\",\"iat\":900,\"nonce\":\"n\"}", -1},
        {"{}", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = ERR_INIT;
        autojson struct json_object *claims = json(cases[i].claims);
        assert_int_equal(jwt_claims_check(claims, "i", "a", "n", 1000, &err), cases[i].rc);
    }
}

/* An ES256 token that PyJWT made, with its key. */
static void elliptic_jwt(void **state)
{
    struct err err = ERR_INIT;
    autojson struct json_object *set = json(ES256_SET);
    autojson struct json_object *claims = jwt_verify(ES256_TOKEN, set, &err);
    assert_non_null(claims);
    assert_string_equal(json_str_or(claims, "sub", ""), "elliptic");
    autojson struct json_object *ps = json(PS256_SET);
    autojson struct json_object *more = jwt_verify(PS256_TOKEN, ps, &err);
    assert_non_null(more);
    assert_null(jwt_verify(ES256_TOKEN, ps, &err));
}

/* ---- policies -------------------------------------------------------------------------------- */

#define SET                                                                                        \
    "[{\"sub\":\"1\",\"username\":\"alice@example.org\"},"                                         \
    "{\"sub\":\"2\",\"username\":\"al@physics.example.edu\"}]"

static void policies(void **state)
{
    static const struct {
        const char *document, *session;
        const char *key; /* of the parameters that must be there; NULL: satisfied */
    } cases[] = {
        {"{}", "{\"1\":{\"auth_time\":0}}", NULL},
        {"{\"domain_constraints_include\":[\"example.org\"]}", "{\"1\":{\"auth_time\":0}}", NULL},
        {"{\"domain_constraints_include\":[\"*.example.edu\"]}", "{\"1\":{\"auth_time\":0}}", NULL},
        {"{\"domain_constraints_include\":[\"example.edu\"]}", "{\"1\":{\"auth_time\":0}}",
         "session_required_single_domain"},
        {"{\"domain_constraints_include\":[\"*.example.edu\"],\"high_assurance\":true}",
         "{\"1\":{\"auth_time\":0}}", "session_required_single_domain"},
        {"{\"domain_constraints_include\":[\"*.example.edu\"],\"high_assurance\":true}",
         "{\"2\":{\"auth_time\":0}}", NULL},
        {"{\"domain_constraints_exclude\":[\"example.org\",\"*.edu\"]}",
         "{\"1\":{\"auth_time\":0}}", "session_required_policies"},
        {"{\"authentication_assurance_timeout\":100}", "{\"1\":{\"auth_time\":950}}", NULL},
        {"{\"authentication_assurance_timeout\":100}", "{\"1\":{\"auth_time\":800}}", "prompt"},
        {"{\"required_mfa\":true}", "{\"1\":{\"auth_time\":0,\"amr\":[\"pwd\"]}}",
         "session_required_mfa"},
        {"{\"required_mfa\":true}", "{\"1\":{\"auth_time\":0,\"amr\":[\"pwd\",\"mfa\"]}}", NULL},
        {"{\"required_mfa\":true,\"authentication_assurance_timeout\":10}",
         "{\"1\":{\"auth_time\":0,\"amr\":[\"mfa\"]}}", "session_required_mfa"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        autojson struct json_object *document = json(cases[i].document),
                                    *session = json(cases[i].session), *set = json(SET);
        struct json_object *parameters = NULL;
        int rc = policy_evaluate(document, "p", set, session, 1000, &parameters);
        assert_int_equal(rc, cases[i].key == NULL ? 0 : -1);
        if (rc != 0) {
            assert_non_null(json_at(parameters, cases[i].key));
            assert_non_null(json_str_or(parameters, "session_message", NULL));
        }
        json_object_put(parameters);
    }
    static const char *const bad[] = {
        "{}",
        "{\"project_id\":\"x\"}",
        "{\"project_id\":\"x\",\"display_name\":\"y\",\"required_mfa\":\"yes\"}",
        "{\"project_id\":\"x\",\"display_name\":\"y\",\"domain_constraints_include\":\"a\"}",
        "{\"project_id\":\"x\",\"display_name\":\"y\",\"domain_constraints_include\":[1]}",
        "{\"project_id\":\"x\",\"display_name\":\"y\",\"authentication_assurance_timeout\":-1}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = ERR_INIT;
        autojson struct json_object *o = json(bad[i]);
        assert_null(policy_read(o, &err));
        assert_string_not_equal(err.text, "");
    }
}

static void usernames(void **state)
{
    static const struct {
        const char *typed, *wanted; /* NULL: refused */
    } cases[] = {{"alice", "alice@here"},
                 {"Alice@Example.ORG", "alice@example.org"},
                 {"", NULL},
                 {"@x", NULL},
                 {"x@", NULL},
                 {"a@b@c", NULL},
                 {"a b", NULL},
                 {"a\nb", NULL},
                 {"a/../b", NULL},
                 {"<script>", NULL},
                 {"zoë@example.org", "zoë@example.org"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = ERR_INIT;
        autofree char *out = NULL;
        int rc = person_username(cases[i].typed, "here", &out, &err);
        assert_int_equal(rc, cases[i].wanted == NULL ? -1 : 0);
        if (rc == 0)
            assert_string_equal(out, cases[i].wanted);
    }
}

static void redirects(void **state)
{
    struct client c = {.redirect_uris = (char *)(uintptr_t) "https://app.example.org/back\n"};
    static const struct {
        const char *uri;
        bool fine, own;
    } cases[] = {
        {"http://us:5000/v2/web/auth-code", true, true},
        {"https://public.example.org/v2/web/auth-code", true, true},
        {"http://localhost:5000/v2/web/auth-code", true, true},
        {"http://127.0.0.1/v2/web/auth-code", true, true},
        {"http://[::1]:7/v2/web/auth-code", true, true},
        {"http://localhost:5000v2/web/auth-code", true, true}, /* no slash: checklist A28 */
        {"https://app.example.org/back", true, false},
        {"https://app.example.org/back?x", false, false},
        {"https://app.example.org/", false, false},
        {"http://evil.example.org/v2/web/auth-code", false, false},
        {"http://us:5000.evil.org/v2/web/auth-code", false, false},
        {"http://localhost.evil.org/v2/web/auth-code", false, false},
        {"http://localhost:5000@evil.org/v2/web/auth-code", false, false},
        {"http://us:5000/v2/web/auth-code/../../x", false, false},
        {"javascript:alert(1)", false, false},
        {"", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool own = false;
        bool fine = params_redirect_is_fine(cases[i].uri, &c, "http://us:5000",
                                            "https://public.example.org", &own);
        if (fine != cases[i].fine || own != cases[i].own)
            fail_msg("%s: fine %d, own %d", cases[i].uri, fine, own);
    }
}

static void sources(void **state)
{
    static const struct {
        const char *config;
        int rc;
    } cases[] = {
        {"[{\"kind\":\"local\"}]", 0},
        {"[{\"kind\":\"local\"},{\"kind\":\"pam\",\"service\":\"login\"}]", 0},
        {"[{\"kind\":\"oidc\",\"name\":\"campus\",\"issuer\":\"https://id\",\"client_id\":\"c\","
         "\"domain\":\"x.org\"}]",
         0},
        {"[]", -1},
        {"{}", -1},
        {"[{\"kind\":\"ldap\"}]", -1},
        {"[{\"kind\":\"local\"},{\"kind\":\"local\"}]", -1},
        {"[{\"kind\":\"pam\",\"name\":\"client\"}]", -1},
        {"[{\"kind\":\"pam\",\"name\":\"Bad Name\"}]", -1},
        {"[{\"kind\":\"oidc\",\"issuer\":\"https://id\",\"client_id\":\"c\"}]", -1},
        {"[{\"kind\":\"oidc\",\"issuer\":\"ftp://id\",\"client_id\":\"c\",\"domain\":\"d\"}]", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = ERR_INIT;
        struct sources s = {.n = 0};
        autojson struct json_object *config = json(cases[i].config);
        assert_int_equal(sources_open(&s, config, "here", &err), cases[i].rc);
        if (cases[i].rc != 0)
            assert_string_not_equal(err.text, "");
        sources_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets),    cmocka_unit_test(base64url),    cmocka_unit_test(passwords),
        cmocka_unit_test(pkce),       cmocka_unit_test(scope_lists),  cmocka_unit_test(limits),
        cmocka_unit_test(caching),    cmocka_unit_test(own_jwts),     cmocka_unit_test(bad_jwts),
        cmocka_unit_test(jwt_claims), cmocka_unit_test(elliptic_jwt), cmocka_unit_test(policies),
        cmocka_unit_test(usernames),  cmocka_unit_test(redirects),    cmocka_unit_test(sources),
    };
    if (mkdtemp(folder) == NULL)
        return 1;
    int failed = cmocka_run_group_tests_name("service/auth", tests, NULL, NULL);
    fs_remove_tree(folder, NULL);
    return failed;
}
