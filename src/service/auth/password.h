/* Passwords at rest: scrypt, in the text form that other programs know as well,
 *     $scrypt$ln=15,r=8,p=3$<salt>$<hash>          (base64url without padding)
 * 32 MiB and some 0.2 s a try: these functions belong on a worker's thread (work.h), never on the
 * loop's.  Secrets that we made ourselves have 256 random bits and are kept as
 *     $sha256$<hexadecimal digits>
 * whose check is cheap. */
#ifndef SALLYPORT_AUTH_PASSWORD_H
#define SALLYPORT_AUTH_PASSWORD_H

#include <stdbool.h>

#include "lib/base/err.h"

#define PASSWORD_MIN 8
#define PASSWORD_MAX 1024

/* Is it long enough, short enough, valid UTF-8 without control characters?  0, or -1 with err. */
int password_accept(const char *password, struct err *err);
/* The caller's text; NULL with err. */
char *password_hash(const char *password, struct err *err);
char *password_hash_secret(const char *secret);
/* 1 = it is the one, 0 = it is not, -1 = `stored` is no hash of ours.  stored NULL: takes the time
 * of a real check and says 0, so that an unknown name looks like a wrong password. */
int password_check(const char *stored, const char *password);
bool password_is_cheap(const char *stored); /* the sha256 form */

#endif
