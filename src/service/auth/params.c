#include "service/auth/params.h"

#include <string.h>
#include <strings.h>

#include "lib/base/alloc.h"
#include "service/auth/pkce.h"
#include "service/auth/scopes.h"

#define VALUE_MAX 4096

static const char *const names[P_N] = {
    [P_CLIENT_ID] = "client_id",
    [P_REDIRECT_URI] = "redirect_uri",
    [P_SCOPE] = "scope",
    [P_STATE] = "state",
    [P_RESPONSE_TYPE] = "response_type",
    [P_ACCESS_TYPE] = "access_type",
    [P_CODE_CHALLENGE] = "code_challenge",
    [P_CODE_CHALLENGE_METHOD] = "code_challenge_method",
    [P_NONCE] = "nonce",
    [P_PROMPT] = "prompt",
    [P_SESSION_MESSAGE] = "session_message",
    [P_SESSION_REQUIRED_IDENTITIES] = "session_required_identities",
    [P_SESSION_REQUIRED_POLICIES] = "session_required_policies",
    [P_SESSION_REQUIRED_SINGLE_DOMAIN] = "session_required_single_domain",
    [P_SESSION_REQUIRED_MFA] = "session_required_mfa",
};

int params_read(struct req *r, struct params *out, struct err *err)
{
    for (int i = 0; i < P_N; i++) {
        const char *value = req_query(r, names[i]);
        if (value != NULL && strlen(value) > VALUE_MAX)
            return err_set(err, "%s is longer than %d bytes", names[i], VALUE_MAX);
        out->value[i] = xstrdup(value);
    }
    return 0;
}

void params_free(struct params *p)
{
    for (int i = 0; i < P_N; i++) {
        free(p->value[i]);
        p->value[i] = NULL;
    }
}

void params_encode(struct buf *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (const char *p = text; *p != '\0'; p++) {
        if (strchr(plain, *p) != NULL)
            buf_char(out, *p);
        else
            buf_fmt(out, "%%%02X", (unsigned)(unsigned char)*p);
    }
}

void params_write(const struct params *p, enum param without, struct buf *out)
{
    bool first = true;
    for (int i = 0; i < P_N; i++) {
        if (p->value[i] == NULL || i == (int)without)
            continue;
        buf_fmt(out, "%s%s=", first ? "" : "&", names[i]);
        params_encode(out, p->value[i]);
        first = false;
    }
}

/* ---- redirect URI ---------------------------------------------------------------------------- */

static bool is_listed(const char *uri, const char *list)
{
    size_t n = strlen(uri);
    for (const char *p = list; *p != '\0'; p += strspn(p, "\n")) {
        size_t line = strcspn(p, "\n");
        if (line == n && memcmp(p, uri, n) == 0)
            return true;
        p += line;
    }
    return false;
}

/* Does uri begin with base, and what follows? */
static const char *behind(const char *uri, const char *base)
{
    size_t n = base == NULL ? 0 : strlen(base);
    return n > 0 && strncasecmp(uri, base, n) == 0 ? uri + n : NULL;
}

/* "http://localhost:5000" and its like: names under which a client may know a service on its own
 * host, or behind http_proxy. */
static const char *behind_loopback(const char *uri)
{
    static const char *const hosts[] = {"http://localhost",  "http://127.0.0.1",  "http://[::1]",
                                        "https://localhost", "https://127.0.0.1", "https://[::1]"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        const char *rest = behind(uri, hosts[i]);
        if (rest == NULL)
            continue;
        if (*rest == ':')
            rest += 1 + strspn(rest + 1, "0123456789");
        return rest;
    }
    return NULL;
}

bool params_redirect_is_fine(const char *redirect_uri, const struct client *c, const char *base,
                             const char *public_url, bool *own)
{
    const char *rest[] = {behind(redirect_uri, base), behind(redirect_uri, public_url),
                          behind_loopback(redirect_uri)};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
        /* Without the slash: GLOBUS_SDK_SERVICE_URL_AUTH was set without its last one. */
        if (rest[i] != NULL &&
            (strcmp(rest[i], CODE_PAGE) == 0 || strcmp(rest[i], &CODE_PAGE[1]) == 0)) {
            *own = true;
            return true;
        }
    }
    *own = false;
    return is_listed(redirect_uri, c->redirect_uris);
}

/* ---- the rest -------------------------------------------------------------------------------- */

const char *params_judge(const struct params *p, const struct client *c, struct err *err)
{
    const char *challenge = p->value[P_CODE_CHALLENGE];
    const char *method = p->value[P_CODE_CHALLENGE_METHOD];
    const char *type = p->value[P_RESPONSE_TYPE];
    if (type == NULL || strcmp(type, "code") != 0) {
        err_set(err, "response_type has to be \"code\"");
        return "unsupported_response_type";
    }
    if (challenge == NULL && c->secret == NULL) {
        err_set(err, "code_challenge is missing; a program without a secret needs PKCE");
        return "invalid_request";
    }
    if (challenge != NULL && (method == NULL || strcmp(method, "S256") != 0)) {
        err_set(err, "code_challenge_method has to be \"S256\"");
        return "invalid_request";
    }
    if (challenge != NULL && !pkce_challenge_is_formed(challenge)) {
        err_set(err, "code_challenge is not a SHA-256 in base64url");
        return "invalid_request";
    }
    struct scopes scopes;
    int rc = scopes_parse(p->value[P_SCOPE], &scopes, err);
    scopes_free(&scopes);
    return rc == 0 ? NULL : "invalid_scope";
}
