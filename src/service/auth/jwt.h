/* Signed JSON (JWS compact form): the id tokens that we make, and those of other providers.
 *
 * Only signatures by public keys are known: RS256/384/512, PS256/384/512, ES256/384/512.  "none"
 * and the HMAC family don't exist here. */
#ifndef SALLYPORT_AUTH_JWT_H
#define SALLYPORT_AUTH_JWT_H

#include <openssl/evp.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/json.h"

#define JWT_MAX (64u << 10) /* bytes of a token that are looked at */
#define JWT_LEEWAY_S 300

/* RS512; the caller's text, NULL when OpenSSL fails. */
char *jwt_sign(EVP_PKEY *key, const char *key_id, struct json_object *claims);
/* Checks the signature against a JWKS document ({"keys": [...]}: by kid when the token names one,
 * else any that fits) and returns the claims, or NULL with err. */
struct json_object *jwt_verify(const char *token, struct json_object *jwks, struct err *err);
/* exp, iat, nbf (each with JWT_LEEWAY_S), iss, aud (equal or in the list), nonce (NULL = none):
 * 0, or -1 with err. */
int jwt_claims_check(struct json_object *claims, const char *issuer, const char *audience,
                     const char *nonce, int64_t now, struct err *err);

#endif
