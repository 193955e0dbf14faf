/* The manager's config.yaml: read, checked, typed.
 *
 * One table (fields.c) names every key with its type and default; conversions are the lax ones of
 * the original (spec: config.md 2).  All problems are reported at once, in the original's words,
 * with the line of the key and a "did you mean" for unknown keys.
 *
 * A file with an `engine` is the configuration of a user endpoint (or of an old single-user one):
 * it loads with has_engine set and nothing else checked; callers refuse it where it doesn't fit. */
#ifndef SALLYPORT_CONFIG_CONFIG_H
#define SALLYPORT_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"

/* The version that we report to services and users: the one whose behaviour this is. */
#define COMPUTE_VERSION "4.19.0"

#define CONFIG_SIZE_MAX (1u << 20)

struct config {
    bool has_engine;
    bool seed_style; /* multi_user: true (spec: cli.md 1) */

    char *display_name;                    /* NULL = null; so all texts below */
    struct json_object *allowed_functions; /* list of canonical ids, or NULL = all */
    char *authentication_policy;
    char *subscription_id;
    struct json_object *admins; /* list of ids, or NULL */
    int64_t amqp_port;          /* 0 = unset */
    double heartbeat_period;    /* at least 5 */
    char *environment;
    bool local_compute_services;
    bool debug;
    bool high_assurance;
    bool is_public;
    char *user_config_template_path; /* NULL = default names, see config_template_path() */
    char *user_config_schema_path;
    char *identity_mapping_config_path;
    char *audit_log_path;
    bool pam_enable;
    char *pam_service_name;
    double mu_child_ep_grace_period_s;
    char *email;
    bool force_mu_allow_same_user;
    bool detach_endpoint;

    /* Ours, all optional (spec: issue 4): accounts and admission; see fields.c for defaults. */
    int64_t minimum_uid;            /* -1 = from login.defs */
    char *required_group;           /* NULL = none */
    struct json_object *deny_users; /* list of names, or NULL */
    bool allow_nologin_shells;
    bool no_new_privs;
    int64_t max_user_endpoints;          /* 0 = no limit */
    int64_t max_user_endpoints_per_user; /* 0 = no limit */
    int64_t max_starts_per_user_per_minute;
    int64_t minimum_free_memory_mib;
    bool survives_manager;
    bool pam_environment;
    bool audit_hash_chain;
    char *user_endpoint_executable; /* fixed path, or NULL = PATH */
    char *listener_user;            /* account of the listener; NULL = nobody */
    char *grant_key;                /* start grants are demanded: lib/grant; NULL = not */

    struct json_object *tree;     /* the parsed document: mapping, never NULL */
    char *source;                 /* its text, as it was */
    struct json_object *warnings; /* list of sentences for the log */
};

/* what: the name used in errors (a path).  NULL with the report in `err`; when `report` isn't NULL
 * it gets the whole of it, which may be longer. */
struct config *config_parse(const char *text, size_t n, const char *what, struct buf *report,
                            struct err *err);
/* EPDIR/config.yaml; an absent file is an empty one; config.py is refused. */
struct config *config_load(const char *epdir, struct buf *report, struct err *err);
void config_free(struct config *c); /* NULL is fine */

/* The files that the configuration names exist. */
int config_check_paths(const struct config *c, struct err *err);
/* Where the template, schema and environment of EPDIR are (caller frees): a configured path, else
 * user_config_template.yaml.j2, else user_config_template.yaml. */
char *config_template_path(const struct config *c, const char *epdir);
char *config_schema_path(const struct config *c, const char *epdir);
char *config_environment_path(const struct config *c, const char *epdir);

/* The keys as the templates see them in `_GC.parent_config` (new tree, the caller's), without
 * source_content. */
struct json_object *config_as_json(const struct config *c);

/* What POST/PUT /v3/endpoints wants (spec: web-service.md 4.1). */
struct config_site {
    const char *endpoint_name;
    const char *hostname;
    const char *local_user;
    const char *template_text;
    struct json_object *schema; /* or NULL */
    bool privileged;
};
struct json_object *config_registration(const struct config *c, const struct config_site *site);

#endif
