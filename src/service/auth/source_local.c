/* Users of the ledger: the hash comes along, the work is scrypt's. */
#include "lib/base/alloc.h"
#include "service/auth/password.h"
#include "service/auth/source.h"

static void *open_source(struct json_object *config, const char *domain, struct err *err)
{
    return xcalloc(1, 1);
}

static int check(void *state, const char *username, const char *password, const char *stored,
                 struct claim *out, struct err *err)
{
    int rc = password_check(stored, password);
    if (rc < 0)
        return err_set(err,
                       "the stored password of %s is damaged; set another with `sallyport user "
                       "passwd`",
                       username);
    if (rc == 1) {
        out->subject = xstrdup(username);
        out->username = xstrdup(username);
        out->amr = json_object_new_array();
        json_object_array_add(out->amr, json_object_new_string("pwd"));
    }
    return rc;
}

const struct source_kind source_local = {
    .kind = "local", .open = open_source, .close = free, .password = check};
