/* Identities, identity sets and clients in the ledger.  All functions run inside store jobs.
 *
 * An identity is one account at one source ("alice@example.org" of the local table, of PAM, of an
 * OIDC provider); identities that belong to one person share a set.  A client with a secret is an
 * identity as well, with the client's id. */
#ifndef SALLYPORT_AUTH_PEOPLE_H
#define SALLYPORT_AUTH_PEOPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/uuid.h"
#include "service/store/store.h"

#define PEOPLE_TEXT_MAX 255 /* bytes of a name, an address, an organization */
#define NATIVE_CLIENT "4cf29807-cf21-49ec-9443-ff9a3fb9f81c" /* the SDK's own, always known */

/* Copies an id; NULL gives "". */
void id_copy(char out[UUID_TEXT], const char *text);

#define SOURCE_LOCAL "local"
#define SOURCE_CLIENT "client"

/* All text is owned by it and never NULL, but `password` (NULL: can't sign in by password). */
struct person {
    char id[UUID_TEXT], set_id[UUID_TEXT];
    char *username, *name, *email, *organization;
    char *source, *subject, *provider_name;
    char *password;
    bool is_client, is_admin, disabled;
    int64_t created, last_auth;
};
void person_free(struct person *p); /* the members; wipes the hash */

/* Lower case, one '@' (domain is put behind a bare name), no blanks: into *out, the caller's. */
int person_username(const char *typed, const char *domain, char **out, struct err *err);

/* 1 found, 0 there is none, -1 with err. */
int person_by_id(struct db *db, const char *id, struct person *out, struct err *err);
int person_by_username(struct db *db, const char *username, struct person *out, struct err *err);
int person_by_subject(struct db *db, const char *source, const char *subject, struct person *out,
                      struct err *err);
/* name: an id or a user name (of an identity, or the name of a client).  Not found = -1. */
int person_named(struct db *db, const char *name, const char *domain, struct person *out,
                 struct err *err);
/* id and set_id empty: made here (a set of its own).  err->code EEXIST when the name is taken. */
int person_insert(struct db *db, struct person *p, struct err *err);
int person_update(struct db *db, const struct person *p, struct err *err);
/* Removes the identity, what it signed in to, and the client when it is one. */
int person_delete(struct db *db, const char *id, struct err *err);
/* Revokes what the identity holds: tokens, codes, browser sessions. */
int person_revoke(struct db *db, const char *id, struct err *err);

/* The list of auth.h's identity_set, `first` in front; disabled identities are left out. */
struct json_object *people_set(struct db *db, const char *set_id, const char *first,
                               struct err *err);
struct json_object *person_identity(const struct person *p); /* one member of it */
/* Is any identity of the set an administrator's?  1, 0, -1. */
int people_set_is_admin(struct db *db, const char *set_id, struct err *err);
/* For lists: {id, username, name, email, kind, source, admin, disabled, identity_set, created,
 * last_authentication}; kind "user", "client" or NULL. */
struct json_object *people_list(struct db *db, const char *kind, struct err *err);

struct client {
    char id[UUID_TEXT];
    char *name, *secret /* hash, or NULL: public */, *redirect_uris /* one a line */;
    bool disabled;
    int64_t created;
};
void client_free(struct client *c);
/* The native client is always there.  1, 0, -1 as above. */
int client_by_id(struct db *db, const char *id, struct client *out, struct err *err);
int client_insert(struct db *db, const struct client *c, struct err *err);

#endif
