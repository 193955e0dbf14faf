/* The moment in which a person becomes known: a password or another provider's word goes in, a
 * browser session comes out.
 *
 *     limits → ledger: whose name is it? → a worker asks the sources → ledger: identity and session
 *
 * Nothing here shows a page; authorize.c and session.c do. */
#ifndef SALLYPORT_AUTH_SIGNIN_H
#define SALLYPORT_AUTH_SIGNIN_H

#include "service/auth/private.h"
#include "service/auth/source.h"

struct signed_in {
    int status;          /* 200, or that of the page that tells why not */
    const char *reason;  /* one sentence for the person, when status is not 200 */
    unsigned retry_s;    /* 429: Retry-After */
    const char *session; /* the secret for the cookie; wiped after the callback */
    const char *sub, *username;
};
typedef void signed_in_f(void *arg, const struct signed_in *s);

void signin_password(struct auth *a, struct req *r, const char *username, const char *password,
                     signed_in_f *then, void *arg);
/* claim: emptied. */
void signin_claim(struct auth *a, struct req *r, const struct source *source, struct claim *claim,
                  signed_in_f *then, void *arg);

#endif
