#include "service/auth/scopes.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "service/auth/auth.h"

enum { COMPUTE, AUTH };

static const struct known {
    const char *scope;
    int server;
    const char *meaning;
} known[] = {
    {AUTH_SCOPE_COMPUTE, COMPUTE,
     "Register functions and endpoints, run tasks, read their results"},
    {SCOPE_OPENID, AUTH, "Know who you are"},
    {"profile", AUTH, "See your name and organization"},
    {"email", AUTH, "See your e-mail address"},
    {"urn:globus:auth:scope:auth.globus.org:view_identities", AUTH, "Look up identities"},
    {"urn:globus:auth:scope:auth.globus.org:view_identity_set", AUTH, "See your linked identities"},
    {SCOPE_PROJECTS, AUTH, "Manage your projects and authentication policies"},
};

const char *scopes_server(size_t i)
{
    return i == COMPUTE ? AUTH_SERVER_COMPUTE : AUTH_SERVER_AUTH;
}

static const struct known *find(const char *scope, size_t n)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].scope) == n && memcmp(known[i].scope, scope, n) == 0)
            return &known[i];
    return NULL;
}

bool scopes_has(const char *list, const char *scope)
{
    size_t n = strlen(scope);
    for (const char *p = list; p != NULL && *p != '\0'; p += strspn(p, " ")) {
        size_t word = strcspn(p, " ");
        if (word == n && memcmp(p, scope, n) == 0)
            return true;
        p += word;
    }
    return false;
}

/* Length of the bracketed part at p, which starts with '[', or 0 when it does not close. */
static size_t bracketed(const char *p)
{
    size_t depth = 0;
    for (size_t i = 0; p[i] != '\0'; i++) {
        if (p[i] == '[')
            depth++;
        else if (p[i] == ']' && --depth == 0)
            return i + 1;
    }
    return 0;
}

static int take(const char *word, size_t n, struct scopes *out, struct err *err)
{
    const struct known *k = find(word, n);
    if (k == NULL)
        return err_set(err, "unknown scope \"%.*s\"", (int)(n < 200 ? n : 200), word);
    char **list = &out->of[k->server];
    if (*list != NULL && scopes_has(*list, k->scope))
        return 0;
    char *longer = *list == NULL ? xstrdup(k->scope) : xasprintf("%s %s", *list, k->scope);
    free(*list);
    *list = longer;
    return 0;
}

int scopes_parse(const char *list, struct scopes *out, struct err *err)
{
    *out = (struct scopes){.of = {NULL}};
    if (list == NULL || list[strspn(list, " ")] == '\0')
        return err_set(err, "no scope was asked for");
    if (strlen(list) > SCOPES_MAX)
        return err_set(err, "the list of scopes is longer than %d bytes", SCOPES_MAX);
    for (const char *p = list + strspn(list, " "); *p != '\0'; p += strspn(p, " ")) {
        size_t n = strcspn(p, " [");
        if (take(p, n, out, err) != 0)
            return -1;
        p += n;
        if (*p == '[') {
            size_t skip = bracketed(p);
            if (skip == 0)
                return err_set(err, "a bracket in the list of scopes is not closed");
            p += skip;
        }
    }
    return 0;
}

void scopes_free(struct scopes *s)
{
    for (size_t i = 0; i < SCOPES_SERVERS; i++) {
        free(s->of[i]);
        s->of[i] = NULL;
    }
}

const char *scopes_describe(const char *scope)
{
    const struct known *k = find(scope, strlen(scope));
    return k == NULL ? NULL : k->meaning;
}
