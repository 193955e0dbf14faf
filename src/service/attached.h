/* A private broker that runs by itself (`sallyport broker`), so that it outlives restarts of the
 * service: it leaves a note in the folder that both use, and the service takes it from there.  It
 * answers the node's questions about logins itself, from the ledger, so that endpoints keep their
 * connections while no service runs. */
#ifndef SALLYPORT_SERVICE_ATTACHED_H
#define SALLYPORT_SERVICE_ATTACHED_H

#include "service/config.h"

#define SERVICE_USER "sallyport-service"

struct attached {
    int amqp_port;
    char ledger[CREDS_PASSWORD]; /* which one it asks about logins: attached_ledger() */
};

/* 1 = one runs, 0 = none does. */
int attached_find(const char *data_dir, struct attached *out);
/* A name for the ledger that tells nothing about it. */
void attached_ledger(struct creds *c, const char *store_url, char out[CREDS_PASSWORD]);
/* Secrets that broker and service both derive from the folder's key. */
void attached_password(struct creds *c, char out[CREDS_PASSWORD]);
char *attached_backend_path(struct creds *c);
/* `sallyport broker`: runs the node until SIGTERM or SIGINT; an exit code. */
int attached_main(const struct service_config *config, struct loop *l);

#endif
