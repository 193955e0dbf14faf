/* Tokens: from an answer into the set, from the set into requests, renewed before they end.
 *
 * The set is {resource server: token data}, in the shape of the Python package's store, so that
 * both programs share sign-ins.  (spec: auth.md 3 to 5) */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/api/private.h"
#include "lib/base/alloc.h"

#define EXPIRY_SLACK_S 60

static const char *const servers[] = {API_COMPUTE_SERVER, API_AUTH_SERVER};
#define SERVERS (sizeof(servers) / sizeof(servers[0]))

/* What is asked for at that resource server. */
static const char *tokens_scope(const char *server)
{
    return strcmp(server, API_AUTH_SERVER) == 0 ? SCOPE_OPENID " " SCOPE_PROJECTS : SCOPE_COMPUTE;
}

static struct json_object *token_of(struct api *a, const char *server)
{
    struct json_object *token = NULL;
    json_object_object_get_ex(a->tokens, server, &token); /* not json_at: the name has dots */
    return token;
}

/* One token of an answer, in the shape of the store; NULL when it is no token. */
static struct json_object *token_data(struct json_object *from, const char *identity_id,
                                      struct json_object *old)
{
    static const char *const texts[] = {"resource_server", "scope", "access_token", "token_type"};
    struct json_object *to = json_object_new_object();
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *value = json_str_or(from, texts[i], NULL);
        if (!value) {
            json_object_put(to);
            return NULL;
        }
        json_add_str(to, texts[i], value);
    }
    int64_t lifetime = 0;
    if (json_get_int(from, "expires_in", &lifetime, NULL) < 0 || lifetime < 0)
        lifetime = 0;
    json_add_int(to, "expires_at_seconds", (int64_t)time(NULL) + lifetime);
    const char *refresh = json_str_or(from, "refresh_token", NULL);
    if (refresh)
        json_add_str(to, "refresh_token", refresh);
    if (!identity_id && old)
        identity_id = json_str_or(old, "identity_id", NULL);
    if (identity_id)
        json_add_str(to, "identity_id", identity_id);
    return to;
}

static int take_one(struct api *a, struct json_object *from, const char *identity_id,
                    struct api_fail *fail)
{
    const char *server = json_str_or(from, "resource_server", "");
    struct json_object *data = token_data(from, identity_id, token_of(a, server));
    if (!data)
        return fail_set(fail, API_ANSWER,
                        "the token answer of Auth lacks resource_server, scope, access_token or "
                        "token_type");
    json_object_object_add(a->tokens, server, data);
    return 0;
}

int tokens_take(struct api *a, struct json_object *answer, const char *identity_id,
                struct api_fail *fail)
{
    struct err err = ERR_INIT;
    if (!json_object_is_type(answer, json_type_object))
        return fail_set(fail, API_ANSWER, "the token answer of Auth is not a JSON object");
    if (take_one(a, answer, identity_id, fail) < 0)
        return -1;
    struct json_object *others = json_at(answer, "other_tokens");
    size_t n = json_object_is_type(others, json_type_array) ? json_object_array_length(others) : 0;
    for (size_t i = 0; i < n; i++)
        if (take_one(a, json_object_array_get_idx(others, i), identity_id, fail) < 0)
            return -1;
    if (a->store && token_store_save(a->store, a->namespace, a->tokens, &err) < 0)
        return fail_set(fail, API_ANSWER, "%s", err.text);
    return 0;
}

/* POST of a grant to the token route; a client app signs with its secret. */
static int grant(struct api *a, struct buf *form, struct api_fail *fail)
{
    autojson struct json_object *answer = NULL;
    autofree char *url = xasprintf("%sv2/oauth2/token", a->auth_url);
    struct http_request req = {.method = "POST",
                               .url = url,
                               .basic_user = a->client_secret ? a->client_id : NULL,
                               .basic_password = a->client_secret,
                               .content_type = "application/x-www-form-urlencoded",
                               .body = form->data,
                               .body_len = form->len};
    int rc = api_call(a, API_AUTH, &req, &answer, fail);
    if (rc == 0)
        rc = tokens_take(a, answer, NULL, fail);
    explicit_bzero(form->data, form->len);
    return rc;
}

static int renew(struct api *a, const char *server, struct json_object *token,
                 struct api_fail *fail)
{
    autobuf struct buf form = BUF_INIT;
    if (a->client_secret) {
        http_form_add(&form, "grant_type", "client_credentials");
        http_form_add(&form, "scope", tokens_scope(server));
        return grant(a, &form, fail);
    }
    const char *refresh = token ? json_str_or(token, "refresh_token", NULL) : NULL;
    if (!refresh)
        return fail_set(fail, API_SIGNIN,
                        "no credentials for %s are stored; sign in with "
                        "`globus-compute-endpoint login`",
                        server);
    http_form_add(&form, "refresh_token", refresh);
    http_form_add(&form, "grant_type", "refresh_token");
    http_form_add(&form, "client_id", a->client_id);
    return grant(a, &form, fail);
}

static bool is_valid(struct json_object *token)
{
    int64_t ends = 0;
    return token && json_get_int(token, "expires_at_seconds", &ends, NULL) == 0 &&
           ends - EXPIRY_SLACK_S > (int64_t)time(NULL);
}

const char *tokens_access(struct api *a, const char *server, bool fresh, struct api_fail *fail)
{
    struct json_object *token = token_of(a, server);
    if ((fresh || !is_valid(token)) && renew(a, server, token, fail) < 0)
        return NULL;
    token = token_of(a, server);
    const char *access = token ? json_str_or(token, "access_token", NULL) : NULL;
    if (!access)
        fail_set(fail, API_ANSWER, "Auth gave no token for %s", server);
    return access;
}

/* `scope` holds every word of `wanted`. */
static bool has_scopes(const char *scope, const char *wanted)
{
    autofree char *words = xstrdup(wanted);
    char *rest = NULL;
    for (char *w = strtok_r(words, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
        size_t n = strlen(w);
        const char *at = scope;
        while ((at = strstr(at, w)) && ((at != scope && at[-1] != ' ') || (at[n] && at[n] != ' ')))
            at += n;
        if (!at)
            return false;
    }
    return true;
}

bool api_signed_in(struct api *a)
{
    if (a->client_secret)
        return true;
    for (size_t i = 0; i < SERVERS; i++) {
        struct json_object *token = token_of(a, servers[i]);
        if (!token || !json_str_or(token, "refresh_token", NULL) ||
            !has_scopes(json_str_or(token, "scope", ""), tokens_scope(servers[i])))
            return false;
    }
    return true;
}

int api_tokens_ensure(struct api *a, struct api_fail *fail)
{
    for (size_t i = 0; i < SERVERS; i++)
        if (!tokens_access(a, servers[i], false, fail))
            return -1;
    return 0;
}

struct json_object *api_tokens_export(struct api *a)
{
    struct json_object *out = json_object_new_object();
    json_add_str(out, "namespace", a->namespace);
    json_add_str(out, "client_id", a->client_id);
    if (a->client_secret)
        json_add_str(out, "client_secret", a->client_secret);
    json_add(out, "tokens", json_object_get(a->tokens));
    return out;
}

int api_tokens_import(struct api *a, struct json_object *tokens, struct err *err)
{
    struct json_object *set = NULL;
    const char *client_id = NULL;
    if (json_get_obj(tokens, "tokens", &set, err) < 0 ||
        json_get_str(tokens, "client_id", &client_id, err) < 0)
        return err_prefix(err, "handed-over tokens");
    const char *namespace = json_str_or(tokens, "namespace", a->namespace);
    const char *secret = json_str_or(tokens, "client_secret", NULL);
    char *copy = xstrdup(namespace);
    free(a->namespace);
    a->namespace = copy;
    copy = xstrdup(client_id);
    free(a->client_id);
    a->client_id = copy;
    wipe_free(a->client_secret);
    a->client_secret = xstrdup(secret);
    json_object_put(a->tokens);
    a->tokens = json_object_get(set);
    return 0;
}

int api_store_open(struct api *a, const char *base_dir, struct err *err)
{
    a->store = token_store_open(base_dir, err);
    if (!a->store)
        return -1;
    struct json_object *set = token_store_load(a->store, a->namespace, err);
    if (!set)
        return -1;
    json_object_put(a->tokens);
    a->tokens = set;
    return 0;
}

/* Auth answers the same for a token that it never knew; a failure of one does not stop the rest. */
static void revoke(struct api *a, const char *token)
{
    struct api_fail fail;
    autobuf struct buf form = BUF_INIT;
    autojson struct json_object *answer = NULL;
    autofree char *url = xasprintf("%sv2/oauth2/token/revoke", a->auth_url);
    http_form_add(&form, "token", token);
    if (!a->client_secret)
        http_form_add(&form, "client_id", a->client_id);
    struct http_request req = {.method = "POST",
                               .url = url,
                               .basic_user = a->client_secret ? a->client_id : NULL,
                               .basic_password = a->client_secret,
                               .content_type = "application/x-www-form-urlencoded",
                               .body = form.data,
                               .body_len = form.len,
                               .tries = 2};
    api_call(a, API_AUTH, &req, &answer, &fail);
}

int api_logout(struct api *a, struct api_fail *fail)
{
    struct err err = ERR_INIT;
    json_object_object_foreach(a->tokens, server, token)
    {
        (void)server;
        const char *access = json_str_or(token, "access_token", NULL);
        const char *refresh = json_str_or(token, "refresh_token", NULL);
        if (access)
            revoke(a, access);
        if (refresh)
            revoke(a, refresh);
    }
    json_object_put(a->tokens);
    a->tokens = json_object_new_object();
    if (a->store && token_store_clear(a->store, a->namespace, &err) < 0)
        return fail_set(fail, API_ANSWER, "%s", err.text);
    return 0;
}
