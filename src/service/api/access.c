/* See access.h. */
#include "service/api/access.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/uuid.h"

#define GROUP_NAME_MAX 64

static const char *const role_names[] = {"none", "use", "view", "operate", "configure"};

enum access_role access_role_of(const char *word)
{
    for (int i = ACCESS_USE; i <= ACCESS_CONFIGURE; i++)
        if (strcmp(word, role_names[i]) == 0)
            return (enum access_role)i;
    return ACCESS_NONE;
}

static const char *access_role_name(enum access_role role)
{
    return role_names[role];
}

/* ---- what the service asks ---- */

static int is_restricted(struct db *db, const char *endpoint, bool *restricted, struct err *err)
{
    struct db_rows *r =
        db_query(db, err, "SELECT 1 FROM endpoint_access WHERE endpoint = ? AND role = ? LIMIT 1",
                 "si", endpoint, (int64_t)ACCESS_USE);
    int rc = r ? db_next(r, err) : -1;
    db_rows_end(r);
    *restricted = rc == 1;
    return rc < 0 ? -1 : 0;
}

/* {first column: second column}, the largest of several; NULL with err. */
static struct json_object *as_object(struct db_rows *r, struct err *err)
{
    struct json_object *o = json_object_new_object(), *old;
    int rc = r ? 0 : -1;
    while (rc == 0 && (rc = db_next(r, err)) == 1) {
        rc = 0;
        if (json_object_object_get_ex(o, db_text(r, 0), &old) &&
            json_object_get_int64(old) >= db_int(r, 1))
            continue;
        json_add_int(o, db_text(r, 0), db_int(r, 1));
    }
    db_rows_end(r);
    if (rc == 0)
        return o;
    json_object_put(o);
    return NULL;
}

struct json_object *access_of_endpoint(struct db *db, const char *endpoint, bool *restricted,
                                       struct err *err)
{
    if (is_restricted(db, endpoint, restricted, err) < 0)
        return NULL;
    struct db_rows *r =
        db_query(db, err,
                 "SELECT who, role FROM endpoint_access WHERE endpoint = ? UNION ALL "
                 "SELECT m.identity, a.role FROM endpoint_access a JOIN group_members m "
                 "ON m.grp = a.who WHERE a.endpoint = ?",
                 "ss", endpoint, endpoint);
    return as_object(r, err);
}

struct json_object *access_of_group(struct db *db, const char *group, struct err *err)
{
    return as_object(
        db_query(db, err, "SELECT identity, 1 FROM group_members WHERE grp = ?", "s", group), err);
}

static int exists(struct db *db, const char *sql, const char *id, struct err *err)
{
    struct db_rows *r = db_query(db, err, sql, "s", id);
    int rc = r ? db_next(r, err) : -1;
    db_rows_end(r);
    return rc;
}

int access_group_exists(struct db *db, const char *group, struct err *err)
{
    return exists(db, "SELECT 1 FROM user_groups WHERE id = ?", group, err);
}

/* ---- administration ---- */

int access_set(struct db *db, const char *endpoint, const char *who, enum access_role role,
               struct err *err)
{
    int rc = exists(db, "SELECT 1 FROM endpoints WHERE id = ? AND deleted = 0", endpoint, err);
    if (rc <= 0)
        return rc < 0 ? -1 : err_set(err, "there is no endpoint %s", endpoint);
    if (role == ACCESS_NONE)
        return db_run(db, err, "DELETE FROM endpoint_access WHERE endpoint = ? AND who = ?", "ss",
                      endpoint, who) < 0
                   ? -1
                   : 0;
    return db_run(db, err,
                  "INSERT INTO endpoint_access(endpoint, who, role) VALUES (?, ?, ?) "
                  "ON CONFLICT(endpoint, who) DO UPDATE SET role = excluded.role",
                  "ssi", endpoint, who, (int64_t)role) < 0
               ? -1
               : 0;
}

struct json_object *access_list(struct db *db, const char *endpoint, struct err *err)
{
    struct json_object *list = json_object_new_array();
    struct db_rows *r =
        db_query(db, err,
                 "SELECT a.who, a.role, g.name, i.username FROM endpoint_access a LEFT JOIN "
                 "user_groups g ON g.id = a.who LEFT JOIN auth_identities i ON i.id = a.who "
                 "WHERE a.endpoint = ? ORDER BY a.role DESC, a.who",
                 "s", endpoint);
    int rc = r ? 1 : -1;
    while (rc == 1 && (rc = db_next(r, err)) == 1) {
        struct json_object *o = json_object_new_object();
        const char *group = db_text(r, 2), *user = db_text(r, 3);
        json_add_str(o, "who", group ? group : user ? user : db_text(r, 0));
        json_add_str(o, "id", db_text(r, 0));
        json_add_str(o, "kind", group ? "group" : "user");
        json_add_str(o, "role", access_role_name((enum access_role)db_int(r, 1)));
        json_object_array_add(list, o);
    }
    db_rows_end(r);
    if (rc == 0)
        return list;
    json_object_put(list);
    return NULL;
}

static int check_name(const char *name, struct err *err)
{
    size_t n = strlen(name);
    if (n == 0 || n > GROUP_NAME_MAX ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != n)
        return err_set(err,
                       "the group's name %.80s has to be 1 to %d letters, digits, dots, dashes or "
                       "underscores",
                       name, GROUP_NAME_MAX);
    return 0;
}

int access_group_id(struct db *db, const char *name, bool make, char id[37], struct err *err)
{
    if (check_name(name, err) < 0)
        return -1;
    struct db_rows *r = db_query(db, err, "SELECT id FROM user_groups WHERE name = ?", "s", name);
    int rc = r ? db_next(r, err) : -1;
    if (rc == 1)
        snprintf(id, UUID_TEXT, "%s", db_text(r, 0));
    db_rows_end(r);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (!make)
        return err_set(err, "there is no group %s", name);
    uuid_random(id);
    return db_run(db, err, "INSERT INTO user_groups(id, name, created_us) VALUES (?, ?, ?)", "ssi",
                  id, name, (int64_t)(clock_unix() * 1e6)) < 0
               ? -1
               : 0;
}

int access_group_member(struct db *db, const char *group, const char *identity, bool in,
                        struct err *err)
{
    const char *sql = in ? "INSERT INTO group_members(grp, identity) VALUES (?, ?) "
                           "ON CONFLICT(grp, identity) DO NOTHING"
                         : "DELETE FROM group_members WHERE grp = ? AND identity = ?";
    return db_run(db, err, sql, "ss", group, identity) < 0 ? -1 : 0;
}

int access_group_remove(struct db *db, const char *group, struct err *err)
{
    return db_run(db, err, "DELETE FROM group_members WHERE grp = ?", "s", group) < 0 ||
                   db_run(db, err, "DELETE FROM endpoint_access WHERE who = ?", "s", group) < 0 ||
                   db_run(db, err, "DELETE FROM user_groups WHERE id = ?", "s", group) < 0
               ? -1
               : 0;
}

static void end_group(struct json_object *list, struct json_object *o, struct buf *members)
{
    if (!o)
        return;
    json_add_str(o, "members", members->len ? members->data : "");
    json_object_array_add(list, o);
    buf_clear(members);
}

struct json_object *access_groups(struct db *db, struct err *err)
{
    struct json_object *list = json_object_new_array(), *o = NULL;
    autobuf struct buf members = BUF_INIT;
    struct db_rows *r =
        db_query(db, err,
                 "SELECT g.name, g.id, COALESCE(i.username, m.identity) FROM user_groups g "
                 "LEFT JOIN group_members m ON m.grp = g.id LEFT JOIN auth_identities i "
                 "ON i.id = m.identity ORDER BY g.name, 3",
                 "");
    int rc = r ? 1 : -1;
    while (rc == 1 && (rc = db_next(r, err)) == 1) {
        if (!o || strcmp(json_str_or(o, "id", ""), db_text(r, 1)) != 0) {
            end_group(list, o, &members);
            o = json_object_new_object();
            json_add_str(o, "name", db_text(r, 0));
            json_add_str(o, "id", db_text(r, 1));
        }
        if (!db_is_null(r, 2)) {
            buf_str(&members, members.len ? ", " : "");
            buf_str(&members, db_text(r, 2));
        }
        buf_char(&members, '\0');
        members.len--;
    }
    db_rows_end(r);
    end_group(list, o, &members);
    if (rc == 0)
        return list;
    json_object_put(list);
    return NULL;
}
