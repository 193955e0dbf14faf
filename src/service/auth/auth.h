/* Who is asking: sign-in and tokens, the subset of Globus Auth that clients need (spec: auth.md).
 *
 * Opaque tokens, kept as SHA-256 hashes; users and clients in the store or from another identity
 * source; several identities of one person form an identity set. */
#ifndef SALLYPORT_SERVICE_AUTH_H
#define SALLYPORT_SERVICE_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/uuid.h"
#include "service/http/server.h"
#include "service/store/store.h"

#define AUTH_SCOPE_COMPUTE "https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all"
#define AUTH_SERVER_COMPUTE "funcx_service"
#define AUTH_SERVER_AUTH "auth.globus.org"

struct auth;

struct auth_opts {
    struct store *store;
    struct loop *loop;
    const char *data_dir;       /* signing key of id tokens: 0600 in here */
    const char *public_url;     /* NULL: as the client called us */
    struct json_object *config; /* member "auth" of the service's configuration, or NULL */
};
struct auth *auth_create(const struct auth_opts *opts, struct err *err);
void auth_destroy(struct auth *a);
/* Its routes: /v2/oauth2/..., /v2/api/identities, projects, policies, the sign-in pages. */
const struct route *auth_routes(void); /* arg: the struct auth */

/* The person (or client) behind a token. Lives during the callback; json trees may be kept by
 * taking a reference. */
struct auth_who {
    char sub[UUID_TEXT]; /* effective identity */
    const char *username, *name, *email;
    const char *client_id;            /* the app that the token was given to */
    struct json_object *identity_set; /* list, each with id, sub, status "used", username, name,
                                       * email, organization, identity_provider,
                                       * identity_provider_display_name, identity_type,
                                       * last_authentication; never a null */
    struct json_object *session;      /* authentications: {identity: {idp, auth_time, acr, amr}} */
    bool is_admin;                    /* of this service */
};
bool auth_who_is(const struct auth_who *who, const char *identity); /* any of the set */

/* Checks the request's bearer token for the Compute scope; calls back now or later with who, or
 * answers 401/403 itself and calls nothing.  The request is kept alive meanwhile. */
typedef void auth_f(struct req *r, const struct auth_who *who);
void auth_compute(struct auth *a, struct req *r, auth_f *then);
/* The same for pages: by the session cookie; no session = redirect to the sign-in page (GET) or
 * 401.  Requests that change something must carry the session's CSRF token (header X-CSRF-Token or
 * form field csrf). */
void auth_page(struct auth *a, struct req *r, auth_f *then);
/* The CSRF token of the request's session, for a page to send back; only inside auth_page()'s
 * callback. */
#define AUTH_CSRF_TEXT 65
void auth_csrf(struct req *r, char out[AUTH_CSRF_TEXT]);

/* The service's pages, for those who show some. */
struct pages;
struct pages *auth_pages(struct auth *a);

/* Evaluates an authentication policy for who; 0, or -1 with the authorization_parameters object of
 * web-service.md 1.4 (the caller's). */
void auth_policy(struct auth *a, const char *policy_id, const struct auth_who *who,
                 void (*then)(void *arg, int rc, struct json_object *parameters), void *arg);

/* Broker passwords (amqp.md 9): the service makes them, the HTTP auth back end asks about them; a
 * principal is "ep.<endpoint id>" or "usr.<identity id>".  See service/broker. */

#endif
