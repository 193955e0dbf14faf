/* base64url without padding (RFC 4648 section 5), as JWTs, PKCE and our tokens use it. */
#ifndef SALLYPORT_AUTH_B64URL_H
#define SALLYPORT_AUTH_B64URL_H

#include <stddef.h>

#include "lib/base/buf.h"

void b64url_add(struct buf *b, const void *p, size_t n);
/* Appends the decoded bytes; -1 when a character or the length is wrong.  '=' is not accepted. */
int b64url_decode(struct buf *b, const char *s, size_t n);

#endif
