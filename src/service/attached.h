/* A private broker that runs by itself (`sallyport broker`), so that it outlives restarts of the
 * service: it leaves a note in the folder that both use, and the service takes it from there. */
#ifndef SALLYPORT_SERVICE_ATTACHED_H
#define SALLYPORT_SERVICE_ATTACHED_H

#include "service/config.h"

#define SERVICE_USER "sallyport-service"

struct attached {
    int amqp_port;
    int auth_port; /* where the service's auth back end has to listen */
};

/* 1 = one runs, 0 = none does. */
int attached_find(const char *data_dir, struct attached *out);
/* Secrets that broker and service both derive from the folder's key. */
void attached_password(struct creds *c, char out[CREDS_PASSWORD]);
char *attached_backend_path(struct creds *c);
/* `sallyport broker`: runs the node until SIGTERM or SIGINT; an exit code. */
int attached_main(const struct service_config *config, struct loop *l);

#endif
