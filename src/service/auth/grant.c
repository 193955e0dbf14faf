#include "service/auth/grant.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "service/auth/people.h"
#include "service/auth/secret.h"

struct grant *grant_ref(struct grant *g)
{
    g->refs++;
    return g;
}

void grant_unref(struct grant *g)
{
    if (g == NULL || --g->refs > 0)
        return;
    free(g->server);
    free(g->scope);
    free(g->family);
    free((char *)g->who.username);
    free((char *)g->who.name);
    free((char *)g->who.email);
    free((char *)g->who.client_id);
    json_object_put(g->who.identity_set);
    json_object_put(g->who.session);
    free(g);
}

/* Fills who from the ledger: 1, 0 when the identity is gone or disabled, -1. */
static int load_who(struct db *db, const char *identity, struct auth_who *who, struct err *err)
{
    struct person p;
    int rc = person_by_id(db, identity, &p, err);
    if (rc == 1 && p.disabled)
        rc = 0;
    if (rc == 1) {
        memcpy(who->sub, p.id, UUID_TEXT);
        who->username = xstrdup(p.username);
        who->name = xstrdup(p.name);
        who->email = xstrdup(p.email);
        who->identity_set = people_set(db, p.set_id, p.id, err);
        int admin = who->identity_set == NULL ? -1 : people_set_is_admin(db, p.set_id, err);
        who->is_admin = admin == 1;
        if (admin < 0)
            rc = -1;
    }
    person_free(&p);
    return rc;
}

/* Is the program that holds the token still welcome?  1, 0, -1. */
static int client_is_open(struct db *db, const char *id, struct err *err)
{
    struct client c;
    int rc = client_by_id(db, id, &c, err);
    if (rc == 1 && c.disabled)
        rc = 0;
    client_free(&c);
    return rc;
}

static struct json_object *session_tree(const char *text)
{
    struct json_object *o =
        text == NULL ? NULL : json_read(text, strlen(text), 65536, "session", NULL);
    return o != NULL ? o : json_object_new_object();
}

static int finish(struct db *db, int rc, const char *identity, struct grant *g, struct grant **out,
                  struct err *err)
{
    if (rc == 1)
        rc = load_who(db, identity, &g->who, err);
    if (rc == 1 && g->who.client_id != NULL)
        rc = client_is_open(db, g->who.client_id, err);
    if (rc == 1)
        *out = g;
    else
        grant_unref(g);
    return rc;
}

int grant_load_token(struct db *db, const char *hash, int64_t now, struct grant **out,
                     struct err *err)
{
    *out = NULL;
    struct db_rows *rows = db_query(db, err,
                                    "SELECT kind, family, identity, client, server, scope, "
                                    "session, issued, expires, used FROM auth_tokens WHERE hash = "
                                    "?",
                                    "s", hash);
    if (rows == NULL)
        return -1;
    struct grant *g = xcalloc(1, sizeof *g);
    g->refs = 1;
    char identity[UUID_TEXT] = "";
    int rc = db_next(rows, err);
    if (rc == 1) {
        bool access = strcmp(db_text(rows, 0), "access") == 0;
        g->kind = access ? SECRET_ACCESS : SECRET_REFRESH;
        g->family = xstrdup(db_text(rows, 1));
        id_copy(identity, db_text(rows, 2));
        g->who.client_id = xstrdup(db_text(rows, 3));
        g->server = xstrdup(db_text(rows, 4));
        g->scope = xstrdup(db_text(rows, 5));
        g->who.session = session_tree(db_text(rows, 6));
        g->issued = db_int(rows, 7);
        g->expires = db_int(rows, 8);
        if (g->expires <= now || (!access && db_int(rows, 9) != 0))
            rc = 0;
    }
    db_rows_end(rows);
    return finish(db, rc, identity, g, out, err);
}

int grant_load_session(struct db *db, const char *hash, int64_t now, struct grant **out,
                       struct err *err)
{
    *out = NULL;
    struct db_rows *rows = db_query(
        db, err, "SELECT identity, session, created, expires FROM auth_sessions WHERE hash = ?",
        "s", hash);
    if (rows == NULL)
        return -1;
    struct grant *g = xcalloc(1, sizeof *g);
    g->refs = 1;
    g->kind = SECRET_SESSION;
    char identity[UUID_TEXT] = "";
    int rc = db_next(rows, err);
    if (rc == 1) {
        id_copy(identity, db_text(rows, 0));
        g->server = xstrdup("");
        g->scope = xstrdup("");
        g->family = xstrdup("");
        g->who.session = session_tree(db_text(rows, 1));
        g->issued = db_int(rows, 2);
        g->expires = db_int(rows, 3);
        if (g->expires <= now)
            rc = 0;
    }
    db_rows_end(rows);
    return finish(db, rc, identity, g, out, err);
}
