/* The key that signs id tokens: RSA, in <data dir>/auth-key.pem (mode 0600), made at first start.
 *
 * Clients take the first key of the published set whatever a token names, so the present key comes
 * first.  To change it: move auth-key.pem to auth-key.old.pem and start again; the old one stays in
 * the set behind the new one for as long as the file is there.  Service processes that share the
 * load need the same file. */
#ifndef SALLYPORT_AUTH_KEY_H
#define SALLYPORT_AUTH_KEY_H

#include <openssl/evp.h>

#include "lib/base/err.h"
#include "lib/base/json.h"

#define KEY_ID_TEXT 44

struct key;

struct key *key_open(const char *data_dir, struct err *err);
void key_close(struct key *k); /* NULL is fine */
EVP_PKEY *key_private(const struct key *k);
const char *key_id(const struct key *k); /* thumbprint of RFC 7638 */
/* {"keys": [...]}: one reference for the caller. */
struct json_object *key_set(const struct key *k);

#endif
