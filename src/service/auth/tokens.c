#include "service/auth/tokens.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "service/auth/people.h"
#include "service/auth/pkce.h"

#define HOUR 3600
#define DAY (24 * HOUR)

const struct lifetimes lifetimes_default = {
    .access_s = 2 * DAY, /* as Globus Auth */
    .refresh_s = 180 * DAY,
    .overlap_s =
        2 * DAY, /* a process with the same stored token refreshes when its own has ended */
    .code_s = 600,
    .session_s = 12 * HOUR,
};

void issued_free(struct issued *i)
{
    json_object_put(i->reply);
    free(i->nonce);
    *i = (struct issued){.reply = NULL};
}

static int refuse(struct issued *out, const char *error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(struct issued *out, const char *error, const char *fmt, ...)
{
    out->refusal.error = error;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(out->refusal.reason, sizeof out->refusal.reason, fmt, ap);
    va_end(ap);
    return 0;
}

/* ---- making ---------------------------------------------------------------------------------- */

struct maker {
    struct db *db;
    const char *family, *identity, *client, *session;
    int64_t now;
    const struct lifetimes *life;
};

static int put(const struct maker *m, const char *kind, const char *secret, const char *server,
               const char *scope, int64_t life_s, struct err *err)
{
    char hash[SECRET_HASH_TEXT];
    secret_hash(secret, hash);
    return db_run(m->db, err,
                  "INSERT INTO auth_tokens (hash, kind, family, identity, client, server, scope, "
                  "session, issued, expires, used) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
                  "ssssssssii", hash, kind, m->family, m->identity, m->client, server, scope,
                  m->session, m->now, m->now + life_s) < 0
               ? -1
               : 0;
}

/* One token object of a reply; NULL with err. */
static struct json_object *make(const struct maker *m, const char *server, const char *scope,
                                bool refresh, struct err *err)
{
    char access[SECRET_TEXT], again[SECRET_TEXT];
    secret_make(SECRET_ACCESS, access);
    secret_make(SECRET_REFRESH, again);
    if (put(m, "access", access, server, scope, m->life->access_s, err) != 0 ||
        (refresh && put(m, "refresh", again, server, scope, m->life->refresh_s, err) != 0))
        return NULL;
    struct json_object *o = json_object_new_object();
    json_add_str(o, "access_token", access);
    json_add_str(o, "scope", scope);
    json_add_int(o, "expires_in", m->life->access_s);
    json_add_str(o, "token_type", "Bearer");
    json_add_str(o, "resource_server", server);
    if (refresh)
        json_add_str(o, "refresh_token", again);
    return o;
}

static int make_all(const struct maker *m, const struct scopes *scopes, bool refresh,
                    struct issued *out, struct err *err)
{
    struct json_object *others = json_object_new_array();
    for (size_t i = 0; i < SCOPES_SERVERS; i++) {
        if (scopes->of[i] == NULL)
            continue;
        struct json_object *o = make(m, scopes_server(i), scopes->of[i], refresh, err);
        if (o == NULL) {
            json_object_put(others);
            return -1;
        }
        if (out->reply == NULL)
            out->reply = o;
        else
            json_object_array_add(others, o);
        if (scopes_has(scopes->of[i], SCOPE_OPENID))
            out->openid = true;
    }
    json_add(out->reply, "other_tokens", others);
    return 0;
}

/* A job may run again: what an earlier run left goes. */
static void begin(struct issued *out)
{
    issued_free(out);
}

/* 1 open, 0 with the refusal, -1. */
static int owner_is_open(struct db *db, const char *identity, struct issued *out, struct err *err)
{
    struct person p;
    int rc = person_by_id(db, identity, &p, err);
    if (rc == 0 || (rc == 1 && p.disabled)) {
        refuse(out, "invalid_grant", "The account is closed.");
        rc = 0;
    }
    person_free(&p);
    return rc;
}

/* ---- codes ----------------------------------------------------------------------------------- */

int tokens_code_make(struct db *db, const struct code_request *code, const char *secret,
                     int64_t now, const struct lifetimes *life, struct err *err)
{
    char hash[SECRET_HASH_TEXT], family[UUID_TEXT];
    secret_hash(secret, hash);
    uuid_random(family);
    return db_run(db, err,
                  "INSERT INTO auth_codes (hash, family, identity, client, redirect_uri, "
                  "challenge, scope, nonce, session, offline, expires, used) VALUES (?, ?, ?, ?, "
                  "?, ?, ?, ?, ?, ?, ?, 0)",
                  "sssssssssii", hash, family, code->identity, code->client, code->redirect_uri,
                  code->challenge, code->scope, code->nonce == NULL ? "" : code->nonce,
                  code->session, (int64_t)code->offline, now + life->code_s) < 0
               ? -1
               : 0;
}

struct code_row {
    char *family, *identity, *client, *redirect_uri, *challenge, *scope, *nonce, *session;
    bool offline;
    int64_t expires, used;
};

static void code_row_free(struct code_row *c)
{
    free(c->family);
    free(c->identity);
    free(c->client);
    free(c->redirect_uri);
    free(c->challenge);
    free(c->scope);
    free(c->nonce);
    free(c->session);
}

static int code_row_read(struct db *db, const char *hash, struct code_row *c, struct err *err)
{
    struct db_rows *rows = db_query(db, err,
                                    "SELECT family, identity, client, redirect_uri, challenge, "
                                    "scope, nonce, session, offline, expires, used FROM "
                                    "auth_codes WHERE hash = ?",
                                    "s", hash);
    if (rows == NULL)
        return -1;
    int rc = db_next(rows, err);
    if (rc == 1) {
        *c = (struct code_row){.family = xstrdup(db_text(rows, 0)),
                               .identity = xstrdup(db_text(rows, 1)),
                               .client = xstrdup(db_text(rows, 2)),
                               .redirect_uri = xstrdup(db_text(rows, 3)),
                               .challenge = xstrdup(db_text(rows, 4)),
                               .scope = xstrdup(db_text(rows, 5)),
                               .nonce = xstrdup(db_text(rows, 6)),
                               .session = xstrdup(db_text(rows, 7)),
                               .offline = db_int(rows, 8) != 0,
                               .expires = db_int(rows, 9),
                               .used = db_int(rows, 10)};
    }
    db_rows_end(rows);
    return rc;
}

static int redeem(struct db *db, const char *hash, const struct code_row *c, const char *client,
                  const char *redirect_uri, const char *verifier, int64_t now,
                  const struct lifetimes *life, struct issued *out, struct err *err)
{
    if (strcmp(c->client, client) != 0)
        return refuse(out, "invalid_grant", "The code was given to another client.");
    int64_t taken =
        c->used != 0 ? 0
                     : db_run(db, err, "UPDATE auth_codes SET used = ? WHERE hash = ? AND used = 0",
                              "is", now, hash);
    if (taken < 0)
        return -1;
    id_copy(out->family, c->family);
    if (taken == 0) {
        log_warning("An authorization code came twice; the tokens that it gave are void: identity "
                    "%s, client %s.",
                    c->identity, client);
        if (tokens_end_family(db, c->family, err) != 0)
            return -1;
        return refuse(out, "invalid_grant", "The code has been used already; sign in again.");
    }
    if (c->expires <= now)
        return refuse(out, "invalid_grant", "The code has expired; sign in again.");
    if (strcmp(c->redirect_uri, redirect_uri) != 0)
        return refuse(out, "invalid_grant",
                      "redirect_uri is not the one of the authorize request.");
    if (c->challenge[0] != '\0' && (verifier == NULL || !pkce_verifier_is_formed(verifier) ||
                                    !pkce_matches(c->challenge, verifier)))
        return refuse(out, "invalid_grant", "code_verifier does not fit the code's challenge.");
    if (c->challenge[0] == '\0' && verifier != NULL && *verifier != '\0')
        return refuse(out, "invalid_grant", "The code was asked for without a code_challenge.");
    int open = owner_is_open(db, c->identity, out, err);
    if (open <= 0)
        return open;
    struct scopes scopes;
    struct err why = ERR_INIT;
    int rc = scopes_parse(c->scope, &scopes, &why);
    if (rc == 0) {
        struct maker m = {db, c->family, c->identity, client, c->session, now, life};
        rc = make_all(&m, &scopes, c->offline, out, err);
    } else {
        refuse(out, "invalid_scope", "%.200s", why.text);
        rc = 0;
    }
    scopes_free(&scopes);
    id_copy(out->sub, c->identity);
    id_copy(out->client, client);
    out->nonce = c->nonce[0] == '\0' ? NULL : xstrdup(c->nonce);
    return rc;
}

int tokens_code_redeem(struct db *db, const char *secret, const char *client,
                       const char *redirect_uri, const char *verifier, int64_t now,
                       const struct lifetimes *life, struct issued *out, struct err *err)
{
    begin(out);
    char hash[SECRET_HASH_TEXT];
    secret_hash(secret, hash);
    struct code_row c = {.family = NULL};
    int rc = code_row_read(db, hash, &c, err);
    if (rc == 1)
        rc = redeem(db, hash, &c, client, redirect_uri, verifier, now, life, out, err);
    else if (rc == 0)
        refuse(out, "invalid_grant", "The code is unknown or has expired; sign in again.");
    code_row_free(&c);
    return rc;
}

/* ---- refresh --------------------------------------------------------------------------------- */

struct token_row {
    char *kind, *family, *identity, *client, *server, *scope, *session;
    int64_t expires, used;
};

static void token_row_free(struct token_row *t)
{
    free(t->kind);
    free(t->family);
    free(t->identity);
    free(t->client);
    free(t->server);
    free(t->scope);
    free(t->session);
}

static int token_row_read(struct db *db, const char *hash, struct token_row *t, struct err *err)
{
    struct db_rows *rows = db_query(db, err,
                                    "SELECT kind, family, identity, client, server, scope, "
                                    "session, expires, used FROM auth_tokens WHERE hash = ?",
                                    "s", hash);
    if (rows == NULL)
        return -1;
    int rc = db_next(rows, err);
    if (rc == 1) {
        *t = (struct token_row){.kind = xstrdup(db_text(rows, 0)),
                                .family = xstrdup(db_text(rows, 1)),
                                .identity = xstrdup(db_text(rows, 2)),
                                .client = xstrdup(db_text(rows, 3)),
                                .server = xstrdup(db_text(rows, 4)),
                                .scope = xstrdup(db_text(rows, 5)),
                                .session = xstrdup(db_text(rows, 6)),
                                .expires = db_int(rows, 7),
                                .used = db_int(rows, 8)};
    }
    db_rows_end(rows);
    return rc;
}

/* `asked` once each, when every word of it is in `had` (one resource server's list); else NULL. */
static char *narrowed(const char *asked, const char *had)
{
    struct scopes wanted;
    char *fits = NULL;
    if (scopes_parse(asked, &wanted, NULL) == 0) {
        for (size_t i = 0; i < SCOPES_SERVERS; i++) {
            autofree char *words = xstrdup(wanted.of[i]);
            char *save = NULL, *w = words == NULL ? NULL : strtok_r(words, " ", &save);
            while (w != NULL && scopes_has(had, w))
                w = strtok_r(NULL, " ", &save);
            if (w != NULL) {
                wipe_free(fits);
                fits = NULL;
                break;
            }
            if (wanted.of[i] != NULL)
                fits = xstrdup(wanted.of[i]);
        }
    }
    scopes_free(&wanted);
    return fits;
}

static int exchange(struct db *db, const char *hash, const struct token_row *t, const char *client,
                    const char *scope, int64_t now, const struct lifetimes *life,
                    struct issued *out, struct err *err)
{
    if (strcmp(t->kind, "refresh") != 0 || strcmp(t->client, client) != 0)
        return refuse(out, "invalid_grant", "This is no refresh token of this client.");
    id_copy(out->family, t->family);
    if (t->expires <= now)
        return refuse(out, "invalid_grant", "The refresh token has expired; sign in again.");
    int64_t used = t->used;
    if (used == 0) {
        int64_t n = db_run(db, err, "UPDATE auth_tokens SET used = ? WHERE hash = ? AND used = 0",
                           "is", now, hash);
        if (n < 0)
            return -1;
        used = now;
    }
    if (now - used > life->overlap_s) {
        log_warning("A refresh token came again %lld s after it was exchanged; somebody has a "
                    "copy, so the whole sign-in is void: identity %s, client %s.",
                    (long long)(now - used), t->identity, client);
        if (tokens_end_family(db, t->family, err) != 0)
            return -1;
        return refuse(out, "invalid_grant",
                      "The refresh token has been exchanged before; sign in again.");
    }
    autofree char *given =
        scope == NULL || *scope == '\0' ? xstrdup(t->scope) : narrowed(scope, t->scope);
    if (given == NULL)
        return refuse(out, "invalid_scope", "The scope asked for exceeds that of the sign-in.");
    int open = owner_is_open(db, t->identity, out, err);
    if (open <= 0)
        return open;
    struct maker m = {db, t->family, t->identity, client, t->session, now, life};
    out->reply = make(&m, t->server, given, true, err);
    if (out->reply == NULL)
        return -1;
    json_add(out->reply, "other_tokens", json_object_new_array());
    id_copy(out->sub, t->identity);
    id_copy(out->client, client);
    return 0;
}

int tokens_refresh(struct db *db, const char *secret, const char *client, const char *scope,
                   int64_t now, const struct lifetimes *life, struct issued *out, struct err *err)
{
    begin(out);
    char hash[SECRET_HASH_TEXT];
    secret_hash(secret, hash);
    struct token_row t = {.kind = NULL};
    int rc = token_row_read(db, hash, &t, err);
    if (rc == 1)
        rc = exchange(db, hash, &t, client, scope, now, life, out, err);
    else if (rc == 0)
        refuse(out, "invalid_grant",
               "The refresh token is unknown, revoked or expired; sign in again.");
    token_row_free(&t);
    return rc;
}

/* ---- clients, revocation, lists ---------------------------------------------------------------
 */

int tokens_for_client(struct db *db, const char *client, const struct scopes *scopes, int64_t now,
                      const struct lifetimes *life, struct issued *out, struct err *err)
{
    begin(out);
    int open = owner_is_open(db, client, out, err);
    if (open <= 0)
        return open;
    uuid_random(out->family);
    struct json_object *session = json_object_new_object();
    struct json_object *authentication = json_object_new_object();
    json_add_str(authentication, "idp", SOURCE_CLIENT);
    json_add_int(authentication, "auth_time", now);
    struct json_object *amr = json_object_new_array();
    json_object_array_add(amr, json_object_new_string("client_secret"));
    json_add(authentication, "amr", amr);
    json_add(session, client, authentication);
    struct buf text = BUF_INIT;
    json_write(&text, session);
    json_object_put(session);
    struct maker m = {db, out->family, client, client, text.data, now, life};
    int rc = make_all(&m, scopes, false, out, err);
    buf_free(&text);
    id_copy(out->sub, client);
    id_copy(out->client, client);
    out->openid = false; /* optional for clients, and it would cost each of them two requests */
    return rc;
}

int tokens_end_family(struct db *db, const char *family, struct err *err)
{
    return db_run(db, err, "DELETE FROM auth_tokens WHERE family = ?", "s", family) < 0 ? -1 : 0;
}

int tokens_revoke(struct db *db, const char *secret, const char *client, char family[UUID_TEXT],
                  struct err *err)
{
    family[0] = '\0';
    char hash[SECRET_HASH_TEXT];
    secret_hash(secret, hash);
    struct token_row t = {.kind = NULL};
    int rc = token_row_read(db, hash, &t, err);
    if (rc == 1 && strcmp(t.client, client) == 0) {
        id_copy(family, t.family);
        /* A refresh token takes the access tokens of its own resource server along; the sign-in's
         * other servers have tokens of their own. */
        rc = strcmp(t.kind, "refresh") == 0
                 ? db_run(db, err, "DELETE FROM auth_tokens WHERE family = ? AND server = ?", "ss",
                          t.family, t.server) < 0
                       ? -1
                       : 0
             : db_run(db, err, "DELETE FROM auth_tokens WHERE hash = ?", "s", hash) < 0 ? -1
                                                                                        : 0;
    }
    token_row_free(&t);
    return rc < 0 ? -1 : 0;
}

static struct json_object *shown_token(struct db_rows *rows)
{
    struct json_object *o = json_object_new_object();
    json_add_str(o, "id", db_text(rows, 0));
    json_add_str(o, "identity", db_text(rows, 1));
    json_add_str(o, "username", db_text(rows, 2));
    json_add_str(o, "client", db_text(rows, 3));
    json_add_str(o, "client_name", db_text(rows, 4));
    json_add_int(o, "issued", db_int(rows, 5));
    json_add_int(o, "expires", db_int(rows, 6));
    json_add_int(o, "tokens", db_int(rows, 7));
    return o;
}

struct json_object *tokens_list(struct db *db, const char *identity, int64_t now, struct err *err)
{
    struct db_rows *rows = db_query(
        db, err,
        "SELECT t.family, t.identity, MAX(i.username), MAX(t.client), MAX(c.name), MIN(t.issued), "
        "MAX(t.expires), COUNT(*) FROM auth_tokens t LEFT JOIN auth_identities i ON i.id = "
        "t.identity LEFT JOIN auth_clients c ON c.id = t.client WHERE t.expires > ? AND "
        "(t.identity = ? OR ? = '') GROUP BY t.family, t.identity ORDER BY MIN(t.issued)",
        "iss", now, identity == NULL ? "" : identity, identity == NULL ? "" : identity);
    return db_list(rows, shown_token, err);
}

int tokens_tidy(struct db *db, int64_t now, struct err *err)
{
    static const char *const statements[] = {"DELETE FROM auth_tokens WHERE expires <= ?",
                                             "DELETE FROM auth_codes WHERE expires <= ?",
                                             "DELETE FROM auth_sessions WHERE expires <= ?",
                                             "DELETE FROM auth_flows WHERE expires <= ?"};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (db_run(db, err, statements[i], "i", now) < 0)
            return -1;
    return 0;
}
