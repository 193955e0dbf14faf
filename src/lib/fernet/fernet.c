/* Fernet tokens on OpenSSL; the contract is in fernet.h. */
#include "lib/fernet/fernet.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"

enum {
    KEY_LEN = 32, /* signing, then encryption */
    IV_AT = 9,
    TEXT_AT = 25,
    MAC_LEN = 32,
    BLOCK = 16,
};

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void b64_add(struct buf *out, const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                     (left > 2 ? p[i + 2] : 0);
        buf_char(out, alphabet[v >> 18]);
        buf_char(out, alphabet[v >> 12 & 63]);
        buf_char(out, left > 1 ? alphabet[v >> 6 & 63] : '=');
        buf_char(out, left > 2 ? alphabet[v & 63] : '=');
    }
}

static int b64_digit(char c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Canonical base64url with its padding; -1 when it is not. */
static int b64_read(const char *s, size_t n, struct buf *out)
{
    if (n == 0 || n % 4 != 0)
        return -1;
    size_t pad = s[n - 1] != '=' ? 0 : s[n - 2] != '=' ? 1 : 2;
    for (size_t i = 0; i < n; i += 4) {
        size_t last = i + 4 == n ? pad : 0;
        uint32_t v = 0;
        for (size_t k = 0; k < 4; k++) {
            int d = k >= 4 - last ? 0 : b64_digit(s[i + k]);
            if (d < 0)
                return -1;
            v = v << 6 | (uint32_t)d;
        }
        unsigned char bytes[3] = {(unsigned char)(v >> 16), (unsigned char)(v >> 8),
                                  (unsigned char)v};
        buf_add(out, bytes, 3 - last);
        OPENSSL_cleanse(bytes, sizeof(bytes));
    }
    return 0;
}

static void wipe_buf(struct buf *b)
{
    if (b->data)
        OPENSSL_cleanse(b->data, b->cap);
    buf_free(b);
}
#define wiped_buf __attribute__((cleanup(wipe_buf)))

static int key_read(const char *text, unsigned char key[KEY_LEN], struct err *err)
{
    struct buf raw wiped_buf = BUF_INIT;
    if (!text || strlen(text) != FERNET_KEY_TEXT - 1 ||
        b64_read(text, FERNET_KEY_TEXT - 1, &raw) != 0 || raw.len != KEY_LEN)
        return err_set(err, "the encryption key is not 32 bytes in base64url");
    memcpy(key, raw.data, KEY_LEN);
    return 0;
}

static void random_bytes(unsigned char *p, int n)
{
    if (RAND_bytes(p, n) != 1)
        abort();
}

void fernet_key_new(char out[FERNET_KEY_TEXT])
{
    unsigned char key[KEY_LEN];
    struct buf text wiped_buf = BUF_INIT;
    random_bytes(key, KEY_LEN);
    b64_add(&text, key, KEY_LEN);
    memcpy(out, text.data, FERNET_KEY_TEXT - 1);
    out[FERNET_KEY_TEXT - 1] = 0;
    OPENSSL_cleanse(key, sizeof(key));
}

static void mac(const unsigned char key[KEY_LEN], const void *p, size_t n,
                unsigned char out[MAC_LEN])
{
    unsigned len = 0;
    if (!HMAC(EVP_sha256(), key, KEY_LEN / 2, p, n, out, &len) || len != MAC_LEN)
        abort();
}

/* AES-128-CBC with PKCS7 padding, appended to out.  -1 only when deciphering finds bad padding. */
static int cipher(bool encrypt, const unsigned char key[KEY_LEN], const unsigned char *iv,
                  const unsigned char *p, size_t n, struct buf *out)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len = 0, tail = 0;
    unsigned char *to = buf_room(out, n + BLOCK);
    if (!ctx ||
        EVP_CipherInit_ex(ctx, EVP_aes_128_cbc(), NULL, key + KEY_LEN / 2, iv, encrypt) != 1)
        abort();
    int ok = EVP_CipherUpdate(ctx, to, &len, p, (int)n) == 1 &&
             EVP_CipherFinal_ex(ctx, to + len, &tail) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (ok)
        buf_grew(out, (size_t)(len + tail));
    return ok ? 0 : -1;
}

int fernet_encrypt(const char *key_text, const void *p, size_t n, struct buf *out, struct err *err)
{
    unsigned char key[KEY_LEN], head[TEXT_AT] = {0x80}, sum[MAC_LEN];
    struct buf raw autobuf = BUF_INIT;
    if (n > FERNET_TOKEN_MAX / 2)
        return err_set(err, "%zu bytes are too many for a token", n);
    if (key_read(key_text, key, err) != 0)
        return -1;
    uint64_t now = (uint64_t)(clock_unix_ns() / 1000000000);
    for (int i = 0; i < 8; i++)
        head[1 + i] = (unsigned char)(now >> (56 - 8 * i));
    random_bytes(head + IV_AT, BLOCK);
    buf_add(&raw, head, sizeof(head));
    int rc = cipher(true, key, head + IV_AT, p, n, &raw);
    if (rc != 0)
        abort();
    mac(key, raw.data, raw.len, sum);
    buf_add(&raw, sum, sizeof(sum));
    b64_add(out, (const unsigned char *)raw.data, raw.len);
    OPENSSL_cleanse(key, sizeof(key));
    return 0;
}

static int open_token(const unsigned char key[KEY_LEN], const struct buf *raw, struct buf *out,
                      struct err *err)
{
    const unsigned char *bytes = (const unsigned char *)raw->data;
    if (raw->len < TEXT_AT + BLOCK + MAC_LEN || (raw->len - TEXT_AT - MAC_LEN) % BLOCK != 0 ||
        bytes[0] != 0x80)
        return err_set(err, "the credentials are not a Fernet token");
    unsigned char sum[MAC_LEN];
    size_t signed_len = raw->len - MAC_LEN;
    mac(key, bytes, signed_len, sum);
    if (CRYPTO_memcmp(sum, bytes + signed_len, MAC_LEN) != 0 ||
        cipher(false, key, bytes + IV_AT, bytes + TEXT_AT, signed_len - TEXT_AT, out) != 0)
        return err_set(err,
                       "the credentials were not encrypted with the given key, or are damaged");
    return 0;
}

int fernet_decrypt(const char *key_text, const char *token, size_t n, struct buf *out,
                   struct err *err)
{
    unsigned char key[KEY_LEN];
    struct buf raw autobuf = BUF_INIT;
    while (n > 0 && isspace((unsigned char)token[n - 1]))
        n--;
    while (n > 0 && isspace((unsigned char)*token))
        token++, n--;
    if (key_read(key_text, key, err) != 0)
        return -1;
    int rc = n > FERNET_TOKEN_MAX || b64_read(token, n, &raw) != 0
                 ? err_set(err, "the credentials are not a Fernet token")
                 : open_token(key, &raw, out, err);
    OPENSSL_cleanse(key, sizeof(key));
    return rc;
}
