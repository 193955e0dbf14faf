/* From a user's options to the text of a user endpoint's configuration: the rules of spec config.md
 * 4, in this order: reserved words, schema, sanitising, template.
 *
 * Called by `prepare` (as the user), by `render-user-config`, by `simulate` and by `lint`.
 * Values of users are data: each text becomes a JSON string with its quotes before the template
 * sees it, so it can't leave its place in the document. */
#ifndef SALLYPORT_RENDER_RENDER_H
#define SALLYPORT_RENDER_RENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"

#define RENDER_OPTIONS_MAX (1u << 20) /* bytes of the options as JSON */

struct render_input {
    const char *template_text;
    size_t template_len;
    const char *template_name; /* shown in errors; NULL = user_config_template.yaml.j2 */
    const char *template_dir;  /* where include looks; NULL: include, import, extends fail */
    const char *schema_text;   /* NULL: no check */
    size_t schema_len;
    struct json_object *user_opts;       /* object, or NULL for none */
    struct json_object *user_runtime;    /* object, or NULL for an empty one */
    struct json_object *parent_config;   /* keys of the manager's config.yaml; NULL = empty */
    const char *parent_config_source;    /* its text; NULL = "" */
    struct json_object *mapped_identity; /* see render_identity(); NULL = empty */
    struct json_object *env;             /* environment as name: text; NULL = empty */
};

struct render_error {
    /* undefined security syntax template-not-found type arithmetic schema schema-invalid reserved
     * limit internal */
    char kind[32];
    char type[40]; /* the original's exception: "UndefinedError", "ValidationError", ... */
    char *message; /* what the user may read */
    char *where;   /* "<template>:<line>" for the administrator, or NULL */
};

/* 0 with the text appended to out, or -1 with the error filled (end it with render_error_free).
 * warnings (may be NULL) gets a new list of sentences for the administrator. */
int render_user_config(const struct render_input *in, struct buf *out,
                       struct json_object **warnings, struct render_error *err);
void render_error_free(struct render_error *err);

/* {"local": {uname uid gid gecos shell dir groups}, "globus": {"id"}} from the account database;
 * globus_id may be NULL.  groups: getgroups() of this process when it runs as uid, else the
 * database's.  NULL with err when there is no such account. */
struct json_object *render_identity(uid_t uid, const char *globus_id, struct err *err);

/* What `lint` asks: names that the template wants from the user (sorted list), and those of them
 * that the schema doesn't name (list; empty when the schema allows additional properties is not
 * asked).  0 or -1. */
int render_lint(const struct render_input *in, struct json_object **wanted,
                struct json_object **not_in_schema, struct render_error *err);

/* Appends the value as Python's str() shows it (and repr() inside lists and mappings). */
void render_python_str(struct buf *b, struct json_object *value);
void render_python_repr(struct buf *b, struct json_object *value);

#endif
