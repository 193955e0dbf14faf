#include "service/auth/policy.h"

#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "lib/base/alloc.h"

#define DOMAINS_MAX 100
#define TIMEOUT_MAX (10 * 365 * 86400LL)

/* ---- documents ------------------------------------------------------------------------------- */

static int copy_domains(struct json_object *from, const char *key, struct json_object *to,
                        struct err *err)
{
    struct json_object *list = json_at(from, key);
    if (list == NULL)
        return 0;
    if (!json_object_is_type(list, json_type_array) || json_object_array_length(list) > DOMAINS_MAX)
        return err_set(err, "policy.%s has to be a list of at most %d domains", key, DOMAINS_MAX);
    size_t n = json_object_array_length(list);
    for (size_t i = 0; i < n; i++) {
        struct json_object *one = json_object_array_get_idx(list, i);
        if (!json_object_is_type(one, json_type_string) || json_object_get_string_len(one) > 253)
            return err_set(err, "policy.%s[%zu] is not a domain", key, i);
    }
    json_add(to, key, json_object_get(list));
    return 0;
}

static int copy_flag(struct json_object *from, const char *key, struct json_object *to,
                     struct err *err)
{
    bool value;
    if (json_at(from, key) == NULL)
        return 0;
    if (json_get_bool(from, key, &value, err) != 0)
        return err_prefix(err, "policy");
    json_add_bool(to, key, value);
    return 0;
}

static int copy_text(struct json_object *from, const char *key, bool needed, size_t max,
                     struct json_object *to, struct err *err)
{
    const char *value;
    if (json_at(from, key) == NULL && !needed)
        return 0;
    if (json_get_str(from, key, &value, err) != 0)
        return err_prefix(err, "policy");
    if (strlen(value) > max)
        return err_set(err, "policy.%s is longer than %zu bytes", key, max);
    json_add_str(to, key, value);
    return 0;
}

struct json_object *policy_read(struct json_object *policy, struct err *err)
{
    static const char *const timeout = "authentication_assurance_timeout";
    struct json_object *o = json_object_new_object();
    int64_t seconds;
    int rc = copy_text(policy, "project_id", true, 64, o, err);
    if (rc == 0)
        rc = copy_text(policy, "display_name", true, 255, o, err);
    if (rc == 0)
        rc = copy_text(policy, "description", false, 4096, o, err);
    if (rc == 0)
        rc = copy_flag(policy, "high_assurance", o, err);
    if (rc == 0)
        rc = copy_flag(policy, "required_mfa", o, err);
    if (rc == 0)
        rc = copy_domains(policy, "domain_constraints_include", o, err);
    if (rc == 0)
        rc = copy_domains(policy, "domain_constraints_exclude", o, err);
    if (rc == 0 && json_at(policy, timeout) != NULL) {
        rc = json_get_int(policy, timeout, &seconds, err);
        if (rc == 0 && (seconds < 0 || seconds > TIMEOUT_MAX))
            rc = err_set(err, "policy.%s is %lld; it has to be between 0 and %lld seconds", timeout,
                         (long long)seconds, TIMEOUT_MAX);
        if (rc == 0)
            json_add_int(o, timeout, seconds);
    }
    if (rc == 0)
        return o;
    json_object_put(o);
    return NULL;
}

int policy_load(struct db *db, const char *id, struct json_object **out, struct err *err)
{
    *out = NULL;
    struct db_rows *rows =
        db_query(db, err, "SELECT document FROM auth_policies WHERE id = ?", "s", id);
    if (rows == NULL)
        return -1;
    int rc = db_next(rows, err);
    if (rc == 1) {
        const char *text = db_text(rows, 0);
        *out = json_read(text, strlen(text), 1u << 20, "a policy", err);
        rc = *out == NULL ? -1 : 1;
    }
    db_rows_end(rows);
    return rc;
}

/* ---- evaluation ------------------------------------------------------------------------------ */

bool policy_domain_fits(const char *pattern, const char *username)
{
    const char *at = strchr(username, '@');
    if (at == NULL)
        return false;
    const char *domain = at + 1;
    if (strncmp(pattern, "*.", 2) != 0)
        return strcasecmp(pattern, domain) == 0;
    size_t n = strlen(pattern + 1), d = strlen(domain);
    return d > n && strcasecmp(domain + d - n, pattern + 1) == 0;
}

static bool any_fits(struct json_object *patterns, const char *username)
{
    size_t n = patterns == NULL ? 0 : json_object_array_length(patterns);
    for (size_t i = 0; i < n; i++)
        if (policy_domain_fits(json_object_get_string(json_object_array_get_idx(patterns, i)),
                               username))
            return true;
    return false;
}

bool policy_has_mfa(struct json_object *authentication)
{
    struct json_object *amr = json_at(authentication, "amr");
    size_t n = json_object_is_type(amr, json_type_array) ? json_object_array_length(amr) : 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(json_object_get_string(json_object_array_get_idx(amr, i)), "mfa") == 0)
            return true;
    return false;
}

/* What the identities of the set come to. */
struct found {
    bool domain, fresh, mfa;
};

static struct found look(struct json_object *document, struct json_object *identity_set,
                         struct json_object *session, int64_t now)
{
    struct json_object *include = json_at(document, "domain_constraints_include");
    struct json_object *exclude = json_at(document, "domain_constraints_exclude");
    struct json_object *timeout = json_at(document, "authentication_assurance_timeout");
    bool strict = json_object_get_boolean(json_at(document, "high_assurance"));
    int64_t oldest = timeout == NULL ? INT64_MIN : now - json_object_get_int64(timeout);
    struct found f = {false, false, false};
    size_t n = identity_set == NULL ? 0 : json_object_array_length(identity_set);
    for (size_t i = 0; i < n; i++) {
        struct json_object *one = json_object_array_get_idx(identity_set, i);
        const char *username = json_str_or(one, "username", "");
        struct json_object *authentication = NULL;
        json_object_object_get_ex(session, json_str_or(one, "sub", ""), &authentication);
        /* High assurance looks at who has signed in, not at who the person might also be. */
        if ((strict && authentication == NULL) || any_fits(exclude, username) ||
            (include != NULL && json_object_array_length(include) > 0 &&
             !any_fits(include, username)))
            continue;
        f.domain = true;
    }
    /* Age and second factor belong to whichever identity signed in. */
    json_object_object_foreach(session, key, authentication)
    {
        (void)key;
        if (json_object_get_int64(json_at(authentication, "auth_time")) < oldest)
            continue;
        f.fresh = true;
        f.mfa = f.mfa || policy_has_mfa(authentication);
    }
    return f;
}

static void add_message(struct json_object *o, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void add_message(struct json_object *o, const char *fmt, ...)
{
    struct buf b = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vfmt(&b, fmt, ap);
    va_end(ap);
    json_add_str(o, "session_message", b.data);
    buf_free(&b);
}

int policy_evaluate(struct json_object *document, const char *id, struct json_object *identity_set,
                    struct json_object *session, int64_t now, struct json_object **parameters)
{
    *parameters = NULL;
    struct found f = look(document, identity_set, session, now);
    bool needs_mfa = json_object_get_boolean(json_at(document, "required_mfa"));
    if (f.domain && f.fresh && (f.mfa || !needs_mfa))
        return 0;
    struct json_object *o = json_object_new_object();
    struct json_object *ids = json_object_new_array();
    json_object_array_add(ids, json_object_new_string(id));
    json_add(o, "session_required_policies", ids);
    const char *name = json_str_or(document, "display_name", id);
    struct json_object *include = json_at(document, "domain_constraints_include");
    if (!f.domain) {
        add_message(o, "The policy \"%s\" asks for an identity of another organization.", name);
        if (include != NULL && json_object_array_length(include) > 0)
            json_add(o, "session_required_single_domain", json_object_get(include));
    } else if (!f.fresh) {
        add_message(
            o, "The policy \"%s\" asks you to sign in again: the last time is too long ago.", name);
        json_add_str(o, "prompt", "login");
    } else {
        add_message(o, "The policy \"%s\" asks for a sign-in with a second factor.", name);
    }
    if (needs_mfa && !f.mfa)
        json_add_bool(o, "session_required_mfa", true);
    *parameters = o;
    return -1;
}
