/* A stand-in for service/auth in tests and measurements: the token "test-NAME" is the person NAME,
 * whose identity follows from the name. */
#include <string.h>

#include "lib/base/alloc.h"
#include "service/auth/auth.h"

struct auth {
    int unused;
};

struct auth *auth_create(const struct auth_opts *opts, struct err *err)
{
    (void)opts;
    (void)err;
    return xcalloc(1, sizeof(struct auth));
}

void auth_destroy(struct auth *a)
{
    free(a);
}

const struct route *auth_routes(void)
{
    static const struct route none[] = {{NULL}};
    return none;
}

bool auth_who_is(const struct auth_who *who, const char *identity)
{
    return strcmp(who->sub, identity) == 0;
}

void auth_compute(struct auth *a, struct req *r, auth_f *then)
{
    const char *token = req_bearer(r);
    struct auth_who who = {.client_id = "test", .is_admin = false};
    (void)a;
    if (!token || strncmp(token, "test-", 5) != 0) {
        reply_error(r, 401, "USER_UNAUTHENTICATED", "There is no token");
        return;
    }
    uuid_v5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", token + 5, who.sub);
    autofree char *username = xasprintf("%s@test.example", token + 5);
    autojson struct json_object *one = json_object_new_object();
    autojson struct json_object *set = json_object_new_array();
    who.username = who.email = username;
    who.name = token + 5;
    json_add_str(one, "id", who.sub);
    json_add_str(one, "sub", who.sub);
    json_add_str(one, "status", "used");
    json_add_str(one, "username", username);
    json_add_str(one, "name", token + 5);
    json_add_str(one, "email", username);
    json_object_array_add(set, json_object_get(one));
    who.identity_set = set;
    then(r, &who);
}

void auth_page(struct auth *a, struct req *r, auth_f *then)
{
    auth_compute(a, r, then);
}

void auth_policy(struct auth *a, const char *policy_id, const struct auth_who *who,
                 void (*then)(void *arg, int rc, struct json_object *parameters), void *arg)
{
    (void)a;
    (void)policy_id;
    (void)who;
    then(arg, 0, NULL);
}

struct pages *auth_pages(struct auth *a)
{
    (void)a;
    return NULL;
}

void auth_csrf(struct req *r, char out[AUTH_CSRF_TEXT])
{
    (void)r;
    out[0] = '\0';
}
