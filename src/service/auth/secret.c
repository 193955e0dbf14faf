#include "service/auth/secret.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "service/auth/b64url.h"

#define RANDOM_BYTES 32
#define FORMED_LEN 44 /* a letter and 43 characters of base64url */

void secret_make(char kind, char out[SECRET_TEXT])
{
    unsigned char random[RANDOM_BYTES];
    if (RAND_bytes(random, sizeof random) != 1) {
        log_critical("The random number generator of OpenSSL does not work; nothing safe can be "
                     "made without it.");
        abort();
    }
    struct buf b = BUF_INIT;
    buf_char(&b, kind);
    b64url_add(&b, random, sizeof random);
    memcpy(out, b.data, b.len + 1);
    OPENSSL_cleanse(b.data, b.len);
    OPENSSL_cleanse(random, sizeof random);
    buf_free(&b);
}

bool secret_is_formed(const char *s, char kind)
{
    if (s == NULL || s[0] != kind)
        return false;
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    return strnlen(s, FORMED_LEN + 1) == FORMED_LEN && strspn(s, alphabet) == FORMED_LEN;
}

static void to_hex(const unsigned char *p, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * n] = '\0';
}

void secret_hash(const char *s, char out[SECRET_HASH_TEXT])
{
    unsigned char digest[32];
    if (EVP_Digest(s, strlen(s), digest, NULL, EVP_sha256(), NULL) != 1)
        abort(); /* out of memory */
    to_hex(digest, sizeof digest, out);
}

void secret_derive(const char *s, const char *purpose, char out[SECRET_HASH_TEXT])
{
    struct buf b = BUF_INIT;
    buf_fmt(&b, "sallyport:%s:%s", purpose, s);
    secret_hash(b.data, out);
    OPENSSL_cleanse(b.data, b.len);
    buf_free(&b);
}

bool secret_equal(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return false;
    size_t n = strlen(a);
    return strlen(b) == n && CRYPTO_memcmp(a, b, n) == 0;
}
