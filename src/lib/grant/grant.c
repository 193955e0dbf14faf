/* See grant.h. */
#include "lib/grant/grant.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/base/json.h"

#define KEY_BYTES 32
#define SIGNATURE_BYTES 64
#define CONTEXT "sallyport-grant-v1."

/* ---- text ---- */

static void to_base64url(const void *p, size_t n, struct buf *out)
{
    char *room = buf_room(out, n / 3 * 4 + 8);
    int len = EVP_EncodeBlock((unsigned char *)room, p, (int)n);
    while (len > 0 && room[len - 1] == '=')
        len--;
    for (int i = 0; i < len; i++)
        room[i] = room[i] == '+' ? '-' : room[i] == '/' ? '_' : room[i];
    buf_grew(out, (size_t)len);
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' || c == '+' ? 62 : c == '_' || c == '/' ? 63 : -1;
}

/* Both alphabets, with or without padding; bytes written, or -1. */
static int from_base64(const char *s, size_t n, unsigned char *out, size_t max)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t len = 0;
    while (n > 0 && s[n - 1] == '=')
        n--;
    for (size_t i = 0; i < n; i++) {
        int v = value_of(s[i]);
        if (v < 0)
            return -1;
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        if (len == max)
            return -1;
        out[len++] = (unsigned char)(bits >> have);
    }
    /* One spelling only: the unused bits are zero. */
    return have < 6 && (bits & ((1u << have) - 1)) == 0 ? (int)len : -1;
}

static void to_hex(const unsigned char *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", p[i]);
}

static void key_text(const unsigned char raw[KEY_BYTES], char out[GRANT_KEY_TEXT])
{
    EVP_EncodeBlock((unsigned char *)out, raw, KEY_BYTES);
}

/* ---- keys ---- */

static int key_bytes(const char *text, unsigned char raw[KEY_BYTES], struct err *err)
{
    if (from_base64(text, strlen(text), raw, KEY_BYTES) == KEY_BYTES)
        return 0;
    return err_set(err, "a grant key is 32 bytes in base64, 44 characters");
}

static EVP_PKEY *secret_key(const char *text, struct err *err)
{
    unsigned char raw[KEY_BYTES];
    EVP_PKEY *key = NULL;
    if (key_bytes(text, raw, err) == 0)
        key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, sizeof(raw));
    explicit_bzero(raw, sizeof(raw));
    return key;
}

int grant_key_check(const char *key, struct err *err)
{
    unsigned char raw[KEY_BYTES];
    return key_bytes(key, raw, err);
}

int grant_key_public(const char *secret, char public[GRANT_KEY_TEXT], struct err *err)
{
    unsigned char raw[KEY_BYTES];
    size_t n = sizeof(raw);
    EVP_PKEY *key = secret_key(secret, err);
    if (!key)
        return -1;
    int ok = EVP_PKEY_get_raw_public_key(key, raw, &n);
    EVP_PKEY_free(key);
    if (ok != 1)
        return err_set(err, "the grant key has no public half");
    key_text(raw, public);
    return 0;
}

void grant_key_new(char secret[GRANT_KEY_TEXT], char public[GRANT_KEY_TEXT])
{
    unsigned char raw[KEY_BYTES];
    if (RAND_priv_bytes(raw, sizeof(raw)) != 1)
        abort();
    key_text(raw, secret);
    explicit_bzero(raw, sizeof(raw));
    if (grant_key_public(secret, public, NULL) < 0)
        abort();
}

/* ---- signing ---- */

static void digest(const struct grant *g, char out[65])
{
    unsigned char sum[32];
    unsigned n = sizeof(sum);
    if (EVP_Digest(g->body, g->body_len, sum, &n, EVP_sha256(), NULL) != 1)
        abort();
    to_hex(sum, sizeof(sum), out);
}

static void payload(const struct grant *g, struct buf *out)
{
    unsigned char random[16];
    char nonce[GRANT_NONCE_TEXT], sum[65];
    autojson struct json_object *o = json_object_new_object();
    if (RAND_bytes(random, sizeof(random)) != 1)
        abort();
    to_hex(random, sizeof(random), nonce);
    digest(g, sum);
    json_add_int(o, "v", 1);
    json_add_str(o, "endpoint", g->endpoint_id);
    json_add_str(o, "user", g->identity);
    json_add_str(o, "user_endpoint", g->user_endpoint_id);
    json_add_str(o, "sha256", sum);
    json_add_str(o, "nonce", nonce);
    json_add_int(o, "expires", g->expires_s);
    json_write(out, o);
}

static void signed_text(const char *first, size_t n, struct buf *out)
{
    buf_str(out, CONTEXT);
    buf_add(out, first, n);
}

char *grant_sign(const char *secret, const struct grant *g, struct err *err)
{
    autobuf struct buf json = BUF_INIT, text = BUF_INIT;
    struct buf header = BUF_INIT;
    unsigned char signature[SIGNATURE_BYTES];
    size_t n = sizeof(signature);
    EVP_PKEY *key = secret_key(secret, err);
    if (!key)
        return NULL;
    payload(g, &json);
    to_base64url(json.data, json.len, &header);
    signed_text(header.data, header.len, &text);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
        EVP_DigestSign(ctx, signature, &n, (const unsigned char *)text.data, text.len) != 1)
        abort();
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    buf_char(&header, '.');
    to_base64url(signature, n, &header);
    return buf_take(&header);
}

/* ---- verifying ---- */

static bool signature_is_good(const unsigned char raw_key[KEY_BYTES], const char *first, size_t n,
                              const unsigned char signature[SIGNATURE_BYTES])
{
    autobuf struct buf text = BUF_INIT;
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw_key, KEY_BYTES);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    signed_text(first, n, &text);
    bool good = key && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
                EVP_DigestVerify(ctx, signature, SIGNATURE_BYTES, (const unsigned char *)text.data,
                                 text.len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return good;
}

static int same(struct json_object *o, const char *key, const char *wanted, struct err *err)
{
    const char *got = json_str_or(o, key, "");
    if (wanted && strcmp(got, wanted) == 0)
        return 0;
    return err_set(err, "the start grant is for another %s",
                   strcmp(key, "sha256") == 0 ? "message" : key);
}

static int check_payload(struct json_object *o, const struct grant *wanted, int64_t now_s,
                         char nonce[GRANT_NONCE_TEXT], struct err *err)
{
    int64_t version = 0, expires = 0;
    char sum[65];
    json_get_int(o, "v", &version, NULL);
    json_get_int(o, "expires", &expires, NULL);
    if (version != 1)
        return err_set(err, "the start grant has another version");
    if (expires < now_s)
        return err_set(err, "the start grant has expired");
    digest(wanted, sum);
    if (same(o, "endpoint", wanted->endpoint_id, err) < 0 ||
        same(o, "user", wanted->identity, err) < 0 ||
        same(o, "user_endpoint", wanted->user_endpoint_id, err) < 0 ||
        same(o, "sha256", sum, err) < 0)
        return -1;
    snprintf(nonce, GRANT_NONCE_TEXT, "%s", json_str_or(o, "nonce", ""));
    return nonce[0] ? 0 : err_set(err, "the start grant has no nonce");
}

/* One grant of a header, against the key. */
static int verify_one(const unsigned char key[KEY_BYTES], const char *text, size_t n,
                      const struct grant *wanted, int64_t now_s, char nonce[GRANT_NONCE_TEXT],
                      struct err *err)
{
    unsigned char signature[SIGNATURE_BYTES + 1], json[GRANT_SIZE_MAX];
    const char *dot = memchr(text, '.', n);
    size_t first = dot ? (size_t)(dot - text) : 0;
    if (!dot ||
        from_base64(dot + 1, n - first - 1, signature, sizeof(signature)) != SIGNATURE_BYTES)
        return err_set(err, "the start grant is malformed");
    /* Nothing of it is looked at before the signature is known to be good. */
    if (!signature_is_good(key, text, first, signature))
        return err_set(err, "the start grant is not signed with the key of this service");
    int len = from_base64(text, first, json, sizeof(json));
    autojson struct json_object *o =
        len < 0 ? NULL : json_read((char *)json, (size_t)len, GRANT_SIZE_MAX, "start grant", err);
    if (!json_object_is_type(o, json_type_object))
        return err_set(err, "the start grant is malformed");
    return check_payload(o, wanted, now_s, nonce, err);
}

int grant_verify(const char *public, const char *header, const struct grant *wanted, int64_t now_s,
                 char nonce[GRANT_NONCE_TEXT], struct err *err)
{
    unsigned char key[KEY_BYTES];
    if (key_bytes(public, key, err) < 0)
        return -1;
    if (!header)
        return err_set(err, "the command has no start grant");
    if (strlen(header) > GRANT_SIZE_MAX)
        return err_set(err, "the start grant is malformed");
    /* While a service changes its key there is one grant for each of its keys. */
    for (size_t n = strcspn(header, " "); header[n]; n = strcspn(header, " ")) {
        if (verify_one(key, header, n, wanted, now_s, nonce, NULL) == 0)
            return 0;
        header += n + 1;
    }
    return verify_one(key, header, strlen(header), wanted, now_s, nonce, err);
}
