/* What goes to the monitor with a START: the credentials token and the blob of lib/handover. */
#ifndef SALLYPORT_LISTENER_COMPOSE_H
#define SALLYPORT_LISTENER_COMPOSE_H

#include "lib/base/err.h"
#include "manager/listener/command.h"
#include "manager/listener/site.h"

/* Who it is for, beside the command. */
struct compose_person {
    const char *account;
    const char *key;                /* Fernet key of this user endpoint */
    const char *matched_identity;   /* NULL without mapping */
    struct json_object *candidates; /* NULL without mapping */
};

/* Sealed memory files, or -1 with a sentence (no secrets in it). */
int compose_credentials(const char *key, struct json_object *amqp_creds, struct err *err);
int compose_blob(const struct site *s, const struct command *c, const struct compose_person *p,
                 struct err *err);
/* The whole argument vector, joined by blanks for log lines; cut off at n. */
void compose_command_line(const struct command *c, char *out, size_t n);

#endif
