/* The sign-in of a person in a terminal: authorization code with PKCE (spec: auth.md 4). */
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/api/private.h"
#include "lib/base/alloc.h"

#define CODE_MAX 1024
#define VERIFIER_BYTES 32
#define ID_TOKEN_MAX (64u << 10)

/* base64url without padding; caller frees. */
static char *base64url(const unsigned char *p, size_t n)
{
    char *text = xmalloc(4 * ((n + 2) / 3) + 1);
    int len = EVP_EncodeBlock((unsigned char *)text, p, (int)n);
    while (len > 0 && text[len - 1] == '=')
        text[--len] = '\0';
    for (char *c = text; *c; c++) {
        if (*c == '+')
            *c = '-';
        else if (*c == '/')
            *c = '_';
    }
    return text;
}

static char *make_verifier(void)
{
    unsigned char secret[VERIFIER_BYTES];
    if (RAND_bytes(secret, sizeof(secret)) != 1)
        abort();
    return base64url(secret, sizeof(secret));
}

static char *challenge_of(const char *verifier)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    if (EVP_Digest(verifier, strlen(verifier), digest, &n, EVP_sha256(), NULL) != 1)
        abort();
    return base64url(digest, n);
}

static char *authorize_url(const struct api *a, const char *redirect, const char *verifier)
{
    char host[256] = "this host";
    gethostname(host, sizeof(host) - 1);
    autofree char *challenge = challenge_of(verifier);
    autofree char *label = xasprintf("%s on %s", host, host);
    autobuf struct buf query = BUF_INIT;
    http_form_add(&query, "client_id", a->client_id);
    http_form_add(&query, "redirect_uri", redirect);
    http_form_add(&query, "scope", SCOPE_COMPUTE " " SCOPE_OPENID " " SCOPE_PROJECTS);
    http_form_add(&query, "state", "_default");
    http_form_add(&query, "response_type", "code");
    http_form_add(&query, "code_challenge", challenge);
    http_form_add(&query, "code_challenge_method", "S256");
    http_form_add(&query, "access_type", "offline");
    http_form_add(&query, "prefill_named_grant", label);
    return xasprintf("%sv2/oauth2/authorize?%s", a->auth_url, query.data);
}

/* Shows the address and reads the code, stripped; NULL at the end of input. */
static char *ask(const struct api *a, const char *url, FILE *in, FILE *out)
{
    const char *rule = &"-------------------------------------"[a->seed_prompt ? 1 : 0];
    fprintf(out, "%sPlease authenticate with Globus here:\n%s\n%s\n%s\n\n",
            a->seed_prompt ? "" : "\n", rule, url, rule);
    fprintf(out, "Enter the resulting Authorization Code here: ");
    fflush(out);
    char line[CODE_MAX];
    if (!fgets(line, sizeof(line), in))
        return NULL;
    char *start = line + strspn(line, " \t\r\n");
    size_t n = strlen(start);
    while (n > 0 && strchr(" \t\r\n", start[n - 1]))
        n--;
    char *code = xstrndup(start, n);
    explicit_bzero(line, sizeof(line));
    return code;
}

/* The `sub` of an id_token: caller frees, NULL when it has none.
 *
 * The token came straight from Auth over the connection that authenticates it, so its claims are
 * read without checking its signature (OpenID Connect Core 3.1.3.7, point 6). */
static char *login_identity(const char *id_token)
{
    const char *begin = strchr(id_token, '.');
    const char *end = begin ? strchr(begin + 1, '.') : NULL;
    if (!end || end - begin - 1 > (long)ID_TOKEN_MAX)
        return NULL;
    size_t n = (size_t)(end - begin - 1);
    size_t padded = (n + 3) / 4 * 4;
    autofree char *text = xmalloc(padded + 1);
    memset(text, '=', padded);
    text[padded] = '\0';
    memcpy(text, begin + 1, n);
    for (char *c = text; *c; c++) {
        if (*c == '-')
            *c = '+';
        else if (*c == '_')
            *c = '/';
    }
    autofree unsigned char *claims = xcalloc(1, padded + 1);
    int len = EVP_DecodeBlock(claims, (const unsigned char *)text, (int)padded);
    if (len <= 0)
        return NULL;
    size_t size = (size_t)len - (padded - n); /* DecodeBlock counts the padding as NULs */
    autojson struct json_object *doc =
        json_read((const char *)claims, size, ID_TOKEN_MAX, "id_token", NULL);
    return json_object_is_type(doc, json_type_object) ? xstrdup(json_str_or(doc, "sub", NULL))
                                                      : NULL;
}

/* Tokens of two identities in one namespace would make later calls act as one or the other. */
static int same_identity(struct api *a, const char *identity, struct api_fail *fail)
{
    json_object_object_foreach(a->tokens, server, token)
    {
        (void)server;
        const char *old = json_str_or(token, "identity_id", NULL);
        if (old && strcmp(old, identity) != 0)
            return fail_set(fail, API_AUTH,
                            "signed in as identity %s, but the stored credentials belong to %s; "
                            "run `globus-compute-endpoint logout` first",
                            identity, old);
    }
    return 0;
}

static int take_login(struct api *a, struct json_object *answer, struct api_fail *fail)
{
    const char *id_token = answer ? json_str_or(answer, "id_token", NULL) : NULL;
    autofree char *identity = id_token ? login_identity(id_token) : NULL;
    if (!identity)
        return fail_set(fail, API_ANSWER,
                        "the sign-in answer of Auth has no id_token that can "
                        "be read");
    if (same_identity(a, identity, fail) < 0)
        return -1;
    return tokens_take(a, answer, identity, fail);
}

static int exchange(struct api *a, const char *code, const char *redirect, const char *verifier,
                    struct api_fail *fail)
{
    autobuf struct buf form = BUF_INIT;
    autojson struct json_object *answer = NULL;
    autofree char *url = xasprintf("%sv2/oauth2/token", a->auth_url);
    http_form_add(&form, "client_id", a->client_id);
    http_form_add(&form, "grant_type", "authorization_code");
    http_form_add(&form, "code", code);
    http_form_add(&form, "code_verifier", verifier);
    http_form_add(&form, "redirect_uri", redirect);
    struct http_request req = {.method = "POST",
                               .url = url,
                               .content_type = "application/x-www-form-urlencoded",
                               .body = form.data,
                               .body_len = form.len};
    if (api_call(a, API_AUTH, &req, &answer, fail) < 0)
        return -1;
    return take_login(a, answer, fail);
}

int api_login(struct api *a, FILE *in, FILE *out, struct api_fail *fail)
{
    if (a->client_secret) {
        json_object_put(a->tokens);
        a->tokens = json_object_new_object();
        return api_tokens_ensure(a, fail);
    }
    autofree char *verifier = make_verifier();
    autofree char *redirect = xasprintf("%sv2/web/auth-code", a->auth_url);
    autofree char *url = authorize_url(a, redirect, verifier);
    autofree char *code = ask(a, url, in, out);
    if (!code)
        return fail_set(fail, API_SIGNIN, "Aborted!");
    return exchange(a, code, redirect, verifier, fail);
}

void api_prompt_style(struct api *a, bool seed)
{
    a->seed_prompt = seed;
}
