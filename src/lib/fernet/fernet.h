/* Fernet tokens: how a manager hands credentials to a running user endpoint through a memfd.
 *
 * key   = base64url of 16 bytes for signing and 16 bytes for encryption (44 characters)
 * token = base64url of 0x80, u64be seconds, 16 bytes IV, AES-128-CBC/PKCS7 ciphertext,
 *         HMAC-SHA256 of everything before it.  No age limit is enforced.
 * Readable and writable by Python's cryptography.fernet. */
#ifndef SALLYPORT_FERNET_H
#define SALLYPORT_FERNET_H

#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

#define FERNET_KEY_TEXT 45 /* bytes with the NUL */
#define FERNET_TOKEN_MAX (4u << 20)

/* A random key.  Ends the process when the system has no randomness. */
void fernet_key_new(char out[FERNET_KEY_TEXT]);
/* Appends the token to out; -1 when the key is not one. */
int fernet_encrypt(const char *key, const void *p, size_t n, struct buf *out, struct err *err);
/* Appends the clear bytes to out; white space around the token is ignored.  -1 when the key is not
 * one, the token is malformed, or was made with another key.  The sentence never shows either. */
int fernet_decrypt(const char *key, const char *token, size_t n, struct buf *out, struct err *err);

#endif
