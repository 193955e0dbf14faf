#include "service/auth/pkce.h"

#include <openssl/evp.h>
#include <string.h>

#include "service/auth/b64url.h"
#include "service/auth/secret.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

bool pkce_challenge_is_formed(const char *challenge)
{
    return strlen(challenge) == 43 && strspn(challenge, LETTERS "-_") == 43;
}

bool pkce_verifier_is_formed(const char *verifier)
{
    size_t n = strlen(verifier);
    return n >= 43 && n <= 128 && strspn(verifier, LETTERS "-._~") == n;
}

bool pkce_matches(const char *challenge, const char *verifier)
{
    unsigned char digest[32];
    if (EVP_Digest(verifier, strlen(verifier), digest, NULL, EVP_sha256(), NULL) != 1)
        return false;
    struct buf b = BUF_INIT;
    b64url_add(&b, digest, sizeof digest);
    bool same = secret_equal(challenge, b.data);
    buf_free(&b);
    return same;
}
