/* The authorize page: a person signs in for a program and gets a code to paste into it.
 *
 *     GET   who is the client, where may we return to?     error page
 *           what is wrong with the rest?                   back with error=...
 *           signed in already?                             "Continue as ..." / sign-in form
 *     POST  sign in, or continue → demands of the request → code → back with code=...
 *
 * The request's parameters stay in the address of the form, so a POST is judged as the GET was. */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "service/auth/demands.h"
#include "service/auth/params.h"
#include "service/auth/private.h"
#include "service/auth/signin.h"

#define WORDS_MAX 16

struct visit {
    struct auth *a;
    struct req *r;
    struct params params;
    struct client client;
    int found;     /* client_by_id() */
    bool own_page; /* the code is shown by us */
    bool post;
    /* who: the cookie that the code is made for */
    char session[SECRET_TEXT];
    bool fresh; /* signed in by this very request */
    char *username;
    /* what the code job found */
    struct err unmet;
    bool gone;
    char code[SECRET_TEXT];
};

static void visit_free(struct visit *v)
{
    req_unref(v->r);
    params_free(&v->params);
    client_free(&v->client);
    memset(v->session, 0, sizeof v->session);
    free(v->username);
    free(v);
}

/* ---- pages ----------------------------------------------------------------------------------- */

static void wrong_link(struct visit *v, const char *text)
{
    session_message(v->a, v->r, 400, "This link can't be used", text);
    visit_free(v);
}

/* Origin of a registered redirect URI, for the form's policy; the caller's, NULL for our own. */
static char *foreign_origin(const struct visit *v)
{
    if (v->own_page)
        return NULL;
    const char *uri = v->params.value[P_REDIRECT_URI];
    const char *host = strstr(uri, "://");
    size_t n = host == NULL ? 0 : (size_t)(host - uri) + 3 + strcspn(host + 3, "/?#");
    char *origin = xstrndup(uri, n);
    if (strpbrk(origin, " ;,'\"") != NULL)
        origin[0] = '\0';
    return origin;
}

struct form {
    struct page_value values[20 + 2 * SOURCES_MAX + WORDS_MAX];
    size_t n;
    struct buf action, other, links[SOURCES_MAX];
    char *words;
};

static void put(struct form *f, const char *name, const char *value)
{
    f->values[f->n++] = (struct page_value){name, value};
}

static void put_scopes(struct form *f, const char *scope)
{
    struct scopes parsed;
    struct buf all = BUF_INIT;
    if (scopes_parse(scope, &parsed, NULL) == 0)
        for (size_t i = 0; i < SCOPES_SERVERS; i++)
            if (parsed.of[i] != NULL)
                buf_fmt(&all, "%s ", parsed.of[i]);
    scopes_free(&parsed);
    f->words = buf_take(&all);
    char *save = NULL;
    size_t n = 0;
    for (char *w = strtok_r(f->words, " ", &save); w != NULL && n < WORDS_MAX;
         w = strtok_r(NULL, " ", &save), n++)
        put(f, "scope", scopes_describe(w));
}

static bool wants_fresh(const struct visit *v)
{
    return v->params.value[P_PROMPT] != NULL && scopes_has(v->params.value[P_PROMPT], "login");
}

static void put_sources(struct form *f, struct visit *v)
{
    struct buf next = BUF_INIT;
    bool by_password = false;
    /* Back from the provider the sign-in is fresh: asking again would go round for ever. */
    buf_str(&next, "/v2/oauth2/authorize?");
    params_write(&v->params, P_PROMPT, &next);
    for (size_t i = 0; i < v->a->sources.n; i++) {
        const struct source *s = &v->a->sources.list[i];
        by_password |= s->kind->password != NULL;
        if (s->kind->begin == NULL)
            continue;
        buf_fmt(&f->links[i], "/v2/web/with/%s?%snext=", s->name, wants_fresh(v) ? "fresh=1&" : "");
        params_encode(&f->links[i], next.data);
        put(f, "provider", s->title);
        put(f, "provider_url", f->links[i].data);
    }
    put(f, "with_password", by_password ? "yes" : NULL);
    buf_free(&next);
}

/* who NULL: the sign-in form, else "Continue as".  Ends the visit. */
static void show(struct visit *v, int status, const struct auth_who *who, const char *error)
{
    struct form f = {.n = 0};
    char token[SECRET_HASH_TEXT];
    if (who != NULL)
        secret_derive(v->session, "csrf", token);
    else
        session_form_token(v->a, v->r, token);
    buf_str(&f.action, "/v2/oauth2/authorize?");
    params_write(&v->params, P_N, &f.action);
    buf_str(&f.other, "/v2/oauth2/authorize?");
    params_write(&v->params, P_PROMPT, &f.other);
    buf_str(&f.other, "&prompt=login");
    put(&f, "service", v->a->provider_name);
    put(&f, "title", who != NULL ? "Continue?" : "Sign in");
    put(&f, "message", v->params.value[P_SESSION_MESSAGE]);
    put(&f, "error", error);
    put(&f, "action", f.action.data);
    put(&f, "csrf", token);
    put(&f, "username", v->username);
    put(&f, "app", v->client.name);
    put_scopes(&f, v->params.value[P_SCOPE]);
    if (who != NULL) {
        put(&f, "signed_in", who->username);
        put(&f, "other", f.other.data);
    } else {
        put_sources(&f, v);
    }
    autofree char *origin = foreign_origin(v);
    page_reply(v->r, v->a->pages, status, "sign-in.html", f.values, f.n, origin);
    buf_free(&f.action);
    buf_free(&f.other);
    for (size_t i = 0; i < SOURCES_MAX; i++)
        buf_free(&f.links[i]);
    free(f.words);
    visit_free(v);
}

/* Back to the program (or to our code page) with a query.  Our own page is always reached by its
 * path alone, whatever name of us the client knows.  Ends the visit. */
static void go_back(struct visit *v, const char *key, const char *value, const char *text)
{
    struct buf to = BUF_INIT;
    const char *uri = v->params.value[P_REDIRECT_URI];
    buf_str(&to, v->own_page ? CODE_PAGE : uri);
    buf_fmt(&to, "%c%s=", !v->own_page && strchr(uri, '?') != NULL ? '&' : '?', key);
    params_encode(&to, value);
    if (text != NULL) {
        buf_str(&to, "&error_description=");
        params_encode(&to, text);
    }
    if (v->params.value[P_STATE] != NULL) {
        buf_str(&to, "&state=");
        params_encode(&to, v->params.value[P_STATE]);
    }
    reply_redirect(v->r, 303, to.data);
    buf_free(&to);
    visit_free(v);
}

/* ---- the code -------------------------------------------------------------------------------- */

static int code_job(struct db *db, void *arg, struct err *err)
{
    struct visit *v = arg;
    int64_t now = auth_now();
    char hash[SECRET_HASH_TEXT];
    struct grant *g = NULL;
    v->unmet = (struct err)ERR_INIT;
    v->gone = false;
    secret_hash(v->session, hash);
    int rc = grant_load_session(db, hash, now, &g, err);
    if (rc <= 0) {
        v->gone = rc == 0;
        return rc;
    }
    rc = demands_check(db, &v->params, &g->who, now, &v->unmet, err);
    if (rc == 1) {
        struct buf session = BUF_INIT;
        json_write(&session, g->who.session);
        const char *challenge = v->params.value[P_CODE_CHALLENGE];
        const char *access = v->params.value[P_ACCESS_TYPE];
        struct code_request code = {.identity = g->who.sub,
                                    .client = v->client.id,
                                    .redirect_uri = v->params.value[P_REDIRECT_URI],
                                    .challenge = challenge == NULL ? "" : challenge,
                                    .scope = v->params.value[P_SCOPE],
                                    .nonce = v->params.value[P_NONCE],
                                    .session = session.data,
                                    .offline = access != NULL && strcmp(access, "offline") == 0};
        secret_make(SECRET_CODE, v->code);
        rc = tokens_code_make(db, &code, v->code, now, &v->a->life, err);
        buf_free(&session);
    }
    grant_unref(g);
    return rc < 0 ? -1 : 0;
}

static void coded(void *arg, int rc, const struct err *err)
{
    struct visit *v = arg;
    if (rc != 0) {
        log_error("request=%s: no code could be written to the ledger: %s", req_id(v->r),
                  err->text);
        show(v, 503, NULL, "The service's ledger does not answer. Try again in a moment.");
    } else if (v->gone) {
        show(v, 403, NULL, "The earlier sign-in has ended.");
    } else if (v->unmet.text[0] != '\0') {
        show(v, 403, NULL, v->unmet.text);
    } else {
        if (v->fresh)
            session_cookie_set(v->a, v->r, v->session);
        go_back(v, "code", v->code, NULL);
    }
}

static void signed_in(void *arg, const struct signed_in *s)
{
    struct visit *v = arg;
    if (s->status != 200) {
        if (s->retry_s > 0) {
            char seconds[16];
            snprintf(seconds, sizeof seconds, "%u", s->retry_s);
            reply_header(v->r, "Retry-After", seconds);
        }
        show(v, s->status, NULL, s->reason);
        return;
    }
    v->fresh = true;
    memcpy(v->session, s->session, strlen(s->session) + 1);
    store_write(v->a->store, code_job, coded, v);
}

/* ---- the request ----------------------------------------------------------------------------- */

static void post(struct visit *v)
{
    const char *action = req_form(v->r, "action");
    if (action != NULL && strcmp(action, "continue") == 0) {
        if (!session_csrf_fits(v->r) || wants_fresh(v)) {
            show(v, 403, NULL, "Please sign in again.");
            return;
        }
        const char *cookie = req_cookie(v->r, SESSION_COOKIE);
        memcpy(v->session, cookie, strlen(cookie) + 1); /* its form has been checked */
        store_write(v->a->store, code_job, coded, v);
        return;
    }
    const char *username = req_form(v->r, "username"), *password = req_form(v->r, "password");
    v->username = xstrdup(username);
    if (!session_form_fits(v->r))
        show(v, 403, NULL, "The form was too old, or this browser refuses cookies. Try again.");
    else if (username == NULL || *username == '\0' || password == NULL)
        show(v, 400, NULL, "Type your user name and your password.");
    else
        signin_password(v->a, v->r, username, password, signed_in, v);
}

static void known(void *arg, struct grant *g, const struct err *err)
{
    struct visit *v = arg;
    bool is_person = g != NULL && g->kind == SECRET_SESSION && !wants_fresh(v);
    if (is_person) {
        const char *cookie = req_cookie(v->r, SESSION_COOKIE);
        memcpy(v->session, cookie, strlen(cookie) + 1);
    }
    show(v, 200, is_person ? &g->who : NULL, NULL);
}

static int client_job(struct db *db, void *arg, struct err *err)
{
    struct visit *v = arg;
    char id[UUID_TEXT];
    client_free(&v->client);
    v->found =
        uuid_parse(v->params.value[P_CLIENT_ID], id) ? client_by_id(db, id, &v->client, err) : 0;
    return v->found < 0 ? -1 : 0;
}

static void client_found(void *arg, int rc, const struct err *err)
{
    struct visit *v = arg;
    struct err why = ERR_INIT;
    const char *uri = v->params.value[P_REDIRECT_URI], *error;
    if (rc != 0) {
        log_error("request=%s: the ledger did not answer: %s", req_id(v->r), err->text);
        session_message(v->a, v->r, 503, "Just a moment",
                        "The service's ledger does not answer. Reload this page in a moment.");
        visit_free(v);
    } else if (v->found == 0 || v->client.disabled) {
        wrong_link(v, "The program that made it is not known to this service.");
    } else if (!params_redirect_is_fine(uri, &v->client, req_base_url(v->r), v->a->public_url,
                                        &v->own_page)) {
        wrong_link(v, "It would send your code to an address that is not registered for the "
                      "program (redirect_uri).");
    } else if ((error = params_judge(&v->params, &v->client, &why)) != NULL) {
        go_back(v, "error", error, why.text);
    } else if (v->post) {
        post(v);
    } else {
        session_look_up(v->a, v->r, known, v);
    }
}

static void visit_begin(struct req *r, bool is_post)
{
    struct visit *v = xcalloc(1, sizeof *v);
    struct err err = ERR_INIT;
    v->a = req_arg(r);
    v->r = req_ref(r);
    v->post = is_post;
    if (params_read(r, &v->params, &err) != 0) {
        autofree char *text = xasprintf("Its parameter %s.", err.text);
        wrong_link(v, text);
    } else if (v->params.value[P_CLIENT_ID] == NULL || v->params.value[P_REDIRECT_URI] == NULL) {
        wrong_link(v, "It lacks client_id or redirect_uri. Was it copied as a whole? In a terminal "
                      "it may run over several lines.");
    } else {
        store_read(v->a->store, client_job, client_found, v);
    }
}

void auth_authorize_page(struct req *r)
{
    visit_begin(r, false);
}

void auth_authorize_post(struct req *r)
{
    visit_begin(r, true);
}

/* ---- the page with the code --------------------------------------------------------------------
 */

void auth_code_page(struct req *r)
{
    struct auth *a = req_arg(r);
    const char *code = req_query(r, "code"), *error = req_query(r, "error");
    const char *description = req_query(r, "error_description");
    char minutes[24];
    snprintf(minutes, sizeof minutes, "%lld", (long long)(a->life.code_s / 60));
    /* Only what looks like a code of ours: nobody can have this page show a text of his own. */
    bool formed = secret_is_formed(code, SECRET_CODE);
    const char *text = error == NULL         ? "There is no authorization code in this address."
                       : description != NULL ? description
                                             : error;
    const struct page_value values[] = {
        {"service", a->provider_name},
        {"code", formed ? code : NULL},
        {"minutes", minutes},
        {"error", formed ? NULL : text},
    };
    page_reply(r, a->pages, formed ? 200 : 400, "code.html", values, sizeof values / sizeof *values,
               NULL);
}
