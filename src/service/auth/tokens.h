/* Making, changing and ending tokens.  All functions run inside store jobs; `now` comes from the
 * caller, so that tests can move it.
 *
 * One sign-in is a family: its code, its access and refresh tokens.  A refresh token is exchanged
 * for a new one each time it is used.  The old one stays good for `overlap_s`: clients repeat a
 * request whose answer was lost, and several processes of a user start from the same stored token.
 * After that, or for a code that comes twice, somebody else has a copy: the whole family is void.
 */
#ifndef SALLYPORT_AUTH_TOKENS_H
#define SALLYPORT_AUTH_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/uuid.h"
#include "service/auth/scopes.h"
#include "service/auth/secret.h"
#include "service/store/store.h"

struct lifetimes {
    int64_t access_s, refresh_s, overlap_s, code_s, session_s;
};
extern const struct lifetimes lifetimes_default;

/* A refusal is not a failure of the job: what it did (ending a family) must stay. */
struct refusal {
    const char *error; /* "invalid_grant", ...; NULL = none */
    char reason[256];
};

/* What the reply of the token endpoint is made of. */
struct issued {
    struct json_object *reply; /* the body, without id_token */
    char sub[UUID_TEXT];
    char client[UUID_TEXT];
    char family[UUID_TEXT]; /* of the sign-in; also set when it was ended */
    char *nonce;            /* of the authorize request, NULL = none */
    bool openid;            /* an id_token is due */
    struct refusal refusal;
};
void issued_free(struct issued *i); /* the members */

struct code_request {
    const char *identity, *client, *redirect_uri, *challenge, *scope, *nonce, *session;
    bool offline;
};
/* 0, or -1 with err. */
int tokens_code_make(struct db *db, const struct code_request *code, const char *secret,
                     int64_t now, const struct lifetimes *life, struct err *err);
int tokens_code_redeem(struct db *db, const char *secret, const char *client,
                       const char *redirect_uri, const char *verifier, int64_t now,
                       const struct lifetimes *life, struct issued *out, struct err *err);
/* scope NULL = as before; a list may only narrow it. */
int tokens_refresh(struct db *db, const char *secret, const char *client, const char *scope,
                   int64_t now, const struct lifetimes *life, struct issued *out, struct err *err);
int tokens_for_client(struct db *db, const char *client, const struct scopes *scopes, int64_t now,
                      const struct lifetimes *life, struct issued *out, struct err *err);
/* Ends a token of this client; a refresh token ends its family (RFC 7009).  Unknown ones and those
 * of other clients are left alone, silently.  family: what was ended, or "". */
int tokens_revoke(struct db *db, const char *secret, const char *client, char family[UUID_TEXT],
                  struct err *err);
int tokens_end_family(struct db *db, const char *family, struct err *err);
/* Sign-ins that still hold a token: list of {family, identity, username, client, scope, issued,
 * expires, tokens}; identity NULL = everybody's. */
struct json_object *tokens_list(struct db *db, const char *identity, int64_t now, struct err *err);
/* Deletes what has expired. */
int tokens_tidy(struct db *db, int64_t now, struct err *err);

#endif
