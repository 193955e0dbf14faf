#include "service/auth/source.h"

#include <string.h>

#include "lib/base/alloc.h"

static const struct source_kind *const kinds[] = {&source_local, &source_pam, &source_oidc};

void claim_free(struct claim *c)
{
    free(c->subject);
    free(c->username);
    free(c->name);
    free(c->email);
    free(c->organization);
    free(c->acr);
    json_object_put(c->amr);
    *c = (struct claim){.subject = NULL};
}

static const struct source_kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i]->kind, name) == 0)
            return kinds[i];
    return NULL;
}

static bool is_name(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return n > 0 && n <= 32 && s[n] == '\0';
}

static int add(struct sources *s, struct json_object *config, const char *domain, struct err *err)
{
    const char *kind = json_str_or(config, "kind", "");
    struct source one = {.kind = find_kind(kind)};
    if (one.kind == NULL)
        return err_set(err, "auth.sources: \"%s\" is no kind of source (local, pam, oidc)", kind);
    const char *name = json_str_or(config, "name", kind);
    if (!is_name(name) || strcmp(name, "client") == 0)
        return err_set(
            err, "auth.sources: the name \"%s\" has to be of small letters, digits and -", name);
    if (sources_find(s, name) != NULL)
        return err_set(err, "auth.sources: there are two called \"%s\"; give each a name", name);
    if (strcmp(kind, "local") == 0 && strcmp(name, "local") != 0)
        return err_set(err, "auth.sources: the source of kind local is called local");
    one.domain = xstrdup(json_str_or(config, "domain", domain));
    one.state = one.kind->open(config, one.domain, err);
    if (one.state == NULL) {
        free(one.domain);
        return err_prefix(err, "auth.sources, %s", name);
    }
    one.name = xstrdup(name);
    one.title = xstrdup(json_str_or(config, "title", name));
    s->list[s->n++] = one;
    return 0;
}

int sources_open(struct sources *s, struct json_object *config, const char *domain, struct err *err)
{
    s->n = 0;
    if (config == NULL) {
        autojson struct json_object *usual = json_object_new_object();
        json_add_str(usual, "kind", "local");
        return add(s, usual, domain, err);
    }
    if (!json_object_is_type(config, json_type_array))
        return err_set(err, "auth.sources is %s; it has to be a list", json_kind(config));
    size_t n = json_object_array_length(config);
    if (n == 0 || n > SOURCES_MAX)
        return err_set(err, "auth.sources has %zu entries; 1 to %d are possible", n, SOURCES_MAX);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = add(s, json_object_array_get_idx(config, i), domain, err);
    return rc;
}

void sources_close(struct sources *s)
{
    for (size_t i = 0; i < s->n; i++) {
        s->list[i].kind->close(s->list[i].state);
        free(s->list[i].name);
        free(s->list[i].title);
        free(s->list[i].domain);
    }
    s->n = 0;
}

const struct source *sources_find(const struct sources *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->list[i].name, name) == 0)
            return &s->list[i];
    return NULL;
}
