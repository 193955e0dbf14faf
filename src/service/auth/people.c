#include "service/auth/people.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"

#define COLUMNS                                                                                    \
    "id, set_id, kind, username, name, email, organization, source, subject, provider_name, "      \
    "password, is_admin, disabled, created, last_auth"

/* Name space of the ids of identity providers: a UUIDv5 of the source's name. */
#define PROVIDER_SPACE "5d1d5b0e-7f1c-4b55-8c0e-6a3f0e6c9a11"

void person_free(struct person *p)
{
    free(p->username);
    free(p->name);
    free(p->email);
    free(p->organization);
    free(p->source);
    free(p->subject);
    free(p->provider_name);
    wipe_free(p->password);
    *p = (struct person){.id = ""};
}

static bool plain(const char *s)
{
    for (const unsigned char *p = (const unsigned char *)s; *p != '\0'; p++)
        if (*p <= ' ' || *p == 0x7f || strchr("\"'\\<>/,;:()[]", *p) != NULL)
            return false;
    return true;
}

int person_username(const char *typed, const char *domain, char **out, struct err *err)
{
    *out = NULL;
    if (typed == NULL || *typed == '\0')
        return err_set(err, "the user name is empty");
    if (strlen(typed) > PEOPLE_TEXT_MAX)
        return err_set(err, "the user name is longer than %d bytes", PEOPLE_TEXT_MAX);
    if (!plain(typed))
        return err_set(err, "the user name has a blank or one of \"'\\<>/,;:()[] in it");
    const char *at = strchr(typed, '@');
    if (at != NULL && (at == typed || at[1] == '\0' || strchr(at + 1, '@') != NULL))
        return err_set(err, "the user name \"%s\" is not of the form name@domain", typed);
    *out = at != NULL ? xstrdup(typed) : xasprintf("%s@%s", typed, domain);
    for (char *p = *out; *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + 'a' - 'A');
    return 0;
}

void id_copy(char out[UUID_TEXT], const char *text)
{
    size_t n = text == NULL ? 0 : strnlen(text, UUID_TEXT - 1);
    memcpy(out, text == NULL ? "" : text, n);
    out[n] = '\0';
}

static char *text(struct db_rows *rows, int column)
{
    const char *s = db_text(rows, column);
    return xstrdup(s == NULL ? "" : s);
}

static void fill(struct db_rows *rows, struct person *p)
{
    id_copy(p->id, db_text(rows, 0));
    id_copy(p->set_id, db_text(rows, 1));
    const char *kind = db_text(rows, 2);
    p->is_client = kind != NULL && strcmp(kind, "client") == 0;
    p->username = text(rows, 3);
    p->name = text(rows, 4);
    p->email = text(rows, 5);
    p->organization = text(rows, 6);
    p->source = text(rows, 7);
    p->subject = text(rows, 8);
    p->provider_name = text(rows, 9);
    p->password = xstrdup(db_text(rows, 10));
    p->is_admin = db_int(rows, 11) != 0;
    p->disabled = db_int(rows, 12) != 0;
    p->created = db_int(rows, 13);
    p->last_auth = db_int(rows, 14);
}

static int one(struct db_rows *rows, struct person *out, struct err *err)
{
    *out = (struct person){.id = ""};
    if (rows == NULL)
        return -1;
    int rc = db_next(rows, err);
    if (rc == 1)
        fill(rows, out);
    db_rows_end(rows);
    return rc;
}

int person_by_id(struct db *db, const char *id, struct person *out, struct err *err)
{
    return one(db_query(db, err, "SELECT " COLUMNS " FROM auth_identities WHERE id = ?", "s", id),
               out, err);
}

int person_by_username(struct db *db, const char *username, struct person *out, struct err *err)
{
    return one(db_query(db, err, "SELECT " COLUMNS " FROM auth_identities WHERE username = ?", "s",
                        username),
               out, err);
}

int person_by_subject(struct db *db, const char *source, const char *subject, struct person *out,
                      struct err *err)
{
    return one(db_query(db, err,
                        "SELECT " COLUMNS " FROM auth_identities WHERE source = ? AND subject = ?",
                        "ss", source, subject),
               out, err);
}

int person_named(struct db *db, const char *name, const char *domain, struct person *out,
                 struct err *err)
{
    char id[UUID_TEXT];
    int rc = 0;
    if (uuid_parse(name, id))
        rc = person_by_id(db, id, out, err);
    if (rc == 0) {
        autofree char *username = NULL;
        if (person_username(name, domain, &username, err) != 0)
            return -1;
        rc = person_by_username(db, username, out, err);
    }
    if (rc == 0)
        return err_code(err, ENOENT,
                        "there is no user or client \"%s\"; `sallyport user list` and `sallyport "
                        "client list` show who there is",
                        name);
    return rc < 0 ? -1 : 0;
}

int person_insert(struct db *db, struct person *p, struct err *err)
{
    struct person other;
    int rc = person_by_username(db, p->username, &other, err);
    if (rc < 0)
        return -1;
    if (rc > 0) {
        person_free(&other);
        return err_code(err, EEXIST, "there is a user or client \"%s\" already", p->username);
    }
    if (p->id[0] == '\0')
        uuid_random(p->id);
    if (p->set_id[0] == '\0')
        uuid_random(p->set_id);
    if (p->created == 0)
        p->created = (int64_t)clock_unix();
    return db_run(db, err,
                  "INSERT INTO auth_identities (" COLUMNS
                  ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                  "sssssssssssiiii", p->id, p->set_id, p->is_client ? "client" : "user",
                  p->username, p->name, p->email, p->organization, p->source, p->subject,
                  p->provider_name, p->password, (int64_t)p->is_admin, (int64_t)p->disabled,
                  p->created, p->last_auth) < 0
               ? -1
               : 0;
}

int person_update(struct db *db, const struct person *p, struct err *err)
{
    return db_run(db, err,
                  "UPDATE auth_identities SET set_id = ?, name = ?, email = ?, organization = ?, "
                  "provider_name = ?, password = ?, is_admin = ?, disabled = ?, last_auth = ? "
                  "WHERE id = ?",
                  "ssssssiiis", p->set_id, p->name, p->email, p->organization, p->provider_name,
                  p->password, (int64_t)p->is_admin, (int64_t)p->disabled, p->last_auth, p->id) < 0
               ? -1
               : 0;
}

int person_revoke(struct db *db, const char *id, struct err *err)
{
    static const char *const statements[] = {"DELETE FROM auth_tokens WHERE identity = ?",
                                             "DELETE FROM auth_codes WHERE identity = ?",
                                             "DELETE FROM auth_sessions WHERE identity = ?"};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (db_run(db, err, statements[i], "s", id) < 0)
            return -1;
    return 0;
}

int person_delete(struct db *db, const char *id, struct err *err)
{
    if (person_revoke(db, id, err) != 0 ||
        db_run(db, err, "DELETE FROM auth_tokens WHERE client = ?", "s", id) < 0 ||
        db_run(db, err, "DELETE FROM auth_clients WHERE id = ?", "s", id) < 0 ||
        db_run(db, err, "DELETE FROM auth_identities WHERE id = ?", "s", id) < 0)
        return -1;
    return 0;
}

struct json_object *person_identity(const struct person *p)
{
    char provider[UUID_TEXT];
    uuid_v5(PROVIDER_SPACE, p->source, provider);
    struct json_object *o = json_object_new_object();
    json_add_str(o, "sub", p->id);
    json_add_str(o, "id", p->id);
    json_add_str(o, "username", p->username);
    json_add_str(o, "name", p->name);
    json_add_str(o, "email", p->email);
    json_add_str(o, "organization", p->organization);
    json_add_str(o, "identity_provider", provider);
    json_add_str(o, "identity_provider_display_name", p->provider_name);
    json_add_str(o, "identity_type", "login");
    json_add_str(o, "status", "used");
    json_add_int(o, "last_authentication", p->last_auth);
    return o;
}

static struct json_object *row_identity(struct db_rows *rows)
{
    struct person p = {.id = ""};
    fill(rows, &p);
    struct json_object *o = person_identity(&p);
    person_free(&p);
    return o;
}

struct json_object *people_set(struct db *db, const char *set_id, const char *first,
                               struct err *err)
{
    struct db_rows *rows = db_query(db, err,
                                    "SELECT " COLUMNS " FROM auth_identities WHERE set_id = ? AND "
                                    "disabled = 0 ORDER BY CASE WHEN id = ? THEN 0 ELSE 1 END, "
                                    "created, id",
                                    "ss", set_id, first);
    return db_list(rows, row_identity, err);
}

int people_set_is_admin(struct db *db, const char *set_id, struct err *err)
{
    struct db_rows *rows = db_query(db, err,
                                    "SELECT 1 FROM auth_identities WHERE set_id = ? AND "
                                    "disabled = 0 AND is_admin <> 0 LIMIT 1",
                                    "s", set_id);
    if (rows == NULL)
        return -1;
    int rc = db_next(rows, err);
    db_rows_end(rows);
    return rc;
}

static struct json_object *row_person(struct db_rows *rows)
{
    struct person p = {.id = ""};
    fill(rows, &p);
    struct json_object *o = json_object_new_object();
    json_add_str(o, "id", p.id);
    json_add_str(o, "username", p.username);
    json_add_str(o, "name", p.name);
    json_add_str(o, "email", p.email);
    json_add_str(o, "organization", p.organization);
    json_add_str(o, "kind", p.is_client ? "client" : "user");
    json_add_str(o, "source", p.source);
    json_add_bool(o, "admin", p.is_admin);
    json_add_bool(o, "disabled", p.disabled);
    json_add_str(o, "identity_set", p.set_id);
    json_add_int(o, "created", p.created);
    json_add_int(o, "last_authentication", p.last_auth);
    person_free(&p);
    return o;
}

struct json_object *people_list(struct db *db, const char *kind, struct err *err)
{
    struct db_rows *rows = db_query(db, err,
                                    "SELECT " COLUMNS " FROM auth_identities WHERE kind = ? OR ? = "
                                    "'' ORDER BY username",
                                    "ss", kind == NULL ? "" : kind, kind == NULL ? "" : kind);
    return db_list(rows, row_person, err);
}

/* ---- clients --------------------------------------------------------------------------------- */

void client_free(struct client *c)
{
    free(c->name);
    wipe_free(c->secret);
    free(c->redirect_uris);
    *c = (struct client){.id = ""};
}

int client_by_id(struct db *db, const char *id, struct client *out, struct err *err)
{
    *out = (struct client){.id = ""};
    struct db_rows *rows = db_query(db, err,
                                    "SELECT id, name, secret, redirect_uris, disabled, created "
                                    "FROM auth_clients WHERE id = ?",
                                    "s", id);
    if (rows == NULL)
        return -1;
    int rc = db_next(rows, err);
    if (rc == 1) {
        id_copy(out->id, db_text(rows, 0));
        out->name = text(rows, 1);
        out->secret = xstrdup(db_text(rows, 2));
        out->redirect_uris = text(rows, 3);
        out->disabled = db_int(rows, 4) != 0;
        out->created = db_int(rows, 5);
    } else if (rc == 0 && strcmp(id, NATIVE_CLIENT) == 0) {
        id_copy(out->id, NATIVE_CLIENT);
        out->name = xstrdup("Globus Compute SDK and endpoint");
        out->redirect_uris = xstrdup("");
        rc = 1;
    }
    db_rows_end(rows);
    return rc;
}

int client_insert(struct db *db, const struct client *c, struct err *err)
{
    return db_run(db, err,
                  "INSERT INTO auth_clients (id, name, secret, redirect_uris, disabled, created) "
                  "VALUES (?, ?, ?, ?, ?, ?)",
                  "ssssii", c->id, c->name, c->secret, c->redirect_uris, (int64_t)c->disabled,
                  c->created) < 0
               ? -1
               : 0;
}
