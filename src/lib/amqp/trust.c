/* Certificate authorities, read ahead of time. */
#include <openssl/x509.h>

#include <stdlib.h>

#include "lib/amqp/internal.h"

static X509_STORE *trusted;

X509_STORE *conn_trusted(void)
{
    return trusted;
}

int amqp_trust_preload(void)
{
    /* The system's folder of hashed names is read on demand; the bundles are whole. */
    static const char *const bundles[] = {"/etc/ssl/certs/ca-certificates.crt",
                                          "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};
    const char *chosen = getenv(X509_get_default_cert_file_env());
    X509_STORE *store = X509_STORE_new();
    if (!store)
        abort();
    if (chosen)
        X509_STORE_load_locations(store, chosen, NULL);
    for (size_t i = 0; !chosen && i < sizeof(bundles) / sizeof(bundles[0]); i++)
        if (X509_STORE_load_locations(store, bundles[i], NULL) == 1)
            break;
    STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
    int n = sk_X509_OBJECT_num(objects);
    X509_STORE_free(trusted);
    trusted = n > 0 ? store : NULL;
    if (n <= 0)
        X509_STORE_free(store);
    return n > 0 ? n : 0;
}
