/* user add, list, remove, passwd, link, admin, disable */
#include <stdio.h>
#include <string.h>

#include "cli/sallyport/commands.h"
#include "cli/sallyport/ledger.h"
#include "cli/sallyport/password_input.h"
#include "cli/sallyport/show.h"
#include "lib/base/alloc.h"
#include "service/auth/admin.h"
#include "service/auth/password.h"
#include "service/auth/people.h"

struct work {
    const struct args *a;
    const char *domain;
    char *hash;
    bool flag;
    struct json_object *out;
};

static void prepare(void *arg, struct ledger *l)
{
    struct work *w = arg;
    /* Settings go with the ledger; the job runs before that. */
    w->domain = ledger_domain(l);
}

/* Prints what the job made, or `line` for people; the exit code. */
static int finish(const struct args *a, struct work *w, int rc, const char *line)
{
    if (rc == 0 && args_has(a, "--json"))
        show_json(w->out);
    else if (rc == 0 && line != NULL)
        puts(line);
    json_object_put(w->out);
    wipe_free(w->hash);
    return rc;
}

static struct json_object *named(const char *key, const char *value)
{
    struct json_object *o = json_object_new_object();
    json_add_str(o, key, value);
    return o;
}

static int ask_hash(const struct args *a, struct work *w)
{
    struct err err = ERR_INIT;
    char *password = password_input(args_has(a, "--password-stdin"), "password", &err);
    if (password != NULL && password_accept(password, &err) == 0)
        w->hash = password_hash(password, &err);
    wipe_free(password);
    return w->hash != NULL ? 0 : fail("%s", err.text);
}

static int add_job(struct db *db, void *arg, struct err *err)
{
    struct work *w = arg;
    json_object_put(w->out);
    struct admin_user user = {.username = args_operand(w->a, 0),
                              .name = args_get(w->a, "--name"),
                              .email = args_get(w->a, "--email"),
                              .organization = args_get(w->a, "--organization"),
                              .password_hash = w->hash,
                              .link_to = args_get(w->a, "--link"),
                              .is_admin = args_has(w->a, "--admin")};
    w->out = admin_user_add(db, &user, w->domain, err);
    return w->out == NULL ? -1 : 0;
}

int cmd_user_add(const struct args *a)
{
    struct work w = {.a = a};
    if (!args_has(a, "--no-password") && ask_hash(a, &w) != 0)
        return 1;
    int rc = ledger_run(a, add_job, &w, prepare);
    autofree char *line =
        xasprintf("User %s has been added (identity %s).", json_str_or(w.out, "username", ""),
                  json_str_or(w.out, "id", ""));
    return finish(a, &w, rc, line);
}

static int list_job(struct db *db, void *arg, struct err *err)
{
    struct work *w = arg;
    json_object_put(w->out);
    w->out = people_list(db, "user", err);
    return w->out == NULL ? -1 : 0;
}

int cmd_user_list(const struct args *a)
{
    static const struct show_column columns[] = {{"USER", "username"},
                                                 {"NAME", "name"},
                                                 {"IDENTITY", "id"},
                                                 {"SOURCE", "source"},
                                                 {"ADMIN", "admin", SHOW_FLAG},
                                                 {"DISABLED", "disabled", SHOW_FLAG},
                                                 {"LAST SIGN-IN", "last_authentication", SHOW_TIME},
                                                 {0}};
    struct work w = {.a = a};
    int rc = ledger_run(a, list_job, &w, NULL);
    if (rc == 0 && !args_has(a, "--json"))
        show_table(w.out, columns, "There are no users yet; `sallyport user add NAME` makes one.");
    return finish(a, &w, rc, NULL);
}

static int remove_job(struct db *db, void *arg, struct err *err)
{
    struct work *w = arg;
    return admin_remove(db, args_operand(w->a, 0), "user", w->domain, err);
}

int cmd_user_remove(const struct args *a)
{
    struct work w = {.a = a, .out = named("removed", args_operand(a, 0))};
    int rc = ledger_run(a, remove_job, &w, prepare);
    return finish(a, &w, rc, "The user has been removed, and signed out everywhere.");
}

static int passwd_job(struct db *db, void *arg, struct err *err)
{
    struct work *w = arg;
    return admin_password(db, args_operand(w->a, 0), w->hash, w->domain, err);
}

int cmd_user_passwd(const struct args *a)
{
    struct work w = {.a = a, .out = named("changed", args_operand(a, 0))};
    if (ask_hash(a, &w) != 0)
        return finish(a, &w, 1, NULL);
    int rc = ledger_run(a, passwd_job, &w, prepare);
    return finish(a, &w, rc,
                  "The password has been changed; what the user was signed in to is void.");
}

static int link_job(struct db *db, void *arg, struct err *err)
{
    struct work *w = arg;
    return admin_link(db, args_operand(w->a, 0), args_operand(w->a, 1), w->domain, err);
}

int cmd_user_link(const struct args *a)
{
    bool alone = args_has(a, "--alone");
    if (alone == (args_operand(a, 1) != NULL))
        return usage(a->command, "Give either TO or --alone.");
    struct work w = {.a = a, .out = named("linked", args_operand(a, 0))};
    int rc = ledger_run(a, link_job, &w, prepare);
    return finish(a, &w, rc,
                  alone ? "The user has an identity set of its own now."
                        : "Both are one person now: what one owns, the other may use.");
}

static int admin_job(struct db *db, void *arg, struct err *err)
{
    struct work *w = arg;
    return admin_set_admin(db, args_operand(w->a, 0), w->flag, w->domain, err);
}

int cmd_user_admin(const struct args *a)
{
    struct work w = {
        .a = a, .flag = !args_has(a, "--off"), .out = named("changed", args_operand(a, 0))};
    json_add_bool(w.out, "admin", w.flag);
    int rc = ledger_run(a, admin_job, &w, prepare);
    return finish(a, &w, rc,
                  w.flag ? "The user is an administrator of this service now."
                         : "The user is no administrator any more.");
}

static int disable_job(struct db *db, void *arg, struct err *err)
{
    struct work *w = arg;
    return admin_disable(db, args_operand(w->a, 0), w->flag, w->domain, err);
}

int cmd_user_disable(const struct args *a)
{
    struct work w = {
        .a = a, .flag = !args_has(a, "--off"), .out = named("changed", args_operand(a, 0))};
    json_add_bool(w.out, "disabled", w.flag);
    int rc = ledger_run(a, disable_job, &w, prepare);
    return finish(a, &w, rc,
                  w.flag ? "The account is closed: no sign-in, and what was signed in is void."
                         : "The account is open again.");
}
