/* Sign-in: the subset of Globus Auth that the SDK and the endpoint call, served by us.
 *
 * People have identities (a user name, a password hash, an identity set that links several of
 * them); scripts have clients (an id, a secret, an identity of their own).  Tokens and codes are
 * random text of which only the SHA-256 is kept.  Everything lies in tables auth_* of the ledger.
 *
 * Nothing here knows HTTP's transport: a request comes in as text, a reply goes out as text.  What
 * a reply promises is in the database's open group of writes: send it after db_after_commit(). */
#ifndef SALLYPORT_SERVICE_AUTH_H
#define SALLYPORT_SERVICE_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/uuid.h"
#include "service/store/db.h"

#define AUTH_SERVER "auth.globus.org" /* resource server of Auth's own routes */
#define AUTH_COMPUTE "funcx_service"  /* resource server of Compute's routes */
#define AUTH_BODY_MAX (64u << 10)     /* bytes of a request body that are read */

struct auth;

/* Makes missing tables.  public_url: where clients reach us ("https://compute.example.org/"), used
 * for absolute links when a request does not tell its own; may be NULL. */
struct auth *auth_create(struct db *db, const char *public_url, struct err *err);
void auth_destroy(struct auth *a); /* NULL is fine */
/* Drops what has expired; call it now and then (hourly). */
int auth_tidy(struct auth *a, struct err *err);

/* ---- HTTP ------------------------------------------------------------------------------------ */

struct auth_request {
    const char *method;   /* "GET", "POST" */
    const char *path;     /* decoded, without query */
    const char *query;    /* raw text behind '?', or NULL */
    const char *base_url; /* "http://localhost:5000": scheme and authority that the client used */
    const char *authorization; /* header, or NULL */
    const char *body;          /* form or JSON */
    size_t body_len;
};

struct auth_reply {
    int status;
    const char *content_type;
    struct buf body;
    char *location; /* NULL unless a redirect */
};

bool auth_serves(const char *path);
/* Never fails: a refusal is a reply.  Sends Cache-Control: no-store with all of these. */
void auth_serve(struct auth *a, const struct auth_request *request, struct auth_reply *reply);
void auth_reply_free(struct auth_reply *reply);

/* ---- who is it? ------------------------------------------------------------------------------ */

struct auth_who {
    char sub[UUID_TEXT];              /* the identity that signed in */
    char *username, *name, *email;    /* never NULL */
    char *client_id;                  /* which program holds the token */
    struct json_object *identity_set; /* list of objects as auth.md 6.2 and 8 ask for: no nulls */
    bool is_admin;
};

/* 0: `who` is filled (auth_who_free).  401 or 403 with the reason in err otherwise, 503 when the
 * ledger does not answer. authorization: the header's text or NULL. */
int auth_check(struct auth *a, const char *authorization, const char *resource_server,
               struct auth_who *who, struct err *err);
void auth_who_free(struct auth_who *who);
bool auth_who_is(const struct auth_who *who, const char *identity); /* any linked identity */

/* The console's sign-in: 0 and a session secret for the cookie (freed by the caller), or 401, 429,
 * 503 with err. */
int auth_session_open(struct auth *a, const char *username, const char *password, char **secret,
                      struct err *err);
int auth_session_check(struct auth *a, const char *secret, struct auth_who *who, struct err *err);
int auth_session_close(struct auth *a, const char *secret, struct err *err);

/* ---- administration -------------------------------------------------------------------------- */

struct auth_identity {
    const char *username; /* name@domain */
    const char *name, *email, *organization;
    const char *password; /* NULL: can't sign in by password */
    const char *link_to;  /* user name or id whose identity set this one joins, or NULL */
    bool is_admin;
};

int auth_user_add(struct auth *a, const struct auth_identity *user, char id[UUID_TEXT],
                  struct err *err);
/* A confidential client; *secret (freed by the caller) is shown once and kept hashed. */
int auth_client_add(struct auth *a, const char *name, const char *link_to, char id[UUID_TEXT],
                    char **secret, struct err *err);
int auth_password_set(struct auth *a, const char *user, const char *password, struct err *err);
int auth_secret_renew(struct auth *a, const char *client, char **secret, struct err *err);
/* Disabled identities sign in no more and their tokens are void. user: user name or id. */
int auth_disable(struct auth *a, const char *user, bool disabled, struct err *err);
int auth_tokens_revoke(struct auth *a, const char *user, struct err *err);
/* List of {id, username, name, kind, admin, disabled, identity_set, created, last_authentication}.
 */
struct json_object *auth_list(struct auth *a, const char *kind /* "user", "client", NULL */,
                              struct err *err);

#endif
