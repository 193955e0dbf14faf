/* Any OpenID Connect provider: authorization code with PKCE, the id token checked against the
 * provider's published keys.
 *
 * Settings: `issuer`, `client_id`, `client_secret` or `client_secret_file`, `scope` (default
 * "openid profile email"), `username_claim` (default "preferred_username", else "email"), and
 * `domain`: the one whose names this provider may give ("*" = any: then it can name anybody, so
 * only for a provider that is trusted as much as the local table). The redirect URI to register
 * there: <this service>/v2/web/with/<name>/back. */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/http/http.h"
#include "service/auth/b64url.h"
#include "service/auth/jwt.h"
#include "service/auth/people.h"
#include "service/auth/secret.h"
#include "service/auth/source.h"

#include <openssl/evp.h>

#define TRIES 2
#define SECRET_FILE_MAX 4096

struct oidc {
    char *issuer, *client_id, *secret, *scope, *username_claim, *domain;
};

static void close_source(void *state)
{
    struct oidc *o = state;
    free(o->issuer);
    free(o->client_id);
    wipe_free(o->secret);
    free(o->scope);
    free(o->username_claim);
    free(o->domain);
    free(o);
}

static void *open_source(struct json_object *config, const char *domain, struct err *err)
{
    struct oidc *o = xcalloc(1, sizeof *o);
    const char *issuer = json_str_or(config, "issuer", NULL);
    const char *client_id = json_str_or(config, "client_id", NULL);
    const char *file = json_str_or(config, "client_secret_file", NULL);
    struct buf b = BUF_INIT;
    if (issuer == NULL || client_id == NULL ||
        (strncmp(issuer, "https://", 8) != 0 && strncmp(issuer, "http://", 7) != 0)) {
        err_set(err, "issuer (a URL) and client_id are needed");
        goto bad;
    }
    if (json_str_or(config, "domain", NULL) == NULL) {
        err_set(err, "domain is needed: whose user names may %s give? (\"*\" = any)", issuer);
        goto bad;
    }
    if (file != NULL && fs_read(file, SECRET_FILE_MAX, &b, err) != 0)
        goto bad;
    o->issuer = xstrdup(issuer);
    o->client_id = xstrdup(client_id);
    o->secret = file != NULL ? xstrndup(b.data == NULL ? "" : b.data,
                                        b.data == NULL ? 0 : strcspn(b.data, "\r\n"))
                             : xstrdup(json_str_or(config, "client_secret", NULL));
    o->scope = xstrdup(json_str_or(config, "scope", "openid profile email"));
    o->username_claim = xstrdup(json_str_or(config, "username_claim", "preferred_username"));
    o->domain = xstrdup(domain);
    buf_free(&b);
    return o;
bad:
    buf_free(&b);
    close_source(o);
    return NULL;
}

/* A JSON object from the provider. */
static struct json_object *fetch(struct http *h, const struct http_request *request,
                                 const char *what, struct err *err)
{
    struct http_response answer = {.status = 0};
    struct json_object *o = NULL;
    if (http_send(h, request, &answer, err) != 0)
        err_prefix(err, "%s", what);
    else if (answer.status != 200)
        err_set(err, "%s: %s answered %d: %.200s", what, request->url, answer.status,
                answer.body.data == NULL ? "" : answer.body.data);
    else
        o = json_read(answer.body.data, answer.body.len, HTTP_BODY_MAX, what, err);
    http_response_free(&answer);
    if (o != NULL && !json_object_is_type(o, json_type_object)) {
        err_set(err, "%s: %s answered %s, not an object", what, request->url, json_kind(o));
        json_object_put(o);
        o = NULL;
    }
    return o;
}

/* The provider's own description; its issuer must be the one that we were told. */
static struct json_object *discover(struct oidc *o, struct http *h, struct err *err)
{
    size_t n = strlen(o->issuer);
    autofree char *url = xasprintf("%.*s/.well-known/openid-configuration",
                                   (int)(n > 0 && o->issuer[n - 1] == '/' ? n - 1 : n), o->issuer);
    struct json_object *d =
        fetch(h, &(struct http_request){.method = "GET", .url = url, .tries = TRIES},
              "the provider's configuration", err);
    if (d != NULL && strcmp(json_str_or(d, "issuer", ""), o->issuer) != 0) {
        err_set(err, "%s says that its issuer is \"%.200s\"; auth.sources says \"%s\"", url,
                json_str_or(d, "issuer", ""), o->issuer);
        json_object_put(d);
        d = NULL;
    }
    return d;
}

static void add_challenge(struct buf *b, const char *verifier)
{
    unsigned char digest[32];
    struct buf text = BUF_INIT;
    EVP_Digest(verifier, strlen(verifier), digest, NULL, EVP_sha256(), NULL);
    b64url_add(&text, digest, sizeof digest);
    http_form_add(b, "code_challenge", text.data);
    http_form_add(b, "code_challenge_method", "S256");
    buf_free(&text);
}

static int begin(void *state, const struct flow *f, struct buf *url, struct err *err)
{
    struct oidc *o = state;
    struct http *h = http_create("sallyport");
    autojson struct json_object *d = discover(o, h, err);
    http_destroy(h);
    const char *endpoint = json_str_or(d, "authorization_endpoint", NULL);
    if (d == NULL)
        return -1;
    if (endpoint == NULL)
        return err_set(err, "the provider %s names no authorization_endpoint", o->issuer);
    struct buf form = BUF_INIT;
    http_form_add(&form, "response_type", "code");
    http_form_add(&form, "client_id", o->client_id);
    http_form_add(&form, "redirect_uri", f->redirect_uri);
    http_form_add(&form, "scope", o->scope);
    http_form_add(&form, "state", f->state);
    http_form_add(&form, "nonce", f->nonce);
    add_challenge(&form, f->verifier);
    if (f->fresh)
        http_form_add(&form, "prompt", "login");
    buf_fmt(url, "%s%c%s", endpoint, strchr(endpoint, '?') != NULL ? '&' : '?', form.data);
    buf_free(&form);
    return 0;
}

/* The id token for the code; NULL with err. */
static struct json_object *exchange(struct oidc *o, struct http *h, struct json_object *d,
                                    const struct flow *f, const char *code, struct err *err)
{
    const char *endpoint = json_str_or(d, "token_endpoint", NULL);
    if (endpoint == NULL) {
        err_set(err, "the provider %s names no token_endpoint", o->issuer);
        return NULL;
    }
    struct buf form = BUF_INIT;
    http_form_add(&form, "grant_type", "authorization_code");
    http_form_add(&form, "code", code);
    http_form_add(&form, "redirect_uri", f->redirect_uri);
    http_form_add(&form, "code_verifier", f->verifier);
    if (o->secret == NULL)
        http_form_add(&form, "client_id", o->client_id);
    struct http_request request = {.method = "POST",
                                   .url = endpoint,
                                   .basic_user = o->secret == NULL ? NULL : o->client_id,
                                   .basic_password = o->secret,
                                   .content_type = "application/x-www-form-urlencoded",
                                   .body = form.data,
                                   .body_len = form.len,
                                   .tries = 1};
    struct json_object *answer = fetch(h, &request, "the provider's token endpoint", err);
    buf_free(&form);
    return answer;
}

static char *or_null(struct json_object *claims, const char *key)
{
    const char *s = json_str_or(claims, key, NULL);
    return s == NULL || strlen(s) > PEOPLE_TEXT_MAX ? NULL : xstrdup(s);
}

static int to_claim(struct oidc *o, struct json_object *claims, struct claim *out, struct err *err)
{
    const char *sub = json_str_or(claims, "sub", NULL);
    const char *username = json_str_or(claims, o->username_claim, NULL);
    if (username == NULL)
        username = json_str_or(claims, "email", sub);
    if (sub == NULL || strlen(sub) > PEOPLE_TEXT_MAX)
        return err_set(err, "the provider's id token has no usable sub");
    bool any = strcmp(o->domain, "*") == 0;
    if (any && strchr(username, '@') == NULL)
        return err_set(err, "the provider calls the person \"%.100s\", without a domain", username);
    if (person_username(username, o->domain, &out->username, err) != 0)
        return err_prefix(err, "the provider's id token");
    if (!any && strcmp(strchr(out->username, '@') + 1, o->domain) != 0)
        return err_set(err, "the provider may name people of %s only, not %s", o->domain,
                       out->username);
    out->subject = xstrdup(sub);
    out->name = or_null(claims, "name");
    out->email = or_null(claims, "email");
    out->organization = or_null(claims, "organization");
    out->acr = or_null(claims, "acr");
    struct json_object *amr = json_at(claims, "amr");
    out->amr =
        json_object_is_type(amr, json_type_array) ? json_object_get(amr) : json_object_new_array();
    struct json_object *at = json_at(claims, "auth_time");
    if (json_object_is_type(at, json_type_int))
        out->auth_time = json_object_get_int64(at);
    return 0;
}

static int finish(void *state, const struct flow *f, const char *code, struct claim *out,
                  struct err *err)
{
    struct oidc *o = state;
    struct http *h = http_create("sallyport");
    struct json_object *d = discover(o, h, err), *answer = NULL, *jwks = NULL, *claims = NULL;
    int rc = -1;
    if (d == NULL || (answer = exchange(o, h, d, f, code, err)) == NULL)
        goto out;
    const char *id_token = json_str_or(answer, "id_token", NULL);
    const char *jwks_uri = json_str_or(d, "jwks_uri", NULL);
    if (id_token == NULL || jwks_uri == NULL) {
        err_set(err, "the provider %s gave no %s", o->issuer,
                id_token == NULL ? "id token (is openid in scope?)" : "jwks_uri");
        goto out;
    }
    jwks = fetch(h, &(struct http_request){.method = "GET", .url = jwks_uri, .tries = TRIES},
                 "the provider's keys", err);
    if (jwks == NULL || (claims = jwt_verify(id_token, jwks, err)) == NULL)
        goto out;
    rc = jwt_claims_check(claims, o->issuer, o->client_id, f->nonce, (int64_t)clock_unix(), err);
    if (rc == 0)
        rc = to_claim(o, claims, out, err);
out:
    json_object_put(d);
    json_object_put(answer);
    json_object_put(jwks);
    json_object_put(claims);
    http_destroy(h);
    return rc;
}

const struct source_kind source_oidc = {
    .kind = "oidc", .open = open_source, .close = close_source, .begin = begin, .finish = finish};
