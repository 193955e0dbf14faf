/* What an administrator does to users, clients and tokens: the functions behind `sallyport user`,
 * `client` and `token`.
 *
 * They work on the ledger itself, inside a store job, so that they do the same on SQLite and on
 * PostgreSQL, before the service runs and beside it.  A running service sees a change at once, but
 * for a token that it checked a moment ago (cache.h). */
#ifndef SALLYPORT_AUTH_ADMIN_H
#define SALLYPORT_AUTH_ADMIN_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/uuid.h"
#include "service/store/store.h"

#define ADMIN_DOMAIN "localhost" /* behind bare user names unless auth.domain says otherwise */

struct admin_user {
    const char *username;
    const char *name, *email, *organization; /* NULL: made from the user name, or empty */
    const char *password_hash;               /* NULL: can't sign in by password */
    const char *link_to;                     /* joins this one's identity set; NULL: its own */
    bool is_admin;
};
/* Results are objects as in people_list(); NULL with err.  domain: for bare names. */
struct json_object *admin_user_add(struct db *db, const struct admin_user *user, const char *domain,
                                   struct err *err);
int admin_password(struct db *db, const char *name, const char *password_hash, const char *domain,
                   struct err *err);
/* Puts `name` into the identity set of `to` (with all that was in its own); to NULL: out of it. */
int admin_link(struct db *db, const char *name, const char *to, const char *domain,
               struct err *err);
int admin_set_admin(struct db *db, const char *name, bool is_admin, const char *domain,
                    struct err *err);
/* A disabled one signs in no more, and what it holds is void. */
int admin_disable(struct db *db, const char *name, bool disabled, const char *domain,
                  struct err *err);
/* kind: "user" or "client", so that one command can't remove the other's. */
int admin_remove(struct db *db, const char *name, const char *kind, const char *domain,
                 struct err *err);
int admin_revoke(struct db *db, const char *name, const char *domain, struct err *err);

struct admin_client {
    const char *name;
    const char *link_to;       /* --as: joins this user's identity set */
    const char *secret_hash;   /* NULL: a native client, no secret */
    const char *redirect_uris; /* one a line; NULL: our own page only */
};
struct json_object *admin_client_add(struct db *db, const struct admin_client *client,
                                     const char *domain, struct err *err);
/* List of {client_id, name, kind, username, identity_set, disabled, created}. */
struct json_object *admin_clients(struct db *db, struct err *err);

#endif
