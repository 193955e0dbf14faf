/* Sign-in through another provider's pages: there and back.
 *
 * What belongs to the attempt (nonce, PKCE verifier, where to go afterwards) waits in the ledger
 * under the hash of `state`, for ten minutes, and only for the browser that began: a link with
 * somebody else's answer leads nowhere. */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "service/auth/params.h"
#include "service/auth/private.h"
#include "service/auth/signin.h"

#define FLOW_S 600

struct trip {
    struct auth *a;
    struct req *r;
    const struct source *source;
    char state[SECRET_TEXT], nonce[SECRET_TEXT], verifier[SECRET_TEXT];
    char browser[SECRET_HASH_TEXT];
    char *redirect_uri, *next, *code;
    bool fresh, found;
    struct buf url;
    struct claim claim;
    int rc;
    struct err err;
};

static void trip_free(struct trip *t)
{
    req_unref(t->r);
    free(t->redirect_uri);
    free(t->next);
    wipe_free(t->code);
    buf_free(&t->url);
    claim_free(&t->claim);
    free(t);
}

static struct trip *trip_create(struct req *r)
{
    struct auth *a = req_arg(r);
    const struct source *s = sources_find(&a->sources, req_param(r, "source"));
    if (s == NULL || s->kind->begin == NULL) {
        session_message(a, r, 404, "No such provider",
                        "This service doesn't know the sign-in provider of that link.");
        return NULL;
    }
    struct trip *t = xcalloc(1, sizeof *t);
    t->a = a;
    t->r = req_ref(r);
    t->source = s;
    return t;
}

static void fail_trip(struct trip *t, int status, const char *text)
{
    session_message(t->a, t->r, status, "The sign-in did not work", text);
    trip_free(t);
}

static void provider_failed(struct trip *t)
{
    log_error("event=source-failed source=%s request=%s: %s", t->source->name, req_id(t->r),
              t->err.text);
    fail_trip(t, 502,
              "The provider could not be asked, or its answer was not acceptable. The "
              "administrator finds the reason in the service's log.");
}

/* ---- there ----------------------------------------------------------------------------------- */

static int keep_job(struct db *db, void *arg, struct err *err)
{
    struct trip *t = arg;
    char hash[SECRET_HASH_TEXT];
    secret_hash(t->state, hash);
    return db_run(db, err,
                  "INSERT INTO auth_flows (hash, source, browser, nonce, verifier, redirect_uri, "
                  "next, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                  "sssssssi", hash, t->source->name, t->browser, t->nonce, t->verifier,
                  t->redirect_uri, t->next, auth_now() + FLOW_S) < 0
               ? -1
               : 0;
}

static void kept(void *arg, int rc, const struct err *err)
{
    struct trip *t = arg;
    if (rc != 0) {
        t->err = *err;
        provider_failed(t);
        return;
    }
    reply_redirect(t->r, 303, t->url.data);
    trip_free(t);
}

static void begin_job(void *arg)
{
    struct trip *t = arg;
    struct flow f = {.redirect_uri = t->redirect_uri,
                     .state = t->state,
                     .nonce = t->nonce,
                     .verifier = t->verifier,
                     .fresh = t->fresh};
    t->rc = t->source->kind->begin(t->source->state, &f, &t->url, &t->err);
}

static void begun(void *arg)
{
    struct trip *t = arg;
    if (t->rc != 0)
        provider_failed(t);
    else
        store_write(t->a->store, keep_job, kept, t);
}

void auth_with(struct req *r)
{
    struct trip *t = trip_create(r);
    if (t == NULL)
        return;
    const char *next = req_query(r, "next"), *fresh = req_query(r, "fresh");
    unsigned wait = limit_take(t->a->tries_peer, req_peer(r), loop_now_us(t->a->loop));
    session_form_token(t->a, r, t->browser);
    secret_make(SECRET_FORM, t->state);
    secret_make(SECRET_FORM, t->nonce);
    secret_make(SECRET_FORM, t->verifier);
    t->redirect_uri = xasprintf("%s/v2/web/with/%s/back", auth_base_url(t->a, r), t->source->name);
    t->next = xstrdup(session_path_is_ours(next) ? next : "/web/");
    t->fresh = fresh != NULL && *fresh != '\0';
    if (wait > 0)
        fail_trip(t, 429, "Too many tries. Wait a little, then try again.");
    else if (!work_do(t->a->work, begin_job, begun, t))
        fail_trip(t, 429, "Too many people sign in at once. Try again in a few seconds.");
}

/* ---- and back -------------------------------------------------------------------------------- */

static void arrived(void *arg, const struct signed_in *s)
{
    struct trip *t = arg;
    if (s->status != 200) {
        fail_trip(t, s->status, s->reason);
        return;
    }
    session_cookie_set(t->a, t->r, s->session);
    reply_redirect(t->r, 303, t->next);
    trip_free(t);
}

static void finish_job(void *arg)
{
    struct trip *t = arg;
    struct flow f = {.redirect_uri = t->redirect_uri,
                     .state = t->state,
                     .nonce = t->nonce,
                     .verifier = t->verifier};
    t->rc = t->source->kind->finish(t->source->state, &f, t->code, &t->claim, &t->err);
}

static void finished(void *arg)
{
    struct trip *t = arg;
    if (t->rc != 0)
        provider_failed(t);
    else
        signin_claim(t->a, t->r, t->source, &t->claim, arrived, t);
}

static int take_job(struct db *db, void *arg, struct err *err)
{
    struct trip *t = arg;
    char hash[SECRET_HASH_TEXT];
    secret_hash(t->state, hash);
    t->found = false;
    struct db_rows *rows =
        db_query(db, err,
                 "SELECT nonce, verifier, redirect_uri, next FROM auth_flows WHERE hash = ? AND "
                 "source = ? AND browser = ? AND expires > ?",
                 "sssi", hash, t->source->name, t->browser, auth_now());
    if (rows == NULL)
        return -1;
    int rc = db_next(rows, err);
    if (rc == 1) {
        memcpy(t->nonce, db_text(rows, 0), SECRET_TEXT - 3);
        memcpy(t->verifier, db_text(rows, 1), SECRET_TEXT - 3);
        free(t->redirect_uri);
        free(t->next);
        t->redirect_uri = xstrdup(db_text(rows, 2));
        t->next = xstrdup(db_text(rows, 3));
        t->found = true;
    }
    db_rows_end(rows);
    if (rc <= 0)
        return rc;
    return db_run(db, err, "DELETE FROM auth_flows WHERE hash = ?", "s", hash) < 0 ? -1 : 0;
}

static void taken(void *arg, int rc, const struct err *err)
{
    struct trip *t = arg;
    if (rc != 0) {
        t->err = *err;
        provider_failed(t);
    } else if (!t->found) {
        fail_trip(t, 400,
                  "This sign-in was begun in another browser, or too long ago. Begin again.");
    } else if (t->code == NULL) {
        fail_trip(t, 403, "The provider did not sign you in.");
    } else if (!work_do(t->a->work, finish_job, finished, t)) {
        fail_trip(t, 429, "Too many people sign in at once. Try again in a few seconds.");
    }
}

void auth_with_back(struct req *r)
{
    struct trip *t = trip_create(r);
    if (t == NULL)
        return;
    const char *state = req_query(r, "state"), *cookie = req_cookie(r, FORM_COOKIE);
    if (!secret_is_formed(state, SECRET_FORM) || !secret_is_formed(cookie, SECRET_FORM)) {
        fail_trip(t, 400,
                  "The provider's answer lacks what this browser was sent with. Allow "
                  "cookies for this site, then begin again.");
        return;
    }
    memcpy(t->state, state, strlen(state) + 1);
    secret_derive(cookie, "form", t->browser);
    t->code = xstrdup(req_query(r, "code"));
    store_write(t->a->store, take_job, taken, t);
}
