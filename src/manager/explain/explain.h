/* libexec/sallyport/explain: what a manager would do, and why; nothing is started.
 *
 *   explain map       the identity mapping, rule by rule, and the account that comes out
 *   explain simulate  the whole of a start request: mapping, account, limits, configuration
 *   explain lint      what is wrong with an endpoint's files
 *
 * globus-compute-endpoint execs it, so that the command itself stays light.  Mapping programs run
 * under the account of the listener, as they will; the account is checked with our own rights. */
#ifndef SALLYPORT_MANAGER_EXPLAIN_H
#define SALLYPORT_MANAGER_EXPLAIN_H

#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/config/config.h"

struct explain {
    /* as given */
    const char *dir;          /* endpoint directory, or NULL */
    const char *mapping_path; /* --config; else from config.yaml */
    const char *endpoint_id;
    const char *identities_path;
    const char *options_path, *runtime_path;
    const char *skew, *no_clock; /* of lint: seconds, or why they are not known */
    bool json, check, first;
    /* read from them */
    struct config *config; /* NULL without dir */
    char id[64];
    char *mapping_file;
    struct json_object *identities;
};

/* The identity set: a list, or an object with `identities` or `globus_identity_set`. */
int explain_read_identities(struct explain *x, struct err *err);
struct json_object *explain_read_json(const char *path, const char *what, struct err *err);
/* A path of config.yaml, relative to the endpoint's folder. */
char *explain_path(const struct explain *x, const char *path);

/* ---- mapping.c ---- */
/* {"username", "matched_identity", "candidates", "warnings", "explanation"}, or {"error"} when the
 * mapping can't be loaded.  NULL with err when it can't be evaluated at all. */
struct json_object *explain_mapping(const struct explain *x, struct err *err);

/* ---- account.c ---- */
/* {"name", "accepted", "uid", "gid", "home", "shell", "user_text", "admin_text"} */
struct json_object *explain_account(const struct explain *x, const char *name);

/* ---- prepare.c and script.c, for simulate ---- */
/* Becomes that account for good; nothing to do when we are not root.  0 or -1. */
int explain_become(const struct passwd *pw);
/* Adds "start" to the answer of explain_mapping(): {"config", "environment", "program"}, or
 * {"code", "user_text", "admin_text"}.  0, or -1 when that can't be found out. */
int explain_prepare(struct explain *x, struct json_object *answer, const char *account,
                    struct err *err);
/* What the user endpoint would submit (endpoint/preview.h), perhaps with a "note"; or {"error"}. */
struct json_object *explain_script(const char *account, struct json_object *start, struct err *err);

/* ---- print.c ---- */
void print_mapping(FILE *out, struct json_object *answer);
void print_account(FILE *out, struct json_object *account);
void print_limits(FILE *out, struct json_object *limits);
void print_submission(FILE *out, struct json_object *submission);
void print_json(FILE *out, struct json_object *o);

/* ---- the verbs: exit codes ---- */
int explain_map(struct explain *x);
int explain_simulate(struct explain *x);
int explain_lint(struct explain *x);
/* "Error: ..." on stderr (or {"error"} with --json).  Returns 1. */
int explain_fail(const struct explain *x, const char *text);

#endif
