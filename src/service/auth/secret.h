/* Random text that opens something: tokens, codes, client secrets, session cookies.
 *
 * 256 random bits in base64url behind a letter that says what it is.  Only the SHA-256 of such a
 * secret is kept: with that much randomness a slow hash would add nothing. */
#ifndef SALLYPORT_AUTH_SECRET_H
#define SALLYPORT_AUTH_SECRET_H

#include <stdbool.h>

#define SECRET_TEXT 48      /* bytes with the NUL; in use 45 */
#define SECRET_HASH_TEXT 65 /* SHA-256 as lower-case hexadecimal digits, with the NUL */

#define SECRET_ACCESS 'A'
#define SECRET_REFRESH 'R'
#define SECRET_CODE 'C'
#define SECRET_CLIENT 'S'
#define SECRET_SESSION 'W'
#define SECRET_FORM 'F' /* ties a form to the browser that asked for it */

void secret_make(char kind, char out[SECRET_TEXT]);
/* False for what cannot be one of ours: such text costs no look-up. */
bool secret_is_formed(const char *s, char kind);
void secret_hash(const char *s, char out[SECRET_HASH_TEXT]);
/* A second secret from the first, for another purpose ("csrf"): one way, no table. */
void secret_derive(const char *s, const char *purpose, char out[SECRET_HASH_TEXT]);
/* Takes the same time wherever they differ. */
bool secret_equal(const char *a, const char *b);

#endif
