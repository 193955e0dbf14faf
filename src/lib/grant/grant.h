/* Start grants: the service signs a start command, the manager verifies it, so that a stolen broker
 * password starts nothing.
 *
 * The command message carries the header `sallyport-grant`:
 *
 *     base64url(payload) "." base64url(signature)                        no padding
 *     more such, each after a space: while a service changes its key
 *     payload   = {"v":1,"endpoint":ID,"user":IDENTITY,"user_endpoint":ID,"sha256":HEX,
 *                  "nonce":HEX,"expires":UNIX SECONDS}                    compact JSON
 *     signature = Ed25519 over "sallyport-grant-v1." and the first part as it stands
 *
 * endpoint: whom the command is for; user: globus_effective_identity; user_endpoint:
 * kwargs.amqp_creds.endpoint_id; sha256: of the body's bytes, so that nothing in it (options,
 * credentials, identity set) can be changed; nonce: 16 random bytes, for those who want to see a
 * grant once only.
 *
 * Keys are the 32 raw bytes in base64 (44 characters): the secret one in a file of the service, the
 * public one in `sallyport: {grant_key: ...}` of the endpoint's config.yaml. */
#ifndef SALLYPORT_GRANT_GRANT_H
#define SALLYPORT_GRANT_GRANT_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

#define GRANT_HEADER "sallyport-grant"
#define GRANT_KEY_TEXT 45   /* bytes with the NUL */
#define GRANT_NONCE_TEXT 33 /* bytes with the NUL */
#define GRANT_LIFETIME_S 180
#define GRANT_SIZE_MAX 2048 /* characters of the header */

struct grant {
    const char *endpoint_id;
    const char *identity;
    const char *user_endpoint_id;
    const void *body; /* of the message */
    size_t body_len;
    int64_t expires_s; /* grant_sign() only */
};

/* A new pair.  Ends the process when the system has no randomness. */
void grant_key_new(char secret[GRANT_KEY_TEXT], char public[GRANT_KEY_TEXT]);
/* The public key of a secret one.  0 or -1. */
int grant_key_public(const char *secret, char public[GRANT_KEY_TEXT], struct err *err);
/* Is that a public key (or a secret one)?  0 or -1 with a sentence. */
int grant_key_check(const char *key, struct err *err);

/* The header's value (caller frees), or NULL when the key is none. */
char *grant_sign(const char *secret, const struct grant *g, struct err *err);
/* 0 when the header grants exactly what `wanted` says and has not expired at now_s; -1 with a
 * sentence.  header NULL: there is none. */
int grant_verify(const char *public, const char *header, const struct grant *wanted, int64_t now_s,
                 char nonce[GRANT_NONCE_TEXT], struct err *err);

#endif
