/* The environment of a user endpoint, built in the documented order (spec: endpoint-manager.md 9):
 * what was inherited, user_environment.yaml, defaults for what is still absent. */
#ifndef SALLYPORT_PREPARE_ENVIRONMENT_H
#define SALLYPORT_PREPARE_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/json.h"

struct environment;

/* Lives until execve(): there is nothing that ends it. */
struct environment *environment_create(void);
/* Takes over ours, without the manager's own secrets and what systemd told it. */
void environment_inherit(struct environment *e);
/* Takes over what PAM modules have set: handover.h. */
void environment_pam(struct environment *e);
/* NULL when absent. */
const char *environment_get(const struct environment *e, const char *name);
void environment_set(struct environment *e, const char *name, const char *value);
void environment_default(struct environment *e, const char *name, const char *value);
/* For execve(); valid until the next change. */
char **environment_vector(struct environment *e);
/* {"NAME": "text"}, for `_GC.env`. */
struct json_object *environment_json(const struct environment *e);

/* The text of user_environment.yaml.  Trouble is a warning in the log; what came before a bad name
 * stays set.  seed_style: HOME, USER and PWD don't count, with a warning; *wish (may be NULL; the
 * caller frees) gets the value of PWD. */
void environment_file(struct environment *e, const char *text, size_t len, bool seed_style,
                      char **wish);

#endif
