/* The token endpoint, revocation and introspection.
 *
 *     request → auth_client() → a store job → [signature on a worker] → reply
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "service/auth/jwt.h"
#include "service/auth/private.h"

enum grant_type { BY_CODE, BY_REFRESH, BY_CLIENT, N_TYPES };
static const char *const type_names[N_TYPES] = {"authorization_code", "refresh_token",
                                                "client_credentials"};

/* One request under way. */
struct ticket {
    struct auth *a;
    struct req *r;
    enum grant_type type;
    char client[UUID_TEXT];
    char *secret; /* the code or the refresh token */
    char *redirect_uri, *verifier, *scope;
    struct scopes scopes;
    struct issued issued;
    struct json_object *identity; /* for the id token */
    int64_t signed_in;
    char *issuer, *id_token;
};

static void ticket_free(void *arg)
{
    struct ticket *t = arg;
    req_unref(t->r);
    wipe_free(t->secret);
    free(t->redirect_uri);
    wipe_free(t->verifier);
    free(t->scope);
    scopes_free(&t->scopes);
    issued_free(&t->issued);
    json_object_put(t->identity);
    free(t->issuer);
    wipe_free(t->id_token);
    free(t);
}

/* ---- id token -------------------------------------------------------------------------------- */

static void sign_job(void *arg)
{
    struct ticket *t = arg;
    static const char *const copied[] = {"name",
                                         "email",
                                         "organization",
                                         "identity_provider",
                                         "identity_provider_display_name",
                                         "last_authentication"};
    int64_t now = auth_now();
    struct json_object *claims = json_object_new_object();
    json_add_str(claims, "iss", t->issuer);
    json_add_str(claims, "sub", t->issued.sub);
    json_add_str(claims, "aud", t->client);
    json_add_int(claims, "iat", now);
    json_add_int(claims, "exp", now + t->a->life.access_s);
    if (t->issued.nonce != NULL)
        json_add_str(claims, "nonce", t->issued.nonce);
    json_add_str(claims, "preferred_username", json_str_or(t->identity, "username", ""));
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
        struct json_object *value = json_at(t->identity, copied[i]);
        if (value != NULL)
            json_add(claims, copied[i], json_object_get(value));
    }
    t->id_token = jwt_sign(key_private(t->a->key), key_id(t->a->key), claims);
    json_object_put(claims);
}

static void answer(void *arg)
{
    struct ticket *t = arg;
    if (t->issued.openid && t->id_token == NULL) {
        log_error("request=%s: OpenSSL could not sign an id token", req_id(t->r));
        oauth_refuse(t->r, 503, "temporarily_unavailable", "The id token could not be signed.");
    } else {
        if (t->id_token != NULL)
            json_add_str(t->issued.reply, "id_token", t->id_token);
        oauth_reply(t->r, json_object_get(t->issued.reply));
    }
    ticket_free(t);
}

/* ---- the grants ------------------------------------------------------------------------------ */

static int grant_job(struct db *db, void *arg, struct err *err)
{
    struct ticket *t = arg;
    const struct lifetimes *life = &t->a->life;
    int64_t now = auth_now();
    int rc = -1;
    switch (t->type) {
    case BY_CODE:
        rc = tokens_code_redeem(db, t->secret, t->client, t->redirect_uri, t->verifier, now, life,
                                &t->issued, err);
        break;
    case BY_REFRESH:
        rc = tokens_refresh(db, t->secret, t->client, t->scope, now, life, &t->issued, err);
        break;
    case BY_CLIENT:
        rc = tokens_for_client(db, t->client, &t->scopes, now, life, &t->issued, err);
        break;
    case N_TYPES:
        break;
    }
    if (rc != 0 || t->issued.refusal.error != NULL || !t->issued.openid)
        return rc;
    struct person p;
    rc = person_by_id(db, t->issued.sub, &p, err);
    json_object_put(t->identity);
    t->identity = rc == 1 ? person_identity(&p) : NULL;
    person_free(&p);
    return rc < 0 ? -1 : 0;
}

static void granted(void *arg, int rc, const struct err *err)
{
    struct ticket *t = arg;
    struct issued *i = &t->issued;
    if (rc != 0) {
        oauth_ledger_failed(t->r, err);
        ticket_free(t);
        return;
    }
    if (i->refusal.error != NULL) {
        if (i->family[0] != '\0')
            cache_forget_family(t->a->cache, i->family, NULL);
        oauth_refuse(t->r, 400, i->refusal.error, "%s", i->refusal.reason);
        ticket_free(t);
        return;
    }
    log_info("event=token grant=%s identity=%s client=%s peer=%s", type_names[t->type], i->sub,
             t->client, req_peer(t->r));
    if (!i->openid) {
        answer(t);
    } else {
        t->issuer = xstrdup(auth_base_url(t->a, t->r));
        if (!work_do(t->a->work, sign_job, answer, t)) {
            /* The tokens are made: better a millisecond on the loop than a lost sign-in. */
            sign_job(t);
            answer(t);
        }
    }
}

static void with_client(void *arg, const struct client *c)
{
    struct ticket *t = arg;
    memcpy(t->client, c->id, UUID_TEXT);
    store_write(t->a->store, grant_job, granted, t);
}

static const char *missing(const struct ticket *t)
{
    if (t->type == BY_CODE && t->secret == NULL)
        return "code";
    if (t->type == BY_CODE && t->redirect_uri == NULL)
        return "redirect_uri";
    return t->type == BY_REFRESH && t->secret == NULL ? "refresh_token" : NULL;
}

void auth_token(struct req *r)
{
    struct auth *a = req_arg(r);
    const char *type = req_form(r, "grant_type");
    unsigned k = 0;
    while (type != NULL && k < N_TYPES && strcmp(type, type_names[k]) != 0)
        k++;
    if (type == NULL || k == N_TYPES) {
        oauth_refuse(r, 400, type == NULL ? "invalid_request" : "unsupported_grant_type",
                     "grant_type has to be authorization_code, refresh_token or "
                     "client_credentials, in a form body.");
        return;
    }
    struct ticket *t = xcalloc(1, sizeof *t);
    t->a = a;
    t->r = req_ref(r);
    t->type = (enum grant_type)k;
    t->secret = xstrdup(req_form(r, t->type == BY_CODE ? "code" : "refresh_token"));
    t->redirect_uri = xstrdup(req_form(r, "redirect_uri"));
    t->verifier = xstrdup(req_form(r, "code_verifier"));
    t->scope = xstrdup(req_form(r, "scope"));
    struct err err = ERR_INIT;
    if (missing(t) != NULL) {
        oauth_refuse(r, 400, "invalid_request", "%s is missing.", missing(t));
        ticket_free(t);
    } else if (t->type == BY_CLIENT && scopes_parse(t->scope, &t->scopes, &err) != 0) {
        oauth_refuse(r, 400, "invalid_scope", "%s.", err.text);
        ticket_free(t);
    } else {
        auth_client(a, r, t->type == BY_CLIENT, with_client, t, ticket_free);
    }
}

/* ---- revocation ------------------------------------------------------------------------------ */

struct revocation {
    struct auth *a;
    struct req *r;
    char *token;
    char client[UUID_TEXT], family[UUID_TEXT];
};

static void revocation_free(void *arg)
{
    struct revocation *v = arg;
    req_unref(v->r);
    wipe_free(v->token);
    free(v);
}

static int revoke_job(struct db *db, void *arg, struct err *err)
{
    struct revocation *v = arg;
    return tokens_revoke(db, v->token, v->client, v->family, err);
}

static void revoked(void *arg, int rc, const struct err *err)
{
    struct revocation *v = arg;
    if (rc != 0) {
        oauth_ledger_failed(v->r, err);
    } else {
        if (v->family[0] != '\0')
            cache_forget_family(v->a->cache, v->family, NULL);
        struct json_object *body = json_object_new_object();
        json_add_bool(body, "active", false);
        oauth_reply(v->r, body);
    }
    revocation_free(v);
}

static void revoke_for(void *arg, const struct client *c)
{
    struct revocation *v = arg;
    memcpy(v->client, c->id, UUID_TEXT);
    store_write(v->a->store, revoke_job, revoked, v);
}

void auth_revoke(struct req *r)
{
    const char *token = req_form(r, "token");
    if (token == NULL) {
        oauth_refuse(r, 400, "invalid_request", "token is missing in the form body.");
        return;
    }
    struct revocation *v = xcalloc(1, sizeof *v);
    *v = (struct revocation){.a = req_arg(r), .r = req_ref(r), .token = xstrdup(token)};
    auth_client(v->a, r, false, revoke_for, v, revocation_free);
}

/* ---- introspection ----------------------------------------------------------------------------
 */

struct introspection {
    struct auth *a;
    struct req *r;
    char *token;
    char client[UUID_TEXT];
};

static void introspection_free(void *arg)
{
    struct introspection *i = arg;
    req_unref(i->r);
    wipe_free(i->token);
    free(i);
}

static void describe(struct introspection *i, const struct grant *g, struct json_object *body)
{
    const char *include = req_form(i->r, "include");
    json_add_str(body, "token_type", "Bearer");
    json_add_str(body, "scope", g->scope);
    json_add_str(body, "client_id", g->who.client_id);
    json_add_str(body, "username", g->who.username);
    json_add_str(body, "name", g->who.name);
    json_add_str(body, "email", g->who.email);
    json_add_str(body, "sub", g->who.sub);
    json_add_int(body, "exp", g->expires);
    json_add_int(body, "iat", g->issued);
    json_add_int(body, "nbf", g->issued);
    json_add_str(body, "iss", auth_base_url(i->a, i->r));
    struct json_object *aud = json_object_new_array();
    json_object_array_add(aud, json_object_new_string(g->server));
    json_add(body, "aud", aud);
    if (include == NULL)
        return;
    if (strstr(include, "session_info") != NULL) {
        struct json_object *info = json_object_new_object();
        json_add(info, "authentications", json_object_get(g->who.session));
        json_add(body, "session_info", info);
    }
    if (strstr(include, "identity_set_detail") != NULL)
        json_add(body, "identity_set_detail", json_object_get(g->who.identity_set));
    if (strstr(include, "identity_set") != NULL) {
        struct json_object *ids = json_object_new_array();
        size_t n = json_object_array_length(g->who.identity_set);
        for (size_t k = 0; k < n; k++)
            json_object_array_add(
                ids, json_object_new_string(json_str_or(
                         json_object_array_get_idx(g->who.identity_set, k), "sub", "")));
        json_add(body, "identity_set", ids);
    }
}

static void introspected(void *arg, struct grant *g, const struct err *err)
{
    struct introspection *i = arg;
    if (err != NULL) {
        oauth_ledger_failed(i->r, err);
    } else {
        /* A client learns about its own tokens only; those of others don't exist for it. */
        bool active = g != NULL && g->kind != SECRET_SESSION && g->who.client_id != NULL &&
                      strcmp(g->who.client_id, i->client) == 0;
        struct json_object *body = json_object_new_object();
        json_add_bool(body, "active", active);
        if (active)
            describe(i, g, body);
        oauth_reply(i->r, body);
    }
    introspection_free(i);
}

static void introspect_for(void *arg, const struct client *c)
{
    struct introspection *i = arg;
    memcpy(i->client, c->id, UUID_TEXT);
    auth_look_up(i->a, i->token, introspected, i);
}

void auth_introspect(struct req *r)
{
    const char *token = req_form(r, "token");
    if (token == NULL) {
        oauth_refuse(r, 400, "invalid_request", "token is missing in the form body.");
        return;
    }
    struct introspection *i = xcalloc(1, sizeof *i);
    *i = (struct introspection){.a = req_arg(r), .r = req_ref(r), .token = xstrdup(token)};
    auth_client(i->a, r, true, introspect_for, i, introspection_free);
}
