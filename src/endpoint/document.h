/* The JSON document on standard input: everything that a manager tells a new user endpoint
 * (spec: user-endpoint.md section 2).
 *
 *   ep_info, config              required
 *   amqp_creds                   registration info, or
 *   mem_fd, enckey               an encrypted memory file that holds it and may be refreshed
 *   allowed_functions            replaces the configuration's list when present, null included
 *   audit_fd                     where audit records go
 *   survives_manager             ours: a restarted manager may adopt us, so its end is not ours
 *
 * Unknown keys are ignored. */
#ifndef SALLYPORT_ENDPOINT_DOCUMENT_H
#define SALLYPORT_ENDPOINT_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/base/json.h"

#define DOCUMENT_MAX (4u << 20)

struct document {
    struct json_object *tree;    /* owns what follows */
    struct json_object *ep_info; /* object */
    const char *config;          /* YAML text */
    struct json_object *creds;   /* amqp_creds, or NULL */
    int mem_fd;                  /* -1 = none */
    const char *enckey;          /* NULL = none */
    bool has_allowed;
    struct json_object *allowed; /* list, or NULL = null: everything */
    int audit_fd;                /* -1 = none */
    bool survives_manager;
};

int document_read(const char *text, size_t n, struct document *out, struct err *err);
void document_clear(struct document *d);

#endif
