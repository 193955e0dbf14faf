/* Projects and policies: what `globus-compute-endpoint configure` makes for an endpoint's
 * authentication policy, and the question that Compute asks at a submit. */
#include <string.h>

#include "lib/base/alloc.h"
#include "service/auth/policy.h"
#include "service/auth/private.h"

#define PROJECTS_MAX 100 /* of one owner */

struct edit {
    struct auth *a;
    struct req *r;
    struct json_object *mine;     /* identity set of who asks */
    struct json_object *document; /* to be kept */
    const char *table;            /* "project", "policy" */
    char owner[UUID_TEXT], id[UUID_TEXT];
    struct json_object *list;
    struct err refusal; /* code = HTTP status */
};

static void edit_free(struct edit *e)
{
    req_unref(e->r);
    json_object_put(e->mine);
    json_object_put(e->document);
    json_object_put(e->list);
    free(e);
}

static struct edit *edit_create(struct req *r, const struct auth_who *who)
{
    struct edit *e = xcalloc(1, sizeof *e);
    e->a = req_arg(r);
    e->r = req_ref(r);
    e->mine = json_object_get(who->identity_set);
    memcpy(e->owner, who->sub, UUID_TEXT);
    return e;
}

static void answered(void *arg, int rc, const struct err *err)
{
    struct edit *e = arg;
    struct json_object *body = json_object_new_object();
    if (rc != 0) {
        oauth_ledger_failed(e->r, err);
    } else if (e->refusal.code != 0) {
        oauth_refuse(e->r, e->refusal.code,
                     e->refusal.code == 404 ? "not_found" : "invalid_request", "%s",
                     e->refusal.text);
    } else if (e->list != NULL) {
        json_add(body, "projects", json_object_get(e->list));
        oauth_reply(e->r, json_object_get(body));
    } else {
        json_add_str(e->document, "id", e->id);
        json_add(body, e->table, json_object_get(e->document));
        oauth_reply(e->r, json_object_get(body));
    }
    json_object_put(body);
    edit_free(e);
}

/* ---- projects -------------------------------------------------------------------------------- */

static bool is_mine(struct json_object *mine, const char *id)
{
    size_t n = json_object_array_length(mine);
    for (size_t i = 0; i < n; i++)
        if (strcmp(json_str_or(json_object_array_get_idx(mine, i), "sub", ""), id) == 0)
            return true;
    return false;
}

static int list_job(struct db *db, void *arg, struct err *err)
{
    struct edit *e = arg;
    json_object_put(e->list);
    e->list = json_object_new_array();
    size_t n = json_object_array_length(e->mine);
    for (size_t i = 0; i < n; i++) {
        struct db_rows *rows =
            db_query(db, err, "SELECT id, document FROM auth_projects WHERE owner = ? ORDER BY id",
                     "s", json_str_or(json_object_array_get_idx(e->mine, i), "sub", ""));
        if (rows == NULL)
            return -1;
        int rc;
        while ((rc = db_next(rows, err)) == 1) {
            const char *text = db_text(rows, 1);
            struct json_object *o = json_read(text, strlen(text), 1u << 20, "a project", NULL);
            if (o == NULL)
                continue;
            json_add_str(o, "id", db_text(rows, 0));
            json_object_array_add(e->list, o);
        }
        db_rows_end(rows);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static void list_projects(struct req *r, const struct auth_who *who)
{
    struct edit *e = edit_create(r, who);
    store_read(e->a->store, list_job, answered, e);
}

void auth_projects(struct req *r)
{
    auth_own(req_arg(r), r, SCOPE_PROJECTS, list_projects);
}

static int insert(struct db *db, struct edit *e, const char *project, struct err *err)
{
    struct buf text = BUF_INIT;
    json_write(&text, e->document);
    uuid_random(e->id);
    int64_t n =
        project == NULL
            ? db_run(db, err,
                     "INSERT INTO auth_projects (id, owner, document, created) VALUES (?, ?, ?, ?)",
                     "sssi", e->id, e->owner, text.data, auth_now())
            : db_run(db, err,
                     "INSERT INTO auth_policies (id, project, owner, document, created) VALUES (?, "
                     "?, ?, ?, ?)",
                     "ssssi", e->id, project, e->owner, text.data, auth_now());
    buf_free(&text);
    return n < 0 ? -1 : 0;
}

/* Rows of that owner in a table of projects or policies. */
static int64_t count(struct db *db, const char *sql, const char *owner, struct err *err)
{
    struct db_rows *rows = db_query(db, err, sql, "s", owner);
    if (rows == NULL)
        return -1;
    int rc = db_next(rows, err);
    int64_t n = rc == 1 ? db_int(rows, 0) : rc;
    db_rows_end(rows);
    return n;
}

static int project_job(struct db *db, void *arg, struct err *err)
{
    struct edit *e = arg;
    int64_t n = count(db, "SELECT COUNT(*) FROM auth_projects WHERE owner = ?", e->owner, err);
    if (n < 0)
        return -1;
    if (n >= PROJECTS_MAX) {
        err_code(&e->refusal, 409, "You own %d projects already; no more are possible.",
                 PROJECTS_MAX);
        return 0;
    }
    return insert(db, e, NULL, err);
}

static void make_project(struct req *r, const struct auth_who *who)
{
    struct json_object *body = req_json(r), *project, *document;
    struct err err = ERR_INIT;
    const char *name;
    if (body == NULL)
        return;
    if (json_get_obj(body, "project", &project, &err) != 0 ||
        json_get_str(project, "display_name", &name, &err) != 0) {
        oauth_refuse(r, 400, "invalid_request", "%s.", err.text);
        return;
    }
    if (strlen(name) > 255) {
        oauth_refuse(r, 400, "invalid_request", "display_name is longer than 255 bytes.");
        return;
    }
    struct edit *e = edit_create(r, who);
    document = e->document = json_object_new_object();
    e->table = "project";
    static const char *const kept[] = {"display_name", "contact_email", "admin_ids",
                                       "admin_group_ids"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (json_at(project, kept[i]) != NULL)
            json_add(document, kept[i], json_object_get(json_at(project, kept[i])));
    store_write(e->a->store, project_job, answered, e);
}

void auth_project_make(struct req *r)
{
    auth_own(req_arg(r), r, SCOPE_PROJECTS, make_project);
}

/* ---- policies -------------------------------------------------------------------------------- */

static int policy_job(struct db *db, void *arg, struct err *err)
{
    struct edit *e = arg;
    const char *project = json_str_or(e->document, "project_id", "");
    struct db_rows *rows =
        db_query(db, err, "SELECT owner FROM auth_projects WHERE id = ?", "s", project);
    if (rows == NULL)
        return -1;
    int rc = db_next(rows, err);
    bool mine = rc == 1 && is_mine(e->mine, db_text(rows, 0));
    db_rows_end(rows);
    if (rc < 0)
        return -1;
    if (!mine) {
        err_code(&e->refusal, 404, "You have no project %.64s.", project);
        return 0;
    }
    int64_t n = count(db, "SELECT COUNT(*) FROM auth_policies WHERE owner = ?", e->owner, err);
    if (n < 0)
        return -1;
    if (n >= PROJECTS_MAX * 10) {
        err_code(&e->refusal, 409, "You own %d policies already; no more are possible.",
                 PROJECTS_MAX * 10);
        return 0;
    }
    return insert(db, e, project, err);
}

static void make_policy(struct req *r, const struct auth_who *who)
{
    struct json_object *body = req_json(r), *policy;
    struct err err = ERR_INIT;
    if (body == NULL)
        return;
    struct json_object *document =
        json_get_obj(body, "policy", &policy, &err) == 0 ? policy_read(policy, &err) : NULL;
    if (document == NULL) {
        oauth_refuse(r, 400, "invalid_request", "%s.", err.text);
        return;
    }
    struct edit *e = edit_create(r, who);
    e->document = document;
    e->table = "policy";
    store_write(e->a->store, policy_job, answered, e);
}

void auth_policy_make(struct req *r)
{
    auth_own(req_arg(r), r, SCOPE_PROJECTS, make_policy);
}

/* ---- the question at a submit -----------------------------------------------------------------
 */

struct question {
    char id[UUID_TEXT];
    struct json_object *identity_set, *session, *document;
    void (*then)(void *arg, int rc, struct json_object *parameters);
    void *arg;
};

static int question_job(struct db *db, void *arg, struct err *err)
{
    struct question *q = arg;
    json_object_put(q->document);
    return policy_load(db, q->id, &q->document, err) < 0 ? -1 : 0;
}

static void question_done(void *arg, int rc, const struct err *err)
{
    struct question *q = arg;
    struct json_object *parameters = NULL;
    if (rc == 0 && q->document != NULL) {
        rc = policy_evaluate(q->document, q->id, q->identity_set, q->session, auth_now(),
                             &parameters);
    } else {
        /* Without the policy nobody can say that it is satisfied. */
        parameters = json_object_new_object();
        autofree char *text =
            xasprintf(rc == 0 ? "This service doesn't know the endpoint's authentication policy %s."
                              : "The authentication policy %s could not be read; try again.",
                      q->id);
        json_add_str(parameters, "session_message", text);
        rc = -1;
    }
    q->then(q->arg, rc, parameters);
    json_object_put(q->identity_set);
    json_object_put(q->session);
    json_object_put(q->document);
    free(q);
}

void auth_policy(struct auth *a, const char *policy_id, const struct auth_who *who,
                 void (*then)(void *arg, int rc, struct json_object *parameters), void *arg)
{
    struct question *q = xcalloc(1, sizeof *q);
    id_copy(q->id, policy_id);
    q->identity_set = json_object_get(who->identity_set);
    q->session = json_object_get(who->session);
    q->then = then;
    q->arg = arg;
    store_read(a->store, question_job, question_done, q);
}
