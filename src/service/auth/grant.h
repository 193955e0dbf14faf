/* What a token or a browser session stands for: a person, until when, for what.
 *
 * Loaded from the ledger in a store job, then shared (reference counted, never changed), so that
 * the cache of checked tokens and the requests under way can hold the same one. */
#ifndef SALLYPORT_AUTH_GRANT_H
#define SALLYPORT_AUTH_GRANT_H

#include <stdint.h>

#include "service/auth/auth.h"

struct grant {
    unsigned refs; /* the loop's thread only */
    int64_t expires;
    int64_t issued;
    char *server, *scope; /* of a token; empty for a browser session */
    char *family;         /* of a token: the sign-in it came from */
    char kind;            /* SECRET_ACCESS, SECRET_REFRESH, SECRET_SESSION */
    struct auth_who who;  /* its text is owned by the grant */
};

/* 1 with *out (one reference), 0 = unknown, expired, revoked, its owner or client disabled; -1 with
 * err.  hash: secret_hash() of the token. */
int grant_load_token(struct db *db, const char *hash, int64_t now, struct grant **out,
                     struct err *err);
int grant_load_session(struct db *db, const char *hash, int64_t now, struct grant **out,
                       struct err *err);
struct grant *grant_ref(struct grant *g);
void grant_unref(struct grant *g); /* NULL is fine */

#endif
