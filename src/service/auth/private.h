/* What the files of auth/ share.
 *
 *   auth.c       life cycle, table of routes, housekeeping
 *   check.c      whose token is it?  (every Compute request comes through here)
 *   call.c       who is the client of a request to the token endpoint?
 *   oauth.c      /v2/oauth2/token, /revoke, /introspect
 *   info.c       userinfo, identities, openid-configuration, jwk.json
 *   authorize.c  the sign-in of a person at the authorize page
 *   session.c    browsers that are signed in
 *   policy.c     projects, authentication policies and their evaluation */
#ifndef SALLYPORT_AUTH_PRIVATE_H
#define SALLYPORT_AUTH_PRIVATE_H

#include "service/auth/auth.h"
#include "service/auth/cache.h"
#include "service/auth/grant.h"
#include "service/auth/key.h"
#include "service/auth/limit.h"
#include "service/auth/people.h"
#include "service/auth/secret.h"
#include "service/auth/tokens.h"
#include "service/auth/work.h"

struct auth {
    struct store *store;
    struct loop *loop;
    char *data_dir;
    char *public_url; /* without a trailing slash; NULL = as the client called us */
    char *domain;     /* put behind bare user names */
    char *provider_name;
    struct json_object *config; /* NULL: nothing set */
    struct key *key;
    struct cache *cache;
    struct work *work;
    struct limit *tries_peer, *tries_name; /* sign-ins of people */
    struct limit *tries_client;            /* wrong secrets of programs, by address */
    struct lifetimes life;
    struct loop_timer *tidy_timer;
    bool tidying;
};

int64_t auth_now(void); /* seconds since 1970 */
/* "https://host": the issuer of tokens and the base of absolute links for this request. */
const char *auth_base_url(struct auth *a, struct req *r);

/* An error in Auth's form (auth.md 7), with Cache-Control: no-store. */
void oauth_refuse(struct req *r, int status, const char *error, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void oauth_reply(struct req *r, struct json_object *body /* taken */);
/* The ledger did not answer: 503 in Auth's form, the reason in the log. */
void oauth_ledger_failed(struct req *r, const struct err *err);

/* As auth_compute(), for Auth's own routes: token of AUTH_SERVER_AUTH, scope NULL = any of it. */
void auth_own(struct auth *a, struct req *r, const char *scope, auth_f *then);
/* The same with a token given by value (introspection, tests): then gets NULL for a bad one. */
typedef void grant_f(void *arg, struct grant *grant, const struct err *err);
void auth_look_up(struct auth *a, const char *token, grant_f *then, void *arg);

/* The program behind a request to the token endpoint: Basic, or client_id (and client_secret) of
 * the form.  Calls back with the client, or answers the request itself and calls nothing. */
typedef void client_f(void *arg, const struct client *c);
void auth_client(struct auth *a, struct req *r, bool needs_secret, client_f *then, void *arg,
                 void (*give_up)(void *arg));

extern const struct route auth_oauth_routes[];
void auth_token(struct req *r);
void auth_revoke(struct req *r);
void auth_introspect(struct req *r);
void auth_userinfo(struct req *r);
void auth_identities(struct req *r);
void auth_openid_configuration(struct req *r);
void auth_jwks(struct req *r);

#endif
