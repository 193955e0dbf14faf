/* Who may do what with an endpoint, beyond its owner and the `admins` of its registration:
 *
 *   use        submit, where only listed people may
 *   view       see how the site runs it, and its user endpoints
 *   operate    stop it remotely
 *   configure  register it anew, delete it
 *
 * Each includes those before it.  An endpoint that lists somebody for `use` serves listed people
 * only; the site's identity mapping decides in any case.  Groups are named lists of identities; a
 * function that is registered with a group's id may be run by its members.
 *
 * These functions run in a store job; `sallyport endpoint` and `sallyport group` call them too. */
#ifndef SALLYPORT_SERVICE_ACCESS_H
#define SALLYPORT_SERVICE_ACCESS_H

#include "lib/base/json.h"
#include "service/store/store.h"

enum access_role { ACCESS_NONE, ACCESS_USE, ACCESS_VIEW, ACCESS_OPERATE, ACCESS_CONFIGURE };

/* "use", ...; ACCESS_NONE for another word. */
enum access_role access_role_of(const char *word);

/* {identity: role as a number}, groups taken apart; *restricted: somebody is listed for `use`.
 * NULL with err. */
struct json_object *access_of_endpoint(struct db *db, const char *endpoint, bool *restricted,
                                       struct err *err);
/* {identity: 1} of a group's members; NULL with err. */
struct json_object *access_of_group(struct db *db, const char *group, struct err *err);
/* 1, 0 unknown, -1. */
int access_group_exists(struct db *db, const char *group, struct err *err);

/* ---- administration; who: an identity's or a group's id ---- */

/* ACCESS_NONE takes it away.  The endpoint has to be there. */
int access_set(struct db *db, const char *endpoint, const char *who, enum access_role role,
               struct err *err);
/* [{"who": name, "id", "kind": "user" or "group", "role"}] */
struct json_object *access_list(struct db *db, const char *endpoint, struct err *err);

/* The id of a group by its name; made when `make`.  0, or -1 with err. */
int access_group_id(struct db *db, const char *name, bool make, char id[37], struct err *err);
int access_group_member(struct db *db, const char *group, const char *identity, bool in,
                        struct err *err);
/* With its members and what it was allowed. */
int access_group_remove(struct db *db, const char *group, struct err *err);
/* [{"name", "id", "members": "a, b"}] */
struct json_object *access_groups(struct db *db, struct err *err);

#endif
