/* The memory file HANDOVER_BLOB: what `prepare` must know about one start request, as JSON.
 *
 * The listener composes it, the monitor passes it on unread, prepare reads it as the user.  It
 * holds broker credentials: write it to a memfd, never to a log.
 *
 * One JSON object.  Keys (r = required; an absent key and null are the same):
 *
 *   name                 r text    name of the user endpoint: [A-Za-z0-9._:-]+, at most 255 bytes
 *   argv                 r list    the whole argument vector, e.g. ["globus-compute-endpoint",
 *                                  "_start-user-endpoint", NAME, ARGS...]
 *   account              r text    local account; prepare refuses to go on when it isn't its own
 *   amqp_creds           r object  as in the start command
 *   enckey               r text    Fernet key of HANDOVER_CREDENTIALS
 *   ep_info                object  globus_candidate_identities, globus_matched_identity when there
 *                                  is a mapper; prepare adds posix_ppid unless it is there
 *   globus_id              text    matched identity, for `mapped_identity.globus.id` in templates
 *   user_opts              object  as in the start command
 *   user_runtime           object  as in the start command
 *   allowed_functions      list    only if configured
 *   parent_config          object  config_as_json()
 *   parent_config_source   text    config.yaml as it is
 *   template_path          text    absolute path of the template: its folder is where `include`
 *                                  looks, if the user may list it
 *   user_endpoint_executable text  fixed path set by the administrator; absent = PATH
 *   seed_style             bool    HOME, USER and PWD of user_environment.yaml don't count
 *   high_assurance         bool    of the manager
 *   privileged             bool    the manager may change the user: the environment starts empty;
 *                                  false: it is inherited (less GLOBUS_COMPUTE_CLIENT_SECRET)
 *   audit                  bool    HANDOVER_AUDIT is open and goes on to the user endpoint
 *   survives_manager       bool    copied into the stdin document: the user endpoint stays when
 *                                  its manager has died, and a new manager adopts it
 *   pam_environment        bool    variables that PAM modules set come first in the environment
 *   umask                  int     default 077
 *   correlation_id         text    named in the first line of the user endpoint's log
 *
 * Unknown keys are ignored.  The whole is at most BLOB_SIZE_MAX bytes. */
#ifndef SALLYPORT_HANDOVER_BLOB_H
#define SALLYPORT_HANDOVER_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/base/json.h"

#define BLOB_SIZE_MAX (8u << 20)
#define BLOB_NAME_MAX 255
#define BLOB_ARGS_MAX 256

/* The same, typed.  Texts and objects belong to the blob; NULL = absent. */
struct blob {
    struct json_object *tree;
    const char *name;
    const char **argv; /* NULL-terminated */
    size_t argc;
    const char *account;
    struct json_object *amqp_creds;
    const char *enckey;
    struct json_object *ep_info;
    const char *globus_id;
    struct json_object *user_opts;
    struct json_object *user_runtime;
    struct json_object *allowed_functions;
    struct json_object *parent_config;
    const char *parent_config_source;
    const char *template_path;
    const char *user_endpoint_executable;
    bool seed_style;
    bool high_assurance;
    bool privileged;
    bool audit;
    bool survives_manager;
    bool pam_environment;
    mode_t umask;
    const char *correlation_id;
};

/* NULL with err.  The sentence never holds a value of the blob. */
struct blob *blob_parse(const char *text, size_t len, struct err *err);
/* Reads fd from its start to its end (it is shared with nobody). */
struct blob *blob_read(int fd, struct err *err);
void blob_free(struct blob *b); /* NULL is fine */

/* [A-Za-z0-9._:-]+, not beginning with '-' or '.', at most BLOB_NAME_MAX bytes. */
bool blob_name_is_good(const char *name);

#endif
