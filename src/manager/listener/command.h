/* One command of the service, read and checked (spec: endpoint-manager.md 6).
 *
 * The checks come in two halves, because the identity is mapped between them: command_read() does
 * steps 1 to 3, command_check() does 7, 8 and what of 10 can be known from the message alone.  A
 * step that fails fills a fault: what the log says, and what the requester is told over the route
 * that the command itself names.  All bytes are foreign: bounded, and printed without control
 * characters. */
#ifndef SALLYPORT_LISTENER_COMMAND_H
#define SALLYPORT_LISTENER_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/grant/grant.h"

#define COMMAND_SIZE_MAX (4u << 20)
#define COMMAND_WINDOW_S 180
#define COMMAND_ARGS_MAX 200
#define COMMAND_WORD_MAX 200 /* a foreign word in our own sentences is cut there */

struct command_message {
    const char *content_type; /* "" when absent */
    int64_t timestamp;        /* -1 when absent */
    const void *body;
    size_t body_len;
    const char *request_id; /* header of the service, or NULL */
    const char *grant;      /* header `sallyport-grant`, or NULL */
};

/* Where a failure notice for this command goes; url NULL = nowhere. */
struct command_route {
    const char *url, *exchange, *routing_key;
    char *endpoint_id;
};

/* Texts and trees belong to the command; NULL = absent or of another type. */
struct command {
    unsigned refs;
    struct json_object *tree;
    int64_t timestamp;
    char *identity;                 /* globus_effective_identity as text */
    char *username;                 /* globus_username as text */
    struct json_object *identities; /* globus_identity_set, whatever it is */
    char *verb;                     /* `command`, printable; "None" when absent */
    struct json_object *args;
    struct json_object *kwargs;
    const char *name;
    struct json_object *amqp_creds;
    struct json_object *user_opts;
    struct json_object *user_runtime;
    struct command_route route;
    char *correlation; /* the service's request id, else the user endpoint's, else "-" */
};

struct command_fault {
    enum log_level level;
    struct buf log;
    struct buf notice; /* empty: nobody is told */
};
#define COMMAND_FAULT_INIT                                                                         \
    {                                                                                              \
        .level = LOG_L_ERROR                                                                       \
    }
void command_fault_clear(struct command_fault *f);

/* Steps 1 to 3.  The command, or NULL with step 1's fault.  With fault->log filled beside a command
 * step 2 or 3 failed. */
struct command *command_read(const struct command_message *m, int64_t now_s,
                             struct command_fault *fault);
/* Where start grants are demanded: 0, or -1 with step 2's fault for another reason.  *nonce is the
 * grant's.  m: the message that c was read from. */
int command_check_grant(const struct command *c, const struct command_message *m,
                        const char *public_key, const char *endpoint_id, int64_t now_s,
                        char nonce[GRANT_NONCE_TEXT], struct command_fault *fault);
/* Steps 7, 8 and 10: 0 or -1. */
int command_check(const struct command *c, struct command_fault *fault);
struct command *command_keep(struct command *c);
void command_drop(struct command *c); /* gives up one reference; NULL is fine */

/* "\n  Globus effective identity: ...\n  Globus username: ..." */
void command_id_lines(const struct command *c, struct buf *out);
/* Step 10: the command with its arguments for the log (bounded), the general text for the user. */
void command_general_fault(const struct command *c, const char *why, struct command_fault *fault);
/* The opaque answer to what only the service or the administrator can have got wrong. */
void command_opaque(const char *type, struct buf *out);
/* user_runtime.globus_compute_sdk_version is below 4.10.0. */
bool command_is_from_old_sdk(const struct command *c);
/* Appends s: control characters as '?', cut at COMMAND_WORD_MAX. */
void command_word(struct buf *out, const char *s);

#endif
