#include "service/auth/signin.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"

/* A source that may know the name, and what the ledger has about it there. */
struct candidate {
    const struct source *source;
    char *username;
    char *stored;
    bool foreign; /* the name is another source's */
};

struct attempt {
    struct auth *a;
    struct req *r;
    char *typed, *password;
    struct candidate candidates[SOURCES_MAX];
    size_t n;
    const struct source *source; /* the one that said yes */
    struct claim claim;
    bool failed; /* a source could not be asked */
    char session[SECRET_TEXT], sub[UUID_TEXT];
    int status;
    const char *reason;
    signed_in_f *then;
    void *arg;
};

#define WRONG "The user name or the password is wrong."

static void end(struct attempt *t, int status, const char *reason, unsigned retry_s)
{
    static struct log_rate rate = LOG_RATE(50, 60);
    const char *name = t->claim.username != NULL ? t->claim.username : t->typed;
    if (status != 200 && log_rate_ok(&rate))
        log_warning("event=sign-in-refused user=\"%.100s\" peer=%s status=%d reason=%s", name,
                    req_peer(t->r), status, reason);
    if (status == 200)
        log_info("event=sign-in user=%s identity=%s source=%s peer=%s", name, t->sub,
                 t->source->name, req_peer(t->r));
    struct signed_in s = {.status = status,
                          .reason = reason,
                          .retry_s = retry_s,
                          .session = t->session,
                          .sub = t->sub,
                          .username = name};
    t->then(t->arg, &s);
    for (size_t i = 0; i < t->n; i++) {
        free(t->candidates[i].username);
        wipe_free(t->candidates[i].stored);
    }
    memset(t->session, 0, sizeof t->session);
    claim_free(&t->claim);
    wipe_free(t->password);
    free(t->typed);
    req_unref(t->r);
    free(t);
}

/* ---- identity and session ---------------------------------------------------------------------
 */

/* Text that the ledger takes: no control characters, not too long. */
static char *tame(const char *text, const char *otherwise)
{
    const char *from = text != NULL && *text != '\0' ? text : otherwise;
    char *s = xstrndup(from, strnlen(from, PEOPLE_TEXT_MAX));
    for (char *p = s; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    return s;
}

/* The person of a claim, made when new: 1, 0 with t->reason, -1. */
static int find_or_make(struct db *db, struct attempt *t, struct person *p, struct err *err)
{
    const struct claim *c = &t->claim;
    int rc = person_by_subject(db, t->source->name, c->subject, p, err);
    if (rc != 0)
        return rc;
    if (t->source->kind == &source_local) {
        t->status = 403;
        t->reason = WRONG; /* removed while the password was checked */
        return 0;
    }
    p->username = xstrdup(c->username);
    p->name = tame(c->name, c->username);
    p->email = tame(c->email, "");
    p->organization = tame(c->organization, "");
    p->source = xstrdup(t->source->name);
    p->subject = xstrdup(c->subject);
    p->provider_name = xstrdup(t->source->title);
    struct err why = ERR_INIT;
    struct person other;
    rc = person_by_username(db, p->username, &other, err);
    if (rc < 0)
        return -1;
    person_free(&other);
    if (rc == 1) {
        /* Never joined by name alone: whoever names people there could take over accounts here. */
        t->status = 403;
        t->reason = "Another account has this user name already; ask the administrator to link "
                    "the two.";
        return 0;
    }
    if (person_insert(db, p, &why) != 0)
        return err_set(err, "%s", why.text);
    return 1;
}

static char *session_text(const struct attempt *t, const struct person *p, int64_t now)
{
    struct json_object *identity = person_identity(p);
    struct json_object *one = json_object_new_object();
    json_add_str(one, "idp", json_str_or(identity, "identity_provider", ""));
    json_add_int(one, "auth_time", t->claim.auth_time > 0 ? t->claim.auth_time : now);
    if (t->claim.acr != NULL)
        json_add_str(one, "acr", t->claim.acr);
    json_add(one, "amr", json_object_get(t->claim.amr));
    struct json_object *session = json_object_new_object();
    json_add(session, p->id, one);
    struct buf b = BUF_INIT;
    json_write(&b, session);
    json_object_put(session);
    json_object_put(identity);
    return buf_take(&b);
}

static int settle_job(struct db *db, void *arg, struct err *err)
{
    struct attempt *t = arg;
    int64_t now = auth_now();
    struct person p = {.id = ""};
    t->status = 200;
    t->reason = NULL;
    int rc = find_or_make(db, t, &p, err);
    if (rc == 1 && p.disabled) {
        t->status = 403;
        t->reason = "This account is closed; ask the administrator.";
        rc = 0;
    }
    if (rc == 1) {
        char hash[SECRET_HASH_TEXT];
        p.last_auth = now;
        id_copy(t->sub, p.id);
        autofree char *session = session_text(t, &p, now);
        secret_make(SECRET_SESSION, t->session);
        secret_hash(t->session, hash);
        rc = person_update(db, &p, err);
        if (rc == 0)
            rc = db_run(db, err,
                        "INSERT INTO auth_sessions (hash, identity, session, created, expires) "
                        "VALUES (?, ?, ?, ?, ?)",
                        "sssii", hash, p.id, session, now, now + t->a->life.session_s) < 0
                     ? -1
                     : 0;
    }
    person_free(&p);
    return rc < 0 ? -1 : 0;
}

static void settled(void *arg, int rc, const struct err *err)
{
    struct attempt *t = arg;
    if (rc != 0) {
        log_error("request=%s: a sign-in could not be written to the ledger: %s", req_id(t->r),
                  err->text);
        end(t, 503, "The service's ledger does not answer. Try again in a moment.", 0);
        return;
    }
    if (t->status == 200 && t->typed != NULL) {
        limit_forget(t->a->tries_name, t->typed);
        limit_give(t->a->tries_peer, req_peer(t->r)); /* many may sit behind one address */
    }
    end(t, t->status, t->reason, 0);
}

/* ---- by password ------------------------------------------------------------------------------
 */

static void ask_job(void *arg)
{
    struct attempt *t = arg;
    for (size_t i = 0; i < t->n && t->source == NULL; i++) {
        const struct candidate *c = &t->candidates[i];
        struct err err = ERR_INIT;
        /* The local source is asked in vain even then: an unknown name takes as long as a known. */
        if (c->foreign && c->source->kind != &source_local)
            continue;
        int rc = c->source->kind->password(c->source->state, c->username, t->password, c->stored,
                                           &t->claim, &err);
        if (rc == 1) {
            t->source = c->source;
        } else {
            claim_free(&t->claim);
            if (rc < 0) {
                t->failed = true;
                log_error("event=source-failed source=%s: %s", c->source->name, err.text);
            }
        }
    }
}

static void asked(void *arg)
{
    struct attempt *t = arg;
    if (t->source != NULL)
        store_write(t->a->store, settle_job, settled, t);
    else if (t->failed)
        end(t, 503, "The sign-in could not be checked just now. Try again in a moment.", 0);
    else
        end(t, 403, WRONG, 0);
}

static int names_job(struct db *db, void *arg, struct err *err)
{
    struct attempt *t = arg;
    for (size_t i = 0; i < t->n; i++) {
        struct person p;
        int rc = person_by_username(db, t->candidates[i].username, &p, err);
        wipe_free(t->candidates[i].stored);
        t->candidates[i].stored = NULL;
        /* Only the source that the identity came from may vouch for it. */
        bool own = rc == 1 && strcmp(p.source, t->candidates[i].source->name) == 0;
        t->candidates[i].foreign = rc == 1 && !own;
        if (own)
            t->candidates[i].stored = xstrdup(p.password);
        person_free(&p);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static void named(void *arg, int rc, const struct err *err)
{
    struct attempt *t = arg;
    if (rc != 0) {
        log_error("request=%s: the ledger did not answer: %s", req_id(t->r), err->text);
        end(t, 503, "The service's ledger does not answer. Try again in a moment.", 0);
    } else if (!work_do(t->a->work, ask_job, asked, t)) {
        end(t, 429, "Too many people sign in at once. Try again in a few seconds.", 3);
    }
}

static struct attempt *attempt_create(struct auth *a, struct req *r, signed_in_f *then, void *arg)
{
    struct attempt *t = xcalloc(1, sizeof *t);
    t->a = a;
    t->r = req_ref(r);
    t->then = then;
    t->arg = arg;
    return t;
}

void signin_password(struct auth *a, struct req *r, const char *username, const char *password,
                     signed_in_f *then, void *arg)
{
    struct attempt *t = attempt_create(a, r, then, arg);
    struct err err = ERR_INIT;
    uint64_t now = loop_now_us(a->loop);
    t->typed = xstrndup(username, strnlen(username, PEOPLE_TEXT_MAX));
    t->password = xstrdup(password);
    for (size_t i = 0; i < a->sources.n; i++) {
        struct candidate c = {.source = &a->sources.list[i]};
        if (c.source->kind->password != NULL &&
            person_username(username, c.source->domain, &c.username, &err) == 0)
            t->candidates[t->n++] = c;
    }
    unsigned wait = limit_take(a->tries_peer, req_peer(r), now);
    if (wait == 0)
        wait = limit_take(a->tries_name, t->typed, now);
    if (wait > 0)
        end(t, 429, "Too many tries. Wait a little, then try again.", wait);
    else if (strlen(password) > 1024 || t->n == 0)
        end(t, 403, WRONG, 0);
    else
        store_read(a->store, names_job, named, t);
}

void signin_claim(struct auth *a, struct req *r, const struct source *source, struct claim *claim,
                  signed_in_f *then, void *arg)
{
    struct attempt *t = attempt_create(a, r, then, arg);
    t->source = source;
    t->claim = *claim;
    *claim = (struct claim){.subject = NULL};
    store_write(a->store, settle_job, settled, t);
}
