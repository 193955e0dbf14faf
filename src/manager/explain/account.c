/* The account that a mapping names, by the rules of the monitor. */
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/config/privilege.h"
#include "manager/explain/explain.h"
#include "manager/monitor/account.h"

/* The names of sallyport.deny_users, each with its NUL, an empty one at the end. */
static void denied(const struct explain *x, struct buf *out)
{
    struct json_object *list = x->config ? x->config->deny_users : NULL;
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(list, i));
        if (*name)
            buf_add(out, name, strlen(name) + 1);
    }
    buf_char(out, '\0');
}

static uid_t listener_uid(const struct explain *x)
{
    const char *name = x->config && x->config->listener_user ? x->config->listener_user : "nobody";
    const struct passwd *pw = getpwnam(name);
    return pw ? pw->pw_uid : (uid_t)65534;
}

struct json_object *explain_account(const struct explain *x, const char *name)
{
    struct account a;
    autobuf struct buf deny = BUF_INIT;
    denied(x, &deny);
    /* A manager that maps runs as root, whoever asks here. */
    struct account_rules rules = {.mapping = true,
                                  .own_name = "root",
                                  .listener_uid = listener_uid(x),
                                  .minimum_uid = -1,
                                  .required_group = "",
                                  .deny_users = deny.data};
    if (x->config) {
        rules.force_same_user = x->config->force_mu_allow_same_user;
        rules.minimum_uid = x->config->minimum_uid;
        rules.allow_nologin_shells = x->config->allow_nologin_shells;
        if (x->config->required_group)
            rules.required_group = x->config->required_group;
    }
    account_check(&rules, &account_system, name, &a);
    struct json_object *o = json_object_new_object();
    json_add_str(o, "name", name);
    json_add_bool(o, "accepted", a.code == 0);
    const struct passwd *pw = a.code == TABLE_NO_ACCOUNT ? NULL : getpwnam(name);
    if (pw) {
        json_add_int(o, "uid", pw->pw_uid);
        json_add_int(o, "gid", pw->pw_gid);
        json_add_str(o, "home", pw->pw_dir);
        json_add_str(o, "shell", pw->pw_shell);
    }
    json_add_str(o, "user_text", a.code ? a.user_text : NULL);
    json_add_str(o, "admin_text", a.code ? a.admin_text : NULL);
    return o;
}
