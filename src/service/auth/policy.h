/* Authentication policies: which sign-ins an endpoint accepts (auth.md 6.4, web-service.md 1.4).
 *
 * A policy may ask for a domain among the person's identities, for a second factor, and for a
 * sign-in that is not older than so many seconds.  Policies are never changed after they are made.
 */
#ifndef SALLYPORT_AUTH_POLICY_H
#define SALLYPORT_AUTH_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "service/store/store.h"

/* Checks and cleans a policy of a request: the document to keep, or NULL with err. */
struct json_object *policy_read(struct json_object *policy, struct err *err);
/* The document of an id: 1, 0 unknown, -1. */
int policy_load(struct db *db, const char *id, struct json_object **out, struct err *err);

/* Pure.  0 = satisfied, -1 with the authorization_parameters in *parameters (the caller's). */
int policy_evaluate(struct json_object *document, const char *id, struct json_object *identity_set,
                    struct json_object *session, int64_t now, struct json_object **parameters);
/* "example.org" or "*.example.org" against the domain of a user name. */
bool policy_domain_fits(const char *pattern, const char *username);
bool policy_has_mfa(struct json_object *authentication);

#endif
