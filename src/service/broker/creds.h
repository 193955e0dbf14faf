/* Broker passwords: one principal an endpoint ("ep.<endpoint id>") and one a person
 * ("usr.<identity id>").
 *
 * A password is derived from a secret key, the principal's name and its generation, so nothing that
 * opens the broker is kept in the ledger, a restart changes nothing, and every service process
 * gives the same.  The newest two generations are valid: who holds the older one has until the next
 * rotation to fetch the newer. */
#ifndef SALLYPORT_SERVICE_CREDS_H
#define SALLYPORT_SERVICE_CREDS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/loop.h"
#include "service/store/store.h"

#define CREDS_NAME 48     /* a principal's name with NUL */
#define CREDS_PASSWORD 48 /* with NUL; begins with a letter */

struct creds;

/* key_path: made when missing (0600). */
struct creds *creds_create(struct loop *l, struct store *s, const char *key_path, struct err *err);
void creds_destroy(struct creds *c);

/* The current password; a new generation when the present one is older than rotate_s.  password is
 * NULL with err when the ledger is out of reach or the principal is revoked. */
typedef void creds_f(void *arg, const char *password, const struct err *err);
void creds_issue(struct creds *c, const char *principal, uint64_t rotate_s, creds_f *done,
                 void *arg);
/* Is this password one of the newest two? */
typedef void creds_check_f(void *arg, bool ok);
void creds_check(struct creds *c, const char *principal, const char *password, creds_check_f *done,
                 void *arg);
/* Nothing given out so far is valid any more; the next creds_issue() begins anew. */
void creds_revoke(struct creds *c, const char *principal, loop_f *done, void *arg);

/* For other secrets of the service: HMAC-SHA256 of text under the key, base64url, 43 characters. */
void creds_derive(const struct creds *c, const char *text, char out[CREDS_PASSWORD]);

#endif
