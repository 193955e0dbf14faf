/* Whose token is it?  The way of every Compute request: a hash, a look into the cache, and only for
 * a token that was not seen during the last seconds a read job of the ledger. */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "service/auth/private.h"

bool auth_who_is(const struct auth_who *who, const char *identity)
{
    if (strcmp(who->sub, identity) == 0)
        return true;
    size_t n = who->identity_set == NULL ? 0 : json_object_array_length(who->identity_set);
    for (size_t i = 0; i < n; i++) {
        const char *id = json_str_or(json_object_array_get_idx(who->identity_set, i), "sub", NULL);
        if (id != NULL && strcmp(id, identity) == 0)
            return true;
    }
    return false;
}

/* ---- a token to what it stands for ------------------------------------------------------------
 */

struct look_up {
    struct auth *a;
    char hash[SECRET_HASH_TEXT];
    char kind; /* SECRET_SESSION: of a browser */
    struct grant *grant;
    grant_f *then;
    void *arg;
};

static int look_up_job(struct db *db, void *arg, struct err *err)
{
    struct look_up *l = arg;
    grant_unref(l->grant); /* a run before this one may have found something */
    l->grant = NULL;
    int rc = l->kind == SECRET_SESSION ? grant_load_session(db, l->hash, auth_now(), &l->grant, err)
                                       : grant_load_token(db, l->hash, auth_now(), &l->grant, err);
    return rc < 0 ? -1 : 0;
}

static void look_up_done(void *arg, int rc, const struct err *err)
{
    struct look_up *l = arg;
    if (rc == 0)
        cache_put(l->a->cache, l->hash, l->grant, loop_now_us(l->a->loop));
    l->then(l->arg, rc == 0 ? l->grant : NULL, rc == 0 ? NULL : err);
    grant_unref(l->grant);
    free(l);
}

static bool is_expired(const struct grant *g)
{
    return g->expires <= auth_now();
}

void auth_look_up(struct auth *a, const char *token, grant_f *then, void *arg)
{
    if (!secret_is_formed(token, SECRET_ACCESS) && !secret_is_formed(token, SECRET_SESSION) &&
        !secret_is_formed(token, SECRET_REFRESH)) {
        then(arg, NULL, NULL);
        return;
    }
    char hash[SECRET_HASH_TEXT];
    struct grant *known = NULL;
    secret_hash(token, hash);
    if (cache_get(a->cache, hash, loop_now_us(a->loop), &known)) {
        if (known != NULL && is_expired(known))
            known = NULL;
        if (known != NULL)
            grant_ref(known); /* the callback may push it out of the cache */
        then(arg, known, NULL);
        grant_unref(known);
        return;
    }
    struct look_up *l = xcalloc(1, sizeof *l);
    *l = (struct look_up){.a = a, .kind = token[0], .then = then, .arg = arg};
    memcpy(l->hash, hash, sizeof hash);
    store_read(a->store, look_up_job, look_up_done, l);
}

/* ---- a request to who sends it ----------------------------------------------------------------
 */

struct ask {
    struct req *r;
    const char *server, *scope;
    bool compute; /* which form of error */
    auth_f *then;
};

static void refuse(struct ask *ask, int status, const char *code, const char *error,
                   const char *text)
{
    if (ask->compute)
        reply_error(ask->r, status, code, "%s", text);
    else
        oauth_refuse(ask->r, status, error, "%s", text);
}

static void asked(void *arg, struct grant *g, const struct err *err)
{
    struct ask *ask = arg;
    if (err != NULL && ask->compute) {
        static struct log_rate rate = LOG_RATE(5, 60);
        if (log_rate_ok(&rate))
            log_error("request=%s: the ledger did not answer: %s", req_id(ask->r), err->text);
        reply_error(ask->r, 503, "INTERNAL_ERROR",
                    "The service's ledger does not answer; try again in a moment");
    } else if (err != NULL) {
        oauth_ledger_failed(ask->r, err);
    } else if (g == NULL || g->kind != SECRET_ACCESS) {
        refuse(ask, 401, "INVALID_AUTH_TOKEN", "unauthorized",
               "The access token is unknown, expired or revoked; sign in again");
    } else if (strcmp(g->server, ask->server) != 0 ||
               (ask->scope != NULL && !scopes_has(g->scope, ask->scope))) {
        refuse(ask, 403, "INSUFFICIENT_AUTH_SCOPE", "insufficient_scope",
               "The access token was not given for this; sign in again with the scope that it "
               "needs");
    } else if (!req_is_over(ask->r)) {
        ask->then(ask->r, &g->who);
    }
    req_unref(ask->r);
    free(ask);
}

static void begin(struct auth *a, struct req *r, const char *server, const char *scope,
                  bool compute, auth_f *then)
{
    struct ask *ask = xcalloc(1, sizeof *ask);
    *ask = (struct ask){
        .r = req_ref(r), .server = server, .scope = scope, .compute = compute, .then = then};
    const char *token = req_bearer(r);
    if (token != NULL) {
        auth_look_up(a, token, asked, ask);
        return;
    }
    refuse(ask, 401, "USER_UNAUTHENTICATED", "unauthorized",
           "This request needs an access token: \"Authorization: Bearer ...\"");
    req_unref(r);
    free(ask);
}

void auth_compute(struct auth *a, struct req *r, auth_f *then)
{
    begin(a, r, AUTH_SERVER_COMPUTE, AUTH_SCOPE_COMPUTE, true, then);
}

void auth_own(struct auth *a, struct req *r, const char *scope, auth_f *then)
{
    begin(a, r, AUTH_SERVER_AUTH, scope, false, then);
}
