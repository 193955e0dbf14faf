/* What the files of auth/ share.
 *
 *   auth.c       life cycle, table of routes, housekeeping
 *   check.c      whose token is it?  (every Compute request comes through here)
 *   call.c       who is the client of a request to the token endpoint?
 *   oauth.c      /v2/oauth2/token, /revoke, /introspect
 *   info.c       userinfo, identities, openid-configuration, jwk.json
 *   signin.c     a password or another provider's word becomes a browser session
 *   session.c    browsers that are signed in; sign-in and sign-out of the console
 *   with.c       the way to another provider and back
 *   authorize.c  the sign-in of a person for a program: a code
 *   projects.c   projects and authentication policies, and the question at a submit */
#ifndef SALLYPORT_AUTH_PRIVATE_H
#define SALLYPORT_AUTH_PRIVATE_H

#include "service/auth/auth.h"
#include "service/auth/cache.h"
#include "service/auth/grant.h"
#include "service/auth/key.h"
#include "service/auth/limit.h"
#include "service/auth/people.h"
#include "service/auth/secret.h"
#include "service/auth/source.h"
#include "service/auth/tokens.h"
#include "service/auth/work.h"
#include "service/web/page.h"

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
    struct sources sources;
    struct pages *pages; /* NULL: not installed, there are no pages then */
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

/* ---- session.c: browsers ---- */
#define SESSION_COOKIE "sallyport_session"
#define FORM_COOKIE "sallyport_form" /* before there is a session */
void session_cookie_set(struct auth *a, struct req *r, const char *secret);
/* Ties a form to this browser: the value for the form's field `csrf`; sets the cookie when the
 * browser has none. */
void session_form_token(struct auth *a, struct req *r, char out[SECRET_HASH_TEXT]);
bool session_form_fits(struct req *r); /* does the posted field fit the cookie? */
/* The same for somebody who is signed in. */
bool session_csrf_fits(struct req *r);
/* then gets the grant of the session cookie or NULL. */
void session_look_up(struct auth *a, struct req *r, grant_f *then, void *arg);
/* "/path?query" of this service, and nothing that leads elsewhere. */
bool session_path_is_ours(const char *path);
/* A page with one sentence. */
void session_message(struct auth *a, struct req *r, int status, const char *title,
                     const char *text);

void auth_sign_in_page(struct req *r); /* /web/sign-in */
void auth_sign_in_post(struct req *r);
void auth_sign_out(struct req *r);
void auth_with(struct req *r);      /* /v2/web/with/{source}: to another provider */
void auth_with_back(struct req *r); /* and back */
void auth_authorize_page(struct req *r);
void auth_authorize_post(struct req *r);
void auth_code_page(struct req *r);
void auth_projects(struct req *r);
void auth_project_make(struct req *r);
void auth_policy_make(struct req *r);

void auth_token(struct req *r);
void auth_revoke(struct req *r);
void auth_introspect(struct req *r);
void auth_userinfo(struct req *r);
void auth_identities(struct req *r);
void auth_openid_configuration(struct req *r);
void auth_jwks(struct req *r);

#endif
