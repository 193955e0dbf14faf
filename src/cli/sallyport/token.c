/* token list, revoke */
#include <stdio.h>

#include "cli/sallyport/commands.h"
#include "cli/sallyport/ledger.h"
#include "cli/sallyport/show.h"
#include "lib/base/clock.h"
#include "service/auth/admin.h"
#include "service/auth/people.h"
#include "service/auth/tokens.h"

struct work {
    const struct args *a;
    const char *domain;
    struct json_object *out;
};

static void prepare(void *arg, struct ledger *l)
{
    ((struct work *)arg)->domain = ledger_domain(l);
}

static int list_job(struct db *db, void *arg, struct err *err)
{
    struct work *w = arg;
    const char *name = args_operand(w->a, 0);
    struct person p = {.id = ""};
    json_object_put(w->out);
    w->out = NULL;
    if (name == NULL || person_named(db, name, w->domain, &p, err) == 0)
        w->out = tokens_list(db, name == NULL ? NULL : p.id, (int64_t)clock_unix(), err);
    person_free(&p);
    return w->out == NULL ? -1 : 0;
}

int cmd_token_list(const struct args *a)
{
    static const struct show_column columns[] = {{"SIGN-IN", "id"},
                                                 {"USER", "username"},
                                                 {"CLIENT", "client_name"},
                                                 {"SINCE", "issued", SHOW_TIME},
                                                 {"UNTIL", "expires", SHOW_TIME},
                                                 {"TOKENS", "tokens"},
                                                 {0}};
    struct work w = {.a = a};
    int rc = ledger_run(a, list_job, &w, prepare);
    return show_list(a, rc, w.out, columns, "Nobody holds a token.");
}

static int revoke_job(struct db *db, void *arg, struct err *err)
{
    struct work *w = arg;
    return admin_revoke(db, args_operand(w->a, 0), w->domain, err);
}

int cmd_token_revoke(const struct args *a)
{
    struct work w = {.a = a};
    int rc = ledger_run(a, revoke_job, &w, prepare);
    if (rc != 0)
        return rc;
    struct json_object *o = json_object_new_object();
    json_add_str(o, "revoked", args_operand(a, 0));
    if (args_has(a, "--json"))
        show_json(o);
    else
        puts("All tokens have been revoked; a running service forgets them within 10 seconds.");
    json_object_put(o);
    return 0;
}
