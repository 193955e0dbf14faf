/* group add, remove, list; endpoint allow, deny, access */
#include <stdio.h>
#include <string.h>

#include "cli/sallyport/commands.h"
#include "cli/sallyport/ledger.h"
#include "cli/sallyport/show.h"
#include "lib/base/alloc.h"
#include "lib/base/uuid.h"
#include "service/api/access.h"
#include "service/auth/people.h"

#define GROUP_PREFIX "group:"

struct work {
    const struct args *a;
    const char *domain;
    struct json_object *out;
    char endpoint[UUID_TEXT];
    enum access_role role;
};

static void prepare(void *arg, struct ledger *l)
{
    ((struct work *)arg)->domain = ledger_domain(l);
}

static int identity_of(struct db *db, struct work *w, const char *name, char id[UUID_TEXT],
                       struct err *err)
{
    struct person p = {.id = ""};
    int rc = person_named(db, name, w->domain, &p, err);
    if (rc == 0)
        snprintf(id, UUID_TEXT, "%s", p.id);
    person_free(&p);
    return rc;
}

static int who_of(struct db *db, struct work *w, const char *word, char id[UUID_TEXT],
                  struct err *err)
{
    size_t n = strlen(GROUP_PREFIX);
    return strncmp(word, GROUP_PREFIX, n) == 0 ? access_group_id(db, word + n, false, id, err)
                                               : identity_of(db, w, word, id, err);
}

/* ---- groups ---- */

static int change_members(struct db *db, struct work *w, bool in, const char *group,
                          struct err *err)
{
    const char *user;
    char id[UUID_TEXT];
    for (size_t i = 1; (user = args_operand(w->a, i)) != NULL; i++)
        if (identity_of(db, w, user, id, err) != 0 ||
            access_group_member(db, group, id, in, err) != 0)
            return -1;
    return 0;
}

static int list_groups(struct db *db, struct work *w, struct err *err)
{
    json_object_put(w->out);
    w->out = access_groups(db, err);
    return w->out ? 0 : -1;
}

static int add_job(struct db *db, void *arg, struct err *err)
{
    struct work *w = arg;
    char group[UUID_TEXT];
    return access_group_id(db, args_operand(w->a, 0), true, group, err) != 0 ||
                   change_members(db, w, true, group, err) != 0
               ? -1
               : list_groups(db, w, err);
}

static int remove_job(struct db *db, void *arg, struct err *err)
{
    struct work *w = arg;
    char group[UUID_TEXT];
    if (access_group_id(db, args_operand(w->a, 0), false, group, err) != 0)
        return -1;
    int rc = args_operand(w->a, 1) ? change_members(db, w, false, group, err)
                                   : access_group_remove(db, group, err);
    return rc != 0 ? -1 : list_groups(db, w, err);
}

static int list_job(struct db *db, void *arg, struct err *err)
{
    return list_groups(db, arg, err);
}

static int run_group(const struct args *a, store_job_f *job)
{
    static const struct show_column columns[] = {
        {"GROUP", "name"}, {"ID", "id"}, {"MEMBERS", "members"}, {0}};
    struct work w = {.a = a};
    int rc = ledger_run(a, job, &w, prepare);
    return show_list(a, rc, w.out, columns,
                     "There are no groups; `sallyport group add NAME USER ...` makes one.");
}

int cmd_group_add(const struct args *a)
{
    return run_group(a, add_job);
}

int cmd_group_remove(const struct args *a)
{
    return run_group(a, remove_job);
}

int cmd_group_list(const struct args *a)
{
    return run_group(a, list_job);
}

/* ---- endpoints ---- */

static int show_access(struct db *db, struct work *w, struct err *err)
{
    json_object_put(w->out);
    w->out = access_list(db, w->endpoint, err);
    return w->out ? 0 : -1;
}

static int set_job(struct db *db, void *arg, struct err *err)
{
    struct work *w = arg;
    char who[UUID_TEXT];
    return who_of(db, w, args_operand(w->a, 1), who, err) != 0 ||
                   access_set(db, w->endpoint, who, w->role, err) != 0
               ? -1
               : show_access(db, w, err);
}

static int access_job(struct db *db, void *arg, struct err *err)
{
    return show_access(db, arg, err);
}

static int run_endpoint(const struct args *a, store_job_f *job, enum access_role role)
{
    static const struct show_column columns[] = {
        {"WHO", "who"}, {"KIND", "kind"}, {"ROLE", "role"}, {0}};
    struct work w = {.a = a, .role = role};
    if (!uuid_parse(args_operand(a, 0), w.endpoint))
        return usage(a->command, "%s is not the id of an endpoint.", args_operand(a, 0));
    int rc = ledger_run(a, job, &w, prepare);
    return show_list(
        a, rc, w.out, columns,
        "Nobody is listed: its owner and `admins` manage it, and whom the site maps may "
        "use it.");
}

int cmd_endpoint_allow(const struct args *a)
{
    const char *word = args_operand(a, 2);
    enum access_role role = word ? access_role_of(word) : ACCESS_USE;
    if (role == ACCESS_NONE)
        return usage(a->command, "%s is no role: use, view, operate and configure are.", word);
    return run_endpoint(a, set_job, role);
}

int cmd_endpoint_deny(const struct args *a)
{
    return run_endpoint(a, set_job, ACCESS_NONE);
}

int cmd_endpoint_access(const struct args *a)
{
    return run_endpoint(a, access_job, ACCESS_NONE);
}
