/* The service's settings: DIR/service.yaml, and the options that win over it. */
#ifndef SALLYPORT_SERVICE_CONFIG_H
#define SALLYPORT_SERVICE_CONFIG_H

#include "service/api/api.h"

#define LISTEN_MAX 8

struct service_config {
    char *data_dir; /* absolute */
    const char *listen[LISTEN_MAX + 1];
    const char *store_url;
    const char *public_url;
    const char *user;
    const char *cert_file, *key_file;
    const char *connect; /* "HOST:PORT" that answers CONNECT, or NULL */
    const char *log_file;
    const char *instance; /* one of several processes in this folder; NULL = the only one */
    bool debug, behind_proxy;
    const char *proxies[LISTEN_MAX + 1];
    bool broker_only; /* `sallyport broker` */
    bool broker_conf; /* `sallyport broker-conf` */
    struct {
        const char *url;         /* NULL = a private node */
        const char *client_host; /* in the URLs that clients get */
        const char *listen;      /* address of the private node */
        int port;
        const char *auth_listen; /* of the auth back end; NULL = a free port of 127.0.0.1 */
        const char *queue_type;
        int64_t stream_bytes; /* 0 = the default */
        const char *cert_file, *key_file, *ca_file;
    } broker;
    struct api_settings api;
    struct json_object *auth; /* member "auth", or NULL */
    /* owners of the strings above */
    struct json_object *file;
    char *owned[32];
    size_t n_owned;
};

/* argv as `sallyport serve` writes it.  0, or -1 with err. */
int service_config_read(struct service_config *c, int argc, char **argv, struct err *err);
void service_config_clear(struct service_config *c);

#endif
