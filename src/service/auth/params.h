/* The parameters of an authorize request (auth.md 4.2): read, judged, and written again for the
 * links of the sign-in page. */
#ifndef SALLYPORT_AUTH_PARAMS_H
#define SALLYPORT_AUTH_PARAMS_H

#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "service/auth/people.h"
#include "service/http/server.h"

#define CODE_PAGE "/v2/web/auth-code"

enum param {
    P_CLIENT_ID,
    P_REDIRECT_URI,
    P_SCOPE,
    P_STATE,
    P_RESPONSE_TYPE,
    P_ACCESS_TYPE,
    P_CODE_CHALLENGE,
    P_CODE_CHALLENGE_METHOD,
    P_NONCE,
    P_PROMPT,
    P_SESSION_MESSAGE,
    P_SESSION_REQUIRED_IDENTITIES,
    P_SESSION_REQUIRED_POLICIES,
    P_SESSION_REQUIRED_SINGLE_DOMAIN,
    P_SESSION_REQUIRED_MFA,
    P_N
};

struct params {
    char *value[P_N]; /* NULL = absent */
};

/* -1 with err when one of them is too long. */
int params_read(struct req *r, struct params *out, struct err *err);
void params_free(struct params *p);
/* "client_id=...&..."; without: a parameter to leave out, or P_N. */
void params_write(const struct params *p, enum param without, struct buf *out);
/* Percent-encodes everything that is not unreserved. */
void params_encode(struct buf *out, const char *text);

/* May the browser be sent back to redirect_uri?  Own page: *own.  base and public_url: this
 * service's own names. */
bool params_redirect_is_fine(const char *redirect_uri, const struct client *c, const char *base,
                             const char *public_url, bool *own);
/* What is wrong with the rest: an OAuth error name with the sentence in err, or NULL. */
const char *params_judge(const struct params *p, const struct client *c, struct err *err);

#endif
