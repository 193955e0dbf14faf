#include "service/auth/admin.h"

#include <errno.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "service/auth/people.h"
#include "service/auth/tokens.h"

#define CLIENT_DOMAIN "clients.auth.globus.org" /* of client identities, as upstream has it */

static int text_is_fine(const char *what, const char *text, struct err *err)
{
    if (text == NULL)
        return 0;
    if (strlen(text) > PEOPLE_TEXT_MAX)
        return err_set(err, "the %s is longer than %d bytes", what, PEOPLE_TEXT_MAX);
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++)
        if (*p < ' ' || *p == 0x7f)
            return err_set(err, "the %s has a control character in it", what);
    return 0;
}

static struct json_object *show(const struct person *p)
{
    struct json_object *o = json_object_new_object();
    json_add_str(o, "id", p->id);
    json_add_str(o, "username", p->username);
    json_add_str(o, "name", p->name);
    json_add_str(o, "email", p->email);
    json_add_bool(o, "admin", p->is_admin);
    json_add_str(o, "identity_set", p->set_id);
    return o;
}

/* The identity set of `name` into set_id; nothing when name is NULL. */
static int set_of(struct db *db, const char *name, const char *domain, char set_id[UUID_TEXT],
                  struct err *err)
{
    if (name == NULL)
        return 0;
    struct person other;
    int rc = person_named(db, name, domain, &other, err);
    if (rc == 0)
        id_copy(set_id, other.set_id);
    person_free(&other);
    return rc;
}

struct json_object *admin_user_add(struct db *db, const struct admin_user *user, const char *domain,
                                   struct err *err)
{
    struct person p = {.id = ""};
    struct json_object *shown = NULL;
    if (text_is_fine("name", user->name, err) != 0 || text_is_fine("e-mail", user->email, err) ||
        text_is_fine("organization", user->organization, err) ||
        person_username(user->username, domain, &p.username, err) != 0 ||
        set_of(db, user->link_to, domain, p.set_id, err) != 0)
        goto out;
    p.name =
        user->name != NULL ? xstrdup(user->name) : xstrndup(p.username, strcspn(p.username, "@"));
    p.email = xstrdup(user->email != NULL ? user->email : p.username);
    p.organization = xstrdup(user->organization != NULL ? user->organization : "");
    p.source = xstrdup(SOURCE_LOCAL);
    p.subject = xstrdup(p.username);
    p.provider_name = xstrdup("Sallyport");
    p.password = xstrdup(user->password_hash);
    p.is_admin = user->is_admin;
    if (person_insert(db, &p, err) == 0)
        shown = show(&p);
out:
    person_free(&p);
    return shown;
}

/* Finds one, lets `change` work on it, writes it back. */
static int change(struct db *db, const char *name, const char *domain,
                  int (*change_f)(struct person *p, const void *arg, struct err *err),
                  const void *arg, bool revoke, struct err *err)
{
    struct person p;
    int rc = person_named(db, name, domain, &p, err);
    if (rc == 0)
        rc = change_f(&p, arg, err);
    if (rc == 0)
        rc = person_update(db, &p, err);
    if (rc == 0 && revoke)
        rc = person_revoke(db, p.id, err);
    person_free(&p);
    return rc;
}

static int new_password(struct person *p, const void *arg, struct err *err)
{
    if (strcmp(p->source, SOURCE_LOCAL) != 0)
        return err_set(err, "%s signs in by %s; its password is kept there", p->username,
                       p->is_client ? "a client secret (make another with `sallyport client add`)"
                                    : p->provider_name);
    wipe_free(p->password);
    p->password = xstrdup(arg);
    return 0;
}

int admin_password(struct db *db, const char *name, const char *password_hash, const char *domain,
                   struct err *err)
{
    return change(db, name, domain, new_password, password_hash, true, err);
}

static int new_admin(struct person *p, const void *arg, struct err *err)
{
    p->is_admin = *(const bool *)arg;
    return 0;
}

int admin_set_admin(struct db *db, const char *name, bool is_admin, const char *domain,
                    struct err *err)
{
    return change(db, name, domain, new_admin, &is_admin, false, err);
}

static int new_disabled(struct person *p, const void *arg, struct err *err)
{
    p->disabled = *(const bool *)arg;
    return 0;
}

int admin_disable(struct db *db, const char *name, bool disabled, const char *domain,
                  struct err *err)
{
    return change(db, name, domain, new_disabled, &disabled, disabled, err);
}

int admin_link(struct db *db, const char *name, const char *to, const char *domain, struct err *err)
{
    struct person p, other = {.id = ""};
    int rc = person_named(db, name, domain, &p, err);
    if (rc == 0 && to != NULL)
        rc = person_named(db, to, domain, &other, err);
    if (rc == 0 && to != NULL && strcmp(p.set_id, other.set_id) != 0)
        rc = db_run(db, err, "UPDATE auth_identities SET set_id = ? WHERE set_id = ?", "ss",
                    other.set_id, p.set_id) < 0
                 ? -1
                 : 0;
    if (rc == 0 && to == NULL) {
        uuid_random(p.set_id);
        rc = person_update(db, &p, err);
    }
    person_free(&p);
    person_free(&other);
    return rc;
}

/* A client may be called by its name when only one has it. */
static int find_client(struct db *db, const char *name, char id[UUID_TEXT], struct err *err)
{
    if (uuid_parse(name, id))
        return 0;
    struct db_rows *rows =
        db_query(db, err, "SELECT id FROM auth_clients WHERE name = ? ORDER BY id", "s", name);
    if (rows == NULL)
        return -1;
    int n = 0, rc;
    while ((rc = db_next(rows, err)) == 1)
        if (n++ == 0)
            id_copy(id, db_text(rows, 0));
    db_rows_end(rows);
    if (rc < 0)
        return -1;
    if (n > 1)
        return err_set(err,
                       "%d clients are called \"%s\"; name one by its id (`sallyport client "
                       "list`)",
                       n, name);
    if (n == 0)
        id[0] = '\0';
    return 0;
}

int admin_remove(struct db *db, const char *name, const char *kind, const char *domain,
                 struct err *err)
{
    bool client = strcmp(kind, "client") == 0;
    char id[UUID_TEXT] = "";
    if (client && find_client(db, name, id, err) != 0)
        return -1;
    if (client) {
        struct client c;
        int rc = id[0] == '\0' ? 0 : client_by_id(db, id, &c, err);
        if (rc == 1)
            client_free(&c);
        if (rc == 0)
            return err_code(err, ENOENT,
                            "there is no client \"%s\"; `sallyport client list` "
                            "shows who there is",
                            name);
        return rc < 0 ? -1 : person_delete(db, id, err);
    }
    struct person p;
    int rc = person_named(db, name, domain, &p, err);
    if (rc == 0 && p.is_client)
        rc = err_set(err, "\"%s\" is a client; remove it with `sallyport client remove`", name);
    if (rc == 0)
        rc = person_delete(db, p.id, err);
    person_free(&p);
    return rc;
}

int admin_revoke(struct db *db, const char *name, const char *domain, struct err *err)
{
    char id[UUID_TEXT] = "";
    struct person p = {.id = ""};
    int rc = find_client(db, name, id, err);
    if (rc == 0 && id[0] == '\0') {
        rc = person_named(db, name, domain, &p, err);
        id_copy(id, p.id);
    }
    if (rc == 0) {
        /* The id may also be that of one sign-in, as `token list` shows it. */
        rc = person_revoke(db, id, err);
        if (rc == 0)
            rc = tokens_end_family(db, id, err);
    }
    person_free(&p);
    return rc;
}

/* ---- clients --------------------------------------------------------------------------------- */

static int insert_identity(struct db *db, const struct admin_client *client, const struct client *c,
                           const char *domain, struct err *err)
{
    struct person p = {.is_client = true};
    id_copy(p.id, c->id);
    int rc = set_of(db, client->link_to, domain, p.set_id, err);
    if (rc == 0) {
        p.username = xasprintf("%s@%s", c->id, CLIENT_DOMAIN);
        p.name = xstrdup(c->name);
        p.email = xstrdup("");
        p.organization = xstrdup("");
        p.source = xstrdup(SOURCE_CLIENT);
        p.subject = xstrdup(c->id);
        p.provider_name = xstrdup("Sallyport clients");
        rc = person_insert(db, &p, err);
    }
    person_free(&p);
    return rc;
}

struct json_object *admin_client_add(struct db *db, const struct admin_client *client,
                                     const char *domain, struct err *err)
{
    if (text_is_fine("name", client->name, err) != 0)
        return NULL;
    struct client c = {.created = (int64_t)clock_unix()};
    uuid_random(c.id);
    c.name = xstrdup(client->name);
    c.secret = xstrdup(client->secret_hash);
    c.redirect_uris = xstrdup(client->redirect_uris != NULL ? client->redirect_uris : "");
    struct json_object *o = NULL;
    if (client_insert(db, &c, err) == 0 &&
        (c.secret == NULL || insert_identity(db, client, &c, domain, err) == 0)) {
        o = json_object_new_object();
        json_add_str(o, "client_id", c.id);
        json_add_str(o, "name", c.name);
    }
    client_free(&c);
    return o;
}

static struct json_object *shown_client(struct db_rows *rows)
{
    struct json_object *o = json_object_new_object();
    json_add_str(o, "client_id", db_text(rows, 0));
    json_add_str(o, "name", db_text(rows, 1));
    json_add_str(o, "kind", db_is_null(rows, 2) ? "native" : "confidential");
    json_add_str(o, "username", db_text(rows, 5));
    json_add_str(o, "identity_set", db_text(rows, 6));
    json_add_bool(o, "disabled", db_int(rows, 3) != 0 || db_int(rows, 7) != 0);
    json_add_int(o, "created", db_int(rows, 4));
    return o;
}

struct json_object *admin_clients(struct db *db, struct err *err)
{
    struct db_rows *rows =
        db_query(db, err,
                 "SELECT c.id, c.name, c.secret, c.disabled, c.created, i.username, i.set_id, "
                 "i.disabled FROM auth_clients c LEFT JOIN auth_identities i ON i.id = c.id ORDER "
                 "BY c.name, c.id",
                 "");
    return db_list(rows, shown_client, err);
}
