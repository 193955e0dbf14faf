#include "service/auth/demands.h"

#include <string.h>
#include <strings.h>

#include "lib/base/alloc.h"
#include "service/auth/policy.h"

#define WORDS_MAX 32

/* Does `fits` say yes to any (all = false) or every word of a comma list? */
static bool words_fit(const char *list, bool all, bool (*fits)(const char *word, const void *arg),
                      const void *arg)
{
    autofree char *copy = xstrdup(list);
    char *save = NULL;
    size_t n = 0;
    for (char *w = strtok_r(copy, ", ", &save); w != NULL && n < WORDS_MAX;
         w = strtok_r(NULL, ", ", &save), n++)
        if (fits(w, arg) != all)
            return !all;
    return all;
}

/* One of those that signed in, by id or user name. */
static bool has_signed_in(const char *word, const void *arg)
{
    const struct auth_who *who = arg;
    size_t n = json_object_array_length(who->identity_set);
    for (size_t i = 0; i < n; i++) {
        struct json_object *one = json_object_array_get_idx(who->identity_set, i);
        const char *sub = json_str_or(one, "sub", "");
        if (strcasecmp(word, sub) != 0 && strcasecmp(word, json_str_or(one, "username", "")) != 0)
            continue;
        if (json_object_object_get_ex(who->session, sub, NULL))
            return true;
    }
    return false;
}

static bool is_of_domain(const char *word, const void *arg)
{
    const struct auth_who *who = arg;
    return policy_domain_fits(word, who->username);
}

static bool session_has_mfa(struct json_object *session)
{
    json_object_object_foreach(session, key, one)
    {
        (void)key;
        if (policy_has_mfa(one))
            return true;
    }
    return false;
}

/* 1 met, 0 not, -1. */
static int policies(struct db *db, const char *list, const struct auth_who *who, int64_t now,
                    struct err *unmet, struct err *err)
{
    autofree char *copy = xstrdup(list);
    char *save = NULL;
    size_t n = 0;
    for (char *w = strtok_r(copy, ", ", &save); w != NULL && n < WORDS_MAX;
         w = strtok_r(NULL, ", ", &save), n++) {
        struct json_object *document = NULL, *parameters = NULL;
        char id[UUID_TEXT];
        int rc = uuid_parse(w, id) ? policy_load(db, id, &document, err) : 0;
        if (rc < 0)
            return -1;
        if (rc == 0) {
            err_set(unmet, "This service doesn't know the policy %.64s that the endpoint names.",
                    w);
            return 0;
        }
        rc = policy_evaluate(document, id, who->identity_set, who->session, now, &parameters);
        if (rc != 0)
            err_set(unmet, "%s", json_str_or(parameters, "session_message", "Not enough."));
        json_object_put(parameters);
        json_object_put(document);
        if (rc != 0)
            return 0;
    }
    return 1;
}

static bool is_true(const char *word)
{
    return word != NULL && strcasecmp(word, "false") != 0 && strcmp(word, "0") != 0;
}

int demands_check(struct db *db, const struct params *p, const struct auth_who *who, int64_t now,
                  struct err *unmet, struct err *err)
{
    const char *identities = p->value[P_SESSION_REQUIRED_IDENTITIES];
    const char *domains = p->value[P_SESSION_REQUIRED_SINGLE_DOMAIN];
    const char *list = p->value[P_SESSION_REQUIRED_POLICIES];
    if (identities != NULL && !words_fit(identities, true, has_signed_in, who)) {
        err_set(unmet, "You are signed in as %s; sign in as %.200s.", who->username, identities);
        return 0;
    }
    if (domains != NULL && !words_fit(domains, false, is_of_domain, who)) {
        err_set(unmet, "You are signed in as %s; an account of %.200s is needed.", who->username,
                domains);
        return 0;
    }
    if (is_true(p->value[P_SESSION_REQUIRED_MFA]) && !session_has_mfa(who->session)) {
        err_set(unmet, "A sign-in with a second factor is needed, and this way of signing in has "
                       "none.");
        return 0;
    }
    return list == NULL ? 1 : policies(db, list, who, now, unmet, err);
}
