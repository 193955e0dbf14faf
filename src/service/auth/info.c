/* What Auth tells about people and about itself. */
#include <string.h>

#include "lib/base/alloc.h"
#include "service/auth/private.h"

#define IDS_MAX 100

/* ---- userinfo -------------------------------------------------------------------------------- */

static void userinfo(struct req *r, const struct auth_who *who)
{
    struct json_object *first = json_object_array_get_idx(who->identity_set, 0);
    static const char *const copied[] = {"name",
                                         "email",
                                         "organization",
                                         "identity_provider",
                                         "identity_provider_display_name",
                                         "last_authentication"};
    struct json_object *body = json_object_new_object();
    json_add_str(body, "sub", who->sub);
    json_add_str(body, "preferred_username", who->username);
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
        json_add(body, copied[i], json_object_get(json_at(first, copied[i])));
    json_add(body, "identity_set", json_object_get(who->identity_set));
    oauth_reply(r, body);
}

void auth_userinfo(struct req *r)
{
    auth_own(req_arg(r), r, SCOPE_OPENID, userinfo);
}

/* ---- identities ------------------------------------------------------------------------------ */

struct lookup {
    struct auth *a;
    struct req *r;
    bool by_name;
    char *list; /* ids or user names, separated by commas */
    struct json_object *found;
};

static void add(struct lookup *l, struct person *p)
{
    struct json_object *o = person_identity(p);
    json_object_object_del(o, "sub");
    json_object_object_del(o, "last_authentication");
    if (p->disabled)
        json_add_str(o, "status", "closed");
    json_object_array_add(l->found, o);
}

static int lookup_job(struct db *db, void *arg, struct err *err)
{
    struct lookup *l = arg;
    json_object_put(l->found);
    l->found = json_object_new_array();
    autofree char *words = xstrdup(l->list);
    char *save = NULL;
    unsigned n = 0;
    for (char *w = strtok_r(words, ",", &save); w != NULL && n < IDS_MAX;
         w = strtok_r(NULL, ",", &save), n++) {
        struct person p;
        char id[UUID_TEXT];
        autofree char *username = NULL;
        int rc = 0;
        if (!l->by_name && uuid_parse(w, id))
            rc = person_by_id(db, id, &p, err);
        else if (l->by_name && person_username(w, l->a->domain, &username, NULL) == 0)
            rc = person_by_username(db, username, &p, err);
        if (rc < 0)
            return -1;
        if (rc == 1) {
            add(l, &p);
            person_free(&p);
        }
    }
    return 0;
}

static void lookup_done(void *arg, int rc, const struct err *err)
{
    struct lookup *l = arg;
    if (rc != 0) {
        oauth_ledger_failed(l->r, err);
    } else {
        struct json_object *body = json_object_new_object();
        json_add(body, "identities", json_object_get(l->found));
        oauth_reply(l->r, body);
    }
    json_object_put(l->found);
    req_unref(l->r);
    free(l->list);
    free(l);
}

static void identities(struct req *r, const struct auth_who *who)
{
    const char *ids = req_query(r, "ids"), *names = req_query(r, "usernames");
    if ((ids == NULL) == (names == NULL)) {
        oauth_refuse(r, 400, "invalid_request",
                     "Give either ids or usernames, a list separated by commas.");
        return;
    }
    struct lookup *l = xcalloc(1, sizeof *l);
    l->a = req_arg(r);
    l->r = req_ref(r);
    l->by_name = names != NULL;
    l->list = xstrdup(ids != NULL ? ids : names);
    store_read(l->a->store, lookup_job, lookup_done, l);
}

void auth_identities(struct req *r)
{
    auth_own(req_arg(r), r, NULL, identities);
}

/* ---- about the service ------------------------------------------------------------------------
 */

static struct json_object *words(const char *const *list)
{
    struct json_object *o = json_object_new_array();
    for (; *list != NULL; list++)
        json_object_array_add(o, json_object_new_string(*list));
    return o;
}

static void add_link(struct json_object *o, const char *key, const char *base, const char *path)
{
    autofree char *url = xasprintf("%s%s", base, path);
    json_add_str(o, key, url);
}

void auth_openid_configuration(struct req *r)
{
    struct auth *a = req_arg(r);
    /* Links as the client called us: it has to reach them, whatever name others use. */
    const char *base = req_base_url(r);
    struct json_object *o = json_object_new_object();
    json_add_str(o, "issuer", auth_base_url(a, r));
    add_link(o, "authorization_endpoint", base, "/v2/oauth2/authorize");
    add_link(o, "userinfo_endpoint", base, "/v2/oauth2/userinfo");
    add_link(o, "token_endpoint", base, "/v2/oauth2/token");
    add_link(o, "revocation_endpoint", base, "/v2/oauth2/token/revoke");
    add_link(o, "introspection_endpoint", base, "/v2/oauth2/token/introspect");
    add_link(o, "jwks_uri", base, "/jwk.json");
    json_add(o, "response_types_supported", words((const char *const[]){"code", NULL}));
    json_add(o, "response_modes_supported", words((const char *const[]){"query", NULL}));
    json_add(o, "grant_types_supported",
             words((const char *const[]){"authorization_code", "refresh_token",
                                         "client_credentials", NULL}));
    json_add(o, "id_token_signing_alg_values_supported",
             words((const char *const[]){"RS512", NULL}));
    json_add(o, "scopes_supported",
             words((const char *const[]){SCOPE_OPENID, "profile", "email", SCOPE_PROJECTS,
                                         AUTH_SCOPE_COMPUTE, NULL}));
    json_add(
        o, "token_endpoint_auth_methods_supported",
        words((const char *const[]){"client_secret_basic", "client_secret_post", "none", NULL}));
    json_add(o, "code_challenge_methods_supported", words((const char *const[]){"S256", NULL}));
    json_add(o, "claims_supported",
             words((const char *const[]){"sub", "iss", "aud", "exp", "iat", "name", "email",
                                         "preferred_username", "organization", "identity_provider",
                                         "identity_provider_display_name", "last_authentication",
                                         "identity_set", NULL}));
    json_add(o, "subject_types_supported", words((const char *const[]){"public", NULL}));
    oauth_reply(r, o);
}

void auth_jwks(struct req *r)
{
    struct auth *a = req_arg(r);
    reply_header(r, "Cache-Control", "max-age=300");
    reply_json(r, 200, key_set(a->key));
}
