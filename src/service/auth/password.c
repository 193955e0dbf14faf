#include "service/auth/password.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "service/auth/b64url.h"
#include "service/auth/secret.h"

#define LN 15u
#define R 8u
#define P 3u
#define SALT 16
#define KEY 32
/* What a stored text may ask of us, so that a damaged row can't take the machine's memory. */
#define LN_MAX 18u
#define R_MAX 16u
#define P_MAX 16u

#define SHA_PREFIX "$sha256$"

int password_accept(const char *password, struct err *err)
{
    size_t n = strlen(password);
    if (n < PASSWORD_MIN)
        return err_set(err, "the password has %zu characters; at least %d are needed", n,
                       PASSWORD_MIN);
    if (n > PASSWORD_MAX)
        return err_set(err, "the password is longer than %d bytes", PASSWORD_MAX);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)password[i] < 0x20 || password[i] == 0x7f)
            return err_set(err, "the password has a control character at position %zu", i + 1);
    return 0;
}

static int derive(const char *password, const void *salt, size_t salt_len, unsigned ln, unsigned r,
                  unsigned p, unsigned char key[KEY])
{
    uint64_t n = (uint64_t)1 << ln;
    uint64_t memory = 128 * n * r + 128 * (uint64_t)r * p + (1u << 20);
    return EVP_PBE_scrypt(password, strlen(password), salt, salt_len, n, r, p, memory, key, KEY) ==
                   1
               ? 0
               : -1;
}

char *password_hash(const char *password, struct err *err)
{
    unsigned char salt[SALT], key[KEY];
    if (RAND_bytes(salt, sizeof salt) != 1 ||
        derive(password, salt, sizeof salt, LN, R, P, key) != 0) {
        err_set(err, "OpenSSL could not compute scrypt; is there 32 MiB of free memory?");
        return NULL;
    }
    struct buf b = BUF_INIT;
    buf_fmt(&b, "$scrypt$ln=%u,r=%u,p=%u$", LN, R, P);
    b64url_add(&b, salt, sizeof salt);
    buf_char(&b, '$');
    b64url_add(&b, key, sizeof key);
    OPENSSL_cleanse(key, sizeof key);
    return buf_take(&b);
}

char *password_hash_secret(const char *secret)
{
    char hash[SECRET_HASH_TEXT];
    secret_hash(secret, hash);
    return xasprintf(SHA_PREFIX "%s", hash);
}

bool password_is_cheap(const char *stored)
{
    return stored != NULL && strncmp(stored, SHA_PREFIX, strlen(SHA_PREFIX)) == 0;
}

struct parsed {
    unsigned ln, r, p;
    struct buf salt, key;
};

static int parse(const char *stored, struct parsed *out)
{
    int at = 0;
    if (sscanf(stored, "$scrypt$ln=%2u,r=%2u,p=%2u$%n", &out->ln, &out->r, &out->p, &at) != 3 ||
        at == 0)
        return -1;
    if (out->ln < 1 || out->ln > LN_MAX || out->r < 1 || out->r > R_MAX || out->p < 1 ||
        out->p > P_MAX)
        return -1;
    const char *salt = stored + at, *middle = strchr(salt, '$');
    if (middle == NULL || b64url_decode(&out->salt, salt, (size_t)(middle - salt)) != 0 ||
        b64url_decode(&out->key, middle + 1, strlen(middle + 1)) != 0)
        return -1;
    return out->key.len == KEY && out->salt.len >= 8 ? 0 : -1;
}

int password_check(const char *stored, const char *password)
{
    if (password_is_cheap(stored)) {
        char hash[SECRET_HASH_TEXT];
        secret_hash(password, hash);
        return secret_equal(stored + strlen(SHA_PREFIX), hash);
    }
    unsigned char key[KEY];
    if (stored == NULL) {
        (void)derive(password, "sallyport-nobody", 16, LN, R, P, key);
        return 0;
    }
    struct parsed parsed = {.ln = 0};
    int rc = parse(stored, &parsed);
    if (rc == 0) {
        rc = derive(password, parsed.salt.data, parsed.salt.len, parsed.ln, parsed.r, parsed.p,
                    key) != 0
                 ? -1
                 : CRYPTO_memcmp(key, parsed.key.data, KEY) == 0;
    }
    OPENSSL_cleanse(key, sizeof key);
    buf_free(&parsed.salt);
    buf_free(&parsed.key);
    return rc;
}
