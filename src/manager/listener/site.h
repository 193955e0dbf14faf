/* What a listener knows once it has registered: configuration, id, where to listen and to report.
 *
 * site_open() parses config.yaml, signs requests with the tokens that were handed over, registers
 * the endpoint (spec: endpoint-manager.md 2.3) and, without an identity mapping, asks whose
 * commands count.  It waits; there is no loop yet. */
#ifndef SALLYPORT_LISTENER_SITE_H
#define SALLYPORT_LISTENER_SITE_H

#include "lib/base/err.h"
#include "lib/config/config.h"
#include "lib/wire/queue_info.h"
#include "manager/listener/hello.h"

struct site {
    struct config *config;
    char endpoint_id[UUID_TEXT];
    bool maps;               /* identities are mapped; else only our own count */
    struct json_object *own; /* without mapping: list of `sub` */
    char *local_user;        /* without mapping: whose endpoints these are */
    bool privileged;
    char *template_path; /* absolute, for `include`; NULL = unknown */
    char *mapping_path;  /* for texts */
    struct wire_queue_info commands;
    struct wire_queue_info heartbeats;
    struct json_object *parent_config; /* as templates see it */
};

/* How the manager ends when this fails. */
struct site_end {
    int code;        /* exit code */
    char *for_user;  /* a line for stdout, or NULL */
    char *for_admin; /* what the log says */
};

/* 0 or -1 with *end filled. */
int site_open(struct site *s, struct hello *h, struct site_end *end);
void site_clear(struct site *s);
void site_end_clear(struct site_end *end);
/* -1: fills end. */
int site_fail(struct site_end *end, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
