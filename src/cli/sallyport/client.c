/* client add, list, remove */
#include <stdio.h>
#include <string.h>

#include "cli/sallyport/commands.h"
#include "cli/sallyport/ledger.h"
#include "cli/sallyport/password_input.h"
#include "cli/sallyport/show.h"
#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "service/auth/admin.h"
#include "service/auth/password.h"
#include "service/auth/secret.h"

#define GIVEN_SECRET_MIN 24 /* bytes of a secret that we didn't make */

struct work {
    const struct args *a;
    const char *domain;
    char *hash;
    struct buf uris;
    struct json_object *out;
};

static void prepare(void *arg, struct ledger *l)
{
    ((struct work *)arg)->domain = ledger_domain(l);
}

static int add_job(struct db *db, void *arg, struct err *err)
{
    struct work *w = arg;
    json_object_put(w->out);
    struct admin_client client = {.name = args_operand(w->a, 0),
                                  .link_to = args_get(w->a, "--as"),
                                  .secret_hash = w->hash,
                                  .redirect_uris = w->uris.data};
    w->out = admin_client_add(db, &client, w->domain, err);
    return w->out == NULL ? -1 : 0;
}

/* The secret: made here, or a line of standard input. */
static char *secret_for(const struct args *a, struct work *w, struct err *err)
{
    if (!args_has(a, "--secret-stdin")) {
        char *secret = xcalloc(1, SECRET_TEXT);
        secret_make(SECRET_CLIENT, secret);
        w->hash = password_hash_secret(secret);
        return secret;
    }
    char *secret = password_input(true, "client secret", err);
    if (secret != NULL && strlen(secret) < GIVEN_SECRET_MIN)
        err_set(err, "a client secret needs at least %d characters", GIVEN_SECRET_MIN);
    else if (secret != NULL && password_accept(secret, err) == 0)
        w->hash = password_hash(secret, err);
    if (w->hash != NULL)
        return secret;
    wipe_free(secret);
    return NULL;
}

static void print_new(const struct args *a, struct work *w, const char *secret)
{
    const char *id = json_str_or(w->out, "client_id", "");
    if (secret != NULL)
        json_add_str(w->out, "client_secret", secret);
    if (args_has(a, "--json")) {
        show_json(w->out);
        return;
    }
    printf("export GLOBUS_COMPUTE_CLIENT_ID=%s\n", id);
    if (secret != NULL)
        printf("export GLOBUS_COMPUTE_CLIENT_SECRET='%s'\n", secret);
    fflush(stdout);
    if (secret != NULL)
        fprintf(stderr, "Keep the secret now: it is not shown again.\n");
}

int cmd_client_add(const struct args *a)
{
    struct work w = {.a = a};
    struct err err = ERR_INIT;
    bool native = args_has(a, "--native");
    if (native && (args_has(a, "--as") || args_has(a, "--secret-stdin")))
        return usage(a->command, "A native client has neither a secret nor an identity.");
    const char *uri;
    for (size_t i = 0; (uri = args_nth(a, "--redirect-uri", i)) != NULL; i++) {
        if (strncmp(uri, "http://", 7) != 0 && strncmp(uri, "https://", 8) != 0)
            return usage(a->command, "--redirect-uri %s: begin it with http:// or https://.", uri);
        buf_fmt(&w.uris, "%s\n", uri);
    }
    char *secret = native ? NULL : secret_for(a, &w, &err);
    int rc = native || secret != NULL ? ledger_run(a, add_job, &w, prepare) : fail("%s", err.text);
    if (rc == 0)
        print_new(a, &w, secret);
    wipe_free(secret);
    wipe_free(w.hash);
    buf_free(&w.uris);
    json_object_put(w.out);
    return rc;
}

static int list_job(struct db *db, void *arg, struct err *err)
{
    struct work *w = arg;
    json_object_put(w->out);
    w->out = admin_clients(db, err);
    return w->out == NULL ? -1 : 0;
}

int cmd_client_list(const struct args *a)
{
    static const struct show_column columns[] = {{"NAME", "name"},
                                                 {"CLIENT ID", "client_id"},
                                                 {"KIND", "kind"},
                                                 {"DISABLED", "disabled", SHOW_FLAG},
                                                 {"MADE", "created", SHOW_TIME},
                                                 {0}};
    struct work w = {.a = a};
    int rc = ledger_run(a, list_job, &w, NULL);
    return show_list(a, rc, w.out, columns,
                     "There are no clients yet; `sallyport client add NAME` makes one.");
}

static int remove_job(struct db *db, void *arg, struct err *err)
{
    struct work *w = arg;
    return admin_remove(db, args_operand(w->a, 0), "client", w->domain, err);
}

int cmd_client_remove(const struct args *a)
{
    struct work w = {.a = a};
    int rc = ledger_run(a, remove_job, &w, prepare);
    if (rc != 0)
        return rc;
    struct json_object *o = json_object_new_object();
    json_add_str(o, "removed", args_operand(a, 0));
    if (args_has(a, "--json"))
        show_json(o);
    else
        puts("The client has been removed; its tokens are void.");
    json_object_put(o);
    return 0;
}
