/* The certificate that the service shows: checked before it is used, and read anew when its file
 * has changed. */
#ifndef SALLYPORT_SERVICE_CERT_H
#define SALLYPORT_SERVICE_CERT_H

#include "lib/base/err.h"
#include "lib/base/loop.h"

struct cert;

/* Can a server show this?  Both files are PEM and fit, and today is in the certificate's time.
 * host: the name that clients use, or NULL.  0, or -1 with one sentence. */
int cert_check(const char *cert_file, const char *key_file, const char *host, struct err *err);

/* One a process: libmicrohttpd asks for it without saying who asks.  Looks at the files once a
 * minute. */
struct cert *cert_open(struct loop *l, const char *cert_file, const char *key_file,
                       const char *host, struct err *err);
/* Reads the files now; what does not pass the check is logged, and the old one stays. */
void cert_reload(struct cert *c);
void cert_close(struct cert *c); /* NULL is fine */
/* For MHD_OPTION_HTTPS_CERT_CALLBACK. */
void *cert_callback(void);

#endif
