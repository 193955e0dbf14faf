#include "service/auth/jwt.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "service/auth/b64url.h"
#include "service/auth/secret.h"

enum family { RSA_V15, RSA_PSS, ELLIPTIC };

static const struct algorithm {
    const char *name;
    enum family family;
    const EVP_MD *(*digest)(void);
    const char *curve, *group; /* of elliptic ones: in a JWK, in OpenSSL */
    size_t half;               /* bytes of r and of s */
} algorithms[] = {
    {"RS256", RSA_V15, EVP_sha256, NULL, NULL, 0},
    {"RS384", RSA_V15, EVP_sha384, NULL, NULL, 0},
    {"RS512", RSA_V15, EVP_sha512, NULL, NULL, 0},
    {"PS256", RSA_PSS, EVP_sha256, NULL, NULL, 0},
    {"PS384", RSA_PSS, EVP_sha384, NULL, NULL, 0},
    {"PS512", RSA_PSS, EVP_sha512, NULL, NULL, 0},
    {"ES256", ELLIPTIC, EVP_sha256, "P-256", "prime256v1", 32},
    {"ES384", ELLIPTIC, EVP_sha384, "P-384", "secp384r1", 48},
    {"ES512", ELLIPTIC, EVP_sha512, "P-521", "secp521r1", 66},
};

static const struct algorithm *find_algorithm(const char *name)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
        if (strcmp(algorithms[i].name, name) == 0)
            return &algorithms[i];
    return NULL;
}

/* ---- making ---------------------------------------------------------------------------------- */

static void add_part(struct buf *out, struct json_object *o)
{
    struct buf text = BUF_INIT;
    json_write(&text, o);
    b64url_add(out, text.data, text.len);
    buf_free(&text);
}

char *jwt_sign(EVP_PKEY *key, const char *key_id, struct json_object *claims)
{
    struct json_object *header = json_object_new_object();
    json_add_str(header, "alg", "RS512");
    json_add_str(header, "kid", key_id);
    json_add_str(header, "typ", "JWT");
    struct buf token = BUF_INIT;
    add_part(&token, header);
    json_object_put(header);
    buf_char(&token, '.');
    add_part(&token, claims);
    unsigned char signature[1024];
    size_t n = sizeof signature;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool done =
        ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha512(), NULL, key) == 1 &&
        EVP_DigestSign(ctx, signature, &n, (const unsigned char *)token.data, token.len) == 1;
    EVP_MD_CTX_free(ctx);
    if (!done) {
        buf_free(&token);
        return NULL;
    }
    buf_char(&token, '.');
    b64url_add(&token, signature, n);
    return buf_take(&token);
}

/* ---- keys of others -------------------------------------------------------------------------- */

/* Decoded member of a key as bytes; -1 when absent or too long. */
static int member(struct json_object *jwk, const char *name, struct buf *out)
{
    const char *text = json_str_or(jwk, name, NULL);
    if (text == NULL || strlen(text) > 2048)
        return -1;
    return b64url_decode(out, text, strlen(text)) == 0 && out->len > 0 ? 0 : -1;
}

static EVP_PKEY *key_from(const char *type, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *rsa_key(struct json_object *jwk)
{
    struct buf n = BUF_INIT, e = BUF_INIT;
    EVP_PKEY *key = NULL;
    if (member(jwk, "n", &n) == 0 && member(jwk, "e", &e) == 0 && n.len >= 256) {
        BIGNUM *bn = BN_bin2bn((unsigned char *)n.data, (int)n.len, NULL);
        BIGNUM *be = BN_bin2bn((unsigned char *)e.data, (int)e.len, NULL);
        OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
        if (bn != NULL && be != NULL && build != NULL &&
            OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn) == 1 &&
            OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, be) == 1)
            key = key_from("RSA", build);
        OSSL_PARAM_BLD_free(build);
        BN_free(bn);
        BN_free(be);
    }
    buf_free(&n);
    buf_free(&e);
    return key;
}

static EVP_PKEY *ec_key(struct json_object *jwk, const struct algorithm *a)
{
    if (strcmp(json_str_or(jwk, "crv", ""), a->curve) != 0)
        return NULL;
    struct buf x = BUF_INIT, y = BUF_INIT, point = BUF_INIT;
    EVP_PKEY *key = NULL;
    if (member(jwk, "x", &x) == 0 && member(jwk, "y", &y) == 0 && x.len == a->half &&
        y.len == a->half) {
        buf_char(&point, 4); /* uncompressed */
        buf_add(&point, x.data, x.len);
        buf_add(&point, y.data, y.len);
        OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
        if (build != NULL &&
            OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, a->group, 0) == 1 &&
            OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point.data,
                                             point.len) == 1)
            key = key_from("EC", build);
        OSSL_PARAM_BLD_free(build);
    }
    buf_free(&x);
    buf_free(&y);
    buf_free(&point);
    return key;
}

static EVP_PKEY *usable_key(struct json_object *jwk, const struct algorithm *a)
{
    if (!json_object_is_type(jwk, json_type_object) ||
        strcmp(json_str_or(jwk, "use", "sig"), "sig") != 0 ||
        strcmp(json_str_or(jwk, "alg", a->name), a->name) != 0)
        return NULL;
    const char *kty = json_str_or(jwk, "kty", "");
    if (a->family == ELLIPTIC)
        return strcmp(kty, "EC") == 0 ? ec_key(jwk, a) : NULL;
    return strcmp(kty, "RSA") == 0 ? rsa_key(jwk) : NULL;
}

/* ---- checking -------------------------------------------------------------------------------- */

/* r and s side by side, as JWTs have them, to the DER form that OpenSSL wants. */
static int to_der(const struct algorithm *a, const struct buf *raw, struct buf *der)
{
    if (raw->len != 2 * a->half)
        return -1;
    const unsigned char *p = (const unsigned char *)raw->data;
    BIGNUM *r = BN_bin2bn(p, (int)a->half, NULL), *s = BN_bin2bn(p + a->half, (int)a->half, NULL);
    ECDSA_SIG *sig = ECDSA_SIG_new();
    int rc = -1;
    if (r != NULL && s != NULL && sig != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL; /* sig owns them */
        unsigned char *out = NULL;
        int n = i2d_ECDSA_SIG(sig, &out);
        if (n > 0) {
            buf_add(der, out, (size_t)n);
            rc = 0;
        }
        OPENSSL_free(out);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return rc;
}

static bool signature_fits(EVP_PKEY *key, const struct algorithm *a, const char *text, size_t n,
                           const struct buf *signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = NULL;
    bool fits = ctx != NULL && EVP_DigestVerifyInit(ctx, &pctx, a->digest(), NULL, key) == 1;
    if (fits && a->family == RSA_PSS)
        fits = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1;
    fits = fits && EVP_DigestVerify(ctx, (const unsigned char *)signature->data, signature->len,
                                    (const unsigned char *)text, n) == 1;
    EVP_MD_CTX_free(ctx);
    return fits;
}

static bool any_key_fits(struct json_object *jwks, const struct algorithm *a, const char *kid,
                         const char *text, size_t n, const struct buf *signature)
{
    struct json_object *keys = json_at(jwks, "keys");
    if (!json_object_is_type(keys, json_type_array))
        return false;
    size_t count = json_object_array_length(keys);
    for (size_t i = 0; i < count && i < 64; i++) {
        struct json_object *jwk = json_object_array_get_idx(keys, i);
        const char *id = json_str_or(jwk, "kid", NULL);
        if (kid != NULL && id != NULL && strcmp(kid, id) != 0)
            continue;
        EVP_PKEY *key = usable_key(jwk, a);
        bool fits = key != NULL && signature_fits(key, a, text, n, signature);
        EVP_PKEY_free(key);
        if (fits)
            return true;
    }
    return false;
}

static struct json_object *part(const char *p, size_t n, const char *what, struct err *err)
{
    struct buf b = BUF_INIT;
    struct json_object *o = NULL;
    if (b64url_decode(&b, p, n) != 0 || b.len == 0)
        err_set(err, "%s is not base64url", what);
    else
        o = json_read(b.data, b.len, JWT_MAX, what, err);
    if (o != NULL && !json_object_is_type(o, json_type_object)) {
        err_set(err, "%s is %s, not an object", what, json_kind(o));
        json_object_put(o);
        o = NULL;
    }
    buf_free(&b);
    return o;
}

struct json_object *jwt_verify(const char *token, struct json_object *jwks, struct err *err)
{
    size_t n = strnlen(token, JWT_MAX + 1);
    const char *first = n > JWT_MAX ? NULL : strchr(token, '.');
    const char *second = first == NULL ? NULL : strchr(first + 1, '.');
    if (second == NULL || strchr(second + 1, '.') != NULL) {
        err_set(err, "the token is not of the form header.claims.signature");
        return NULL;
    }
    autojson struct json_object *header =
        part(token, (size_t)(first - token), "the token's header", err);
    if (header == NULL)
        return NULL;
    const char *name = json_str_or(header, "alg", "");
    const struct algorithm *a = find_algorithm(name);
    if (a == NULL || json_at(header, "crit") != NULL) {
        err_set(err, "the token is signed in a way that is not accepted (%.40s)", name);
        return NULL;
    }
    struct buf raw = BUF_INIT, der = BUF_INIT;
    bool fits = b64url_decode(&raw, second + 1, strlen(second + 1)) == 0 && raw.len > 0 &&
                (a->family != ELLIPTIC || to_der(a, &raw, &der) == 0) &&
                any_key_fits(jwks, a, json_str_or(header, "kid", NULL), token,
                             (size_t)(second - token), a->family == ELLIPTIC ? &der : &raw);
    buf_free(&raw);
    buf_free(&der);
    if (!fits) {
        err_set(err, "the token's signature fits none of the provider's keys");
        return NULL;
    }
    return part(first + 1, (size_t)(second - first - 1), "the token's claims", err);
}

static bool names(struct json_object *aud, const char *audience)
{
    if (json_object_is_type(aud, json_type_string))
        return strcmp(json_object_get_string(aud), audience) == 0;
    if (!json_object_is_type(aud, json_type_array))
        return false;
    size_t n = json_object_array_length(aud);
    for (size_t i = 0; i < n; i++) {
        struct json_object *one = json_object_array_get_idx(aud, i);
        if (json_object_is_type(one, json_type_string) &&
            strcmp(json_object_get_string(one), audience) == 0)
            return true;
    }
    return false;
}

/* A time claim; absent is -1 (missing), another type -2. */
static int64_t time_claim(struct json_object *claims, const char *name)
{
    struct json_object *o = json_at(claims, name);
    if (o == NULL)
        return -1;
    if (!json_object_is_type(o, json_type_int) && !json_object_is_type(o, json_type_double))
        return -2;
    return json_object_get_int64(o);
}

int jwt_claims_check(struct json_object *claims, const char *issuer, const char *audience,
                     const char *nonce, int64_t now, struct err *err)
{
    int64_t exp = time_claim(claims, "exp"), iat = time_claim(claims, "iat"),
            nbf = time_claim(claims, "nbf");
    if (exp < 0 || iat < 0 || nbf == -2)
        return err_set(err, "the token lacks a usable exp or iat");
    if (exp <= now - JWT_LEEWAY_S)
        return err_set(err, "the token expired %lld s ago", (long long)(now - exp));
    if (iat > now + JWT_LEEWAY_S || nbf > now + JWT_LEEWAY_S)
        return err_set(err, "the token is from the future; compare the clocks of both hosts");
    if (strcmp(json_str_or(claims, "iss", ""), issuer) != 0)
        return err_set(err, "the token was issued by \"%.100s\", not by \"%.100s\"",
                       json_str_or(claims, "iss", ""), issuer);
    struct json_object *aud = json_at(claims, "aud");
    if (!names(aud, audience))
        return err_set(err, "the token is for another client");
    if (json_object_is_type(aud, json_type_array) && json_object_array_length(aud) > 1 &&
        strcmp(json_str_or(claims, "azp", audience), audience) != 0)
        return err_set(err, "the token was given to another client");
    if (nonce != NULL && !secret_equal(json_str_or(claims, "nonce", NULL), nonce))
        return err_set(err, "the token belongs to another sign-in (its nonce differs)");
    return 0;
}
