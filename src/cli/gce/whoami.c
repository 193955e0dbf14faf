/* whoami: the identity that is signed in, with those linked to it when asked. */
#include <stdio.h>
#include <string.h>

#include "cli/gce/commands.h"
#include "cli/gce/remote.h"
#include "lib/cli/show.h"
#include "lib/cli/table.h"

#define SIGN_IN "Unable to retrieve user information. Please log in again."

/* Auth's refusal means: sign in; everything else says what it is. */
static int failed(struct remote_result *r)
{
    bool is_refusal = strcmp(r->kind, "auth") == 0 || strcmp(r->kind, "signin") == 0;
    int rc = is_refusal ? fail(SIGN_IN) : fail("%s", r->message);
    remote_free(r);
    return rc;
}

/* Appends {username, name, id, email} of the identity to list. */
static int look_up(const char *id, struct json_object *list)
{
    struct remote_result r;
    struct json_object *found = NULL;
    remote_call(NULL, "identities", id, NULL, &r);
    if (!r.ok)
        return failed(&r);
    struct json_object *all = json_at(r.answer, "identities");
    if (json_object_is_type(all, json_type_array) && json_object_array_length(all) > 0)
        found = json_object_array_get_idx(all, 0);
    if (!found) {
        remote_free(&r);
        return fail("Auth knows no identity %s", id);
    }
    struct json_object *one = json_object_new_object();
    json_add_str(one, "username", json_str_or(found, "username", NULL));
    json_add_str(one, "name", json_str_or(found, "name", NULL));
    json_add_str(one, "id", id);
    json_add_str(one, "email", json_str_or(found, "email", NULL));
    json_object_array_add(list, one);
    remote_free(&r);
    return 0;
}

static int look_up_all(struct json_object *user, bool linked, struct json_object *list)
{
    const char *sub = json_str_or(user, "sub", NULL);
    struct json_object *set = json_at(user, "identity_set");
    if (!sub)
        return fail("Auth's answer names no identity");
    if (!linked)
        return look_up(sub, list);
    if (!json_object_is_type(set, json_type_array))
        return fail("Your current login does not have the consents required to view your full "
                    "identity set. Please log in again to agree to the required consents.\n\n"
                    "  Hint: use the --logout flag");
    for (size_t i = 0; i < json_object_array_length(set); i++) {
        const char *id = json_str_or(json_object_array_get_idx(set, i), "sub", NULL);
        int rc = id ? look_up(id, list) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

static void print_table(struct json_object *list)
{
    struct table *t = table_create((const char *const[]){"Username", "Name", "ID", "Email", NULL});
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *one = json_object_array_get_idx(list, i);
        table_row(t, (const char *const[]){
                         json_str_or(one, "username", "None"), json_str_or(one, "name", "None"),
                         json_str_or(one, "id", "None"), json_str_or(one, "email", "None"), NULL});
    }
    table_print(t, stdout, table_terminal_width(), -1, 0);
    table_destroy(t);
}

int cmd_whoami(const struct args *a)
{
    struct remote_result r;
    autojson struct json_object *list = json_object_new_array();
    remote_call(NULL, "signed-in", NULL, NULL, &r);
    if (!r.ok)
        return failed(&r);
    bool signed_in = json_object_get_boolean(r.answer);
    remote_free(&r);
    if (!signed_in)
        return fail(SIGN_IN);
    remote_call(NULL, "userinfo", NULL, NULL, &r);
    if (!r.ok)
        return failed(&r);
    int rc = look_up_all(r.answer, args_has(a, "--linked-identities"), list);
    remote_free(&r);
    if (rc)
        return rc;
    if (args_has(a, "--json"))
        show_json(list);
    else
        print_table(list);
    return 0;
}
