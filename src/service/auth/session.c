/* Browsers that are signed in.
 *
 * A session is a cookie with a random secret (HttpOnly, SameSite=Lax, Secure under https) whose
 * hash is in the ledger.  Forms carry a second secret that is derived from the cookie's: another
 * site can make a browser send the cookie, but can't know what belongs into the form.  Before there
 * is a session, a cookie of its own does the same for the sign-in form. */
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "service/auth/params.h"
#include "service/auth/private.h"
#include "service/auth/signin.h"

/* ---- cookies --------------------------------------------------------------------------------- */

static void set_cookie(struct req *r, const char *name, const char *value, int64_t life_s)
{
    bool secure = strncmp(req_base_url(r), "https://", 8) == 0;
    autofree char *text = xasprintf("%s=%s; Path=/; Max-Age=%lld; HttpOnly; SameSite=Lax%s", name,
                                    value, (long long)life_s, secure ? "; Secure" : "");
    reply_header(r, "Set-Cookie", text);
}

void session_cookie_set(struct auth *a, struct req *r, const char *secret)
{
    set_cookie(r, SESSION_COOKIE, secret, a->life.session_s);
}

void session_form_token(struct auth *a, struct req *r, char out[SECRET_HASH_TEXT])
{
    char made[SECRET_TEXT];
    const char *cookie = req_cookie(r, FORM_COOKIE);
    if (!secret_is_formed(cookie, SECRET_FORM)) {
        secret_make(SECRET_FORM, made);
        set_cookie(r, FORM_COOKIE, made, 3600);
        cookie = made;
    }
    secret_derive(cookie, "form", out);
}

static bool fits(const char *cookie, const char *purpose, const char *given)
{
    char wanted[SECRET_HASH_TEXT];
    if (cookie == NULL || given == NULL)
        return false;
    secret_derive(cookie, purpose, wanted);
    return secret_equal(given, wanted);
}

/* A modern browser says itself when a request comes from another site's page. */
static bool comes_from_elsewhere(struct req *r)
{
    const char *site = req_header(r, "Sec-Fetch-Site");
    return site != NULL && strcmp(site, "cross-site") == 0;
}

bool session_form_fits(struct req *r)
{
    const char *cookie = req_cookie(r, FORM_COOKIE);
    return !comes_from_elsewhere(r) && secret_is_formed(cookie, SECRET_FORM) &&
           fits(cookie, "form", req_form(r, "csrf"));
}

bool session_csrf_fits(struct req *r)
{
    const char *cookie = req_cookie(r, SESSION_COOKIE), *header = req_header(r, "X-CSRF-Token");
    return !comes_from_elsewhere(r) && secret_is_formed(cookie, SECRET_SESSION) &&
           fits(cookie, "csrf", header != NULL ? header : req_form(r, "csrf"));
}

void auth_csrf(struct req *r, char out[SECRET_HASH_TEXT])
{
    secret_derive(req_cookie(r, SESSION_COOKIE), "csrf", out);
}

void session_look_up(struct auth *a, struct req *r, grant_f *then, void *arg)
{
    const char *cookie = req_cookie(r, SESSION_COOKIE);
    if (secret_is_formed(cookie, SECRET_SESSION))
        auth_look_up(a, cookie, then, arg);
    else
        then(arg, NULL, NULL);
}

bool session_path_is_ours(const char *path)
{
    if (path == NULL || path[0] != '/' || path[1] == '/' || path[1] == '\\' ||
        strlen(path) > 4 * 4096)
        return false;
    for (const char *p = path; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '\\')
            return false;
    return true;
}

/* ---- pages ----------------------------------------------------------------------------------- */

void session_message(struct auth *a, struct req *r, int status, const char *title, const char *text)
{
    const struct page_value values[] = {
        {"service", a->provider_name},
        {"title", title},
        {status >= 400 ? "error" : "message", text},
    };
    page_reply(r, a->pages, status, "message.html", values, sizeof values / sizeof *values, NULL);
}

static const char *next_of(struct req *r)
{
    const char *next = req_query(r, "next");
    return session_path_is_ours(next) ? next : "/web/";
}

/* The sign-in form of the console; error NULL on the first look. */
static void show_form(struct auth *a, struct req *r, int status, const char *username,
                      const char *error)
{
    char token[SECRET_HASH_TEXT];
    session_form_token(a, r, token);
    struct page_value values[8 + 2 * SOURCES_MAX];
    size_t n = 0;
    struct buf action = BUF_INIT, links[SOURCES_MAX] = {BUF_INIT};
    buf_str(&action, "/web/sign-in?next=");
    params_encode(&action, next_of(r));
    values[n++] = (struct page_value){"service", a->provider_name};
    values[n++] = (struct page_value){"title", "Sign in"};
    values[n++] = (struct page_value){"action", action.data};
    values[n++] = (struct page_value){"csrf", token};
    values[n++] = (struct page_value){"username", username};
    values[n++] = (struct page_value){"error", error};
    bool by_password = false;
    for (size_t i = 0; i < a->sources.n; i++) {
        const struct source *s = &a->sources.list[i];
        by_password |= s->kind->password != NULL;
        if (s->kind->begin == NULL)
            continue;
        buf_fmt(&links[i], "/v2/web/with/%s?next=", s->name);
        params_encode(&links[i], next_of(r));
        values[n++] = (struct page_value){"provider", s->title};
        values[n++] = (struct page_value){"provider_url", links[i].data};
    }
    values[n++] = (struct page_value){"with_password", by_password ? "yes" : NULL};
    page_reply(r, a->pages, status, "sign-in.html", values, n, NULL);
    buf_free(&action);
    for (size_t i = 0; i < a->sources.n; i++)
        buf_free(&links[i]);
}

void auth_sign_in_page(struct req *r)
{
    show_form(req_arg(r), r, 200, NULL, NULL);
}

struct posted {
    struct auth *a;
    struct req *r;
    char *username;
};

static void signed_in(void *arg, const struct signed_in *s)
{
    struct posted *p = arg;
    if (s->status == 200) {
        session_cookie_set(p->a, p->r, s->session);
        reply_redirect(p->r, 303, next_of(p->r));
    } else {
        if (s->retry_s > 0) {
            char seconds[16];
            snprintf(seconds, sizeof seconds, "%u", s->retry_s);
            reply_header(p->r, "Retry-After", seconds);
        }
        show_form(p->a, p->r, s->status, p->username, s->reason);
    }
    req_unref(p->r);
    free(p->username);
    free(p);
}

void auth_sign_in_post(struct req *r)
{
    struct auth *a = req_arg(r);
    const char *username = req_form(r, "username"), *password = req_form(r, "password");
    if (!session_form_fits(r)) {
        show_form(a, r, 403, username,
                  "The form was too old, or this browser refuses cookies. Try again.");
        return;
    }
    if (username == NULL || password == NULL) {
        show_form(a, r, 400, username, "Type your user name and your password.");
        return;
    }
    struct posted *p = xcalloc(1, sizeof *p);
    *p = (struct posted){.a = a, .r = req_ref(r), .username = xstrdup(username)};
    signin_password(a, r, username, password, signed_in, p);
}

/* ---- signing out ------------------------------------------------------------------------------
 */

struct leaving {
    struct auth *a;
    struct req *r;
    char hash[SECRET_HASH_TEXT];
};

static int leave_job(struct db *db, void *arg, struct err *err)
{
    struct leaving *l = arg;
    return db_run(db, err, "DELETE FROM auth_sessions WHERE hash = ?", "s", l->hash) < 0 ? -1 : 0;
}

static void left(void *arg, int rc, const struct err *err)
{
    struct leaving *l = arg;
    cache_forget(l->a->cache, l->hash);
    if (rc != 0)
        log_error("request=%s: a session could not be ended in the ledger: %s", req_id(l->r),
                  err->text);
    set_cookie(l->r, SESSION_COOKIE, "", 0);
    reply_redirect(l->r, 303, "/web/sign-in");
    req_unref(l->r);
    free(l);
}

void auth_sign_out(struct req *r)
{
    struct auth *a = req_arg(r);
    if (!session_csrf_fits(r)) {
        session_message(a, r, 403, "Not signed out",
                        "The request did not come from a page of this service.");
        return;
    }
    struct leaving *l = xcalloc(1, sizeof *l);
    l->a = a;
    l->r = req_ref(r);
    secret_hash(req_cookie(r, SESSION_COOKIE), l->hash);
    store_write(a->store, leave_job, left, l);
}

/* ---- for the console --------------------------------------------------------------------------
 */

struct page_ask {
    struct auth *a;
    struct req *r;
    auth_f *then;
};

static bool reads_only(struct req *r)
{
    return strcmp(req_method(r), "GET") == 0 || strcmp(req_method(r), "HEAD") == 0;
}

/* Data for a script gets an error that the script can read; a page gets the sign-in page. */
static void not_signed_in(struct req *r)
{
    if (!reads_only(r) || strncmp(req_path(r), "/web/api/", 9) == 0) {
        reply_error(r, 401, "USER_UNAUTHENTICATED", "Sign in at /web/sign-in first");
        return;
    }
    struct buf to = BUF_INIT;
    buf_str(&to, "/web/sign-in?next=");
    params_encode(&to, req_path(r));
    reply_redirect(r, 303, to.data);
    buf_free(&to);
}

static void page_asked(void *arg, struct grant *g, const struct err *err)
{
    struct page_ask *p = arg;
    if (err != NULL)
        reply_error(p->r, 503, "INTERNAL_ERROR",
                    "The service's ledger does not answer; try again in a moment");
    else if (g == NULL || g->kind != SECRET_SESSION)
        not_signed_in(p->r);
    else if (!reads_only(p->r) && !session_csrf_fits(p->r))
        reply_error(p->r, 403, "CSRF", "The request did not come from a page of this service");
    else if (!req_is_over(p->r))
        p->then(p->r, &g->who);
    req_unref(p->r);
    free(p);
}

void auth_page(struct auth *a, struct req *r, auth_f *then)
{
    struct page_ask *p = xcalloc(1, sizeof *p);
    *p = (struct page_ask){.a = a, .r = req_ref(r), .then = then};
    session_look_up(a, r, page_asked, p);
}
