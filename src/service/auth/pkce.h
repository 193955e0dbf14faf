/* PKCE (RFC 7636), method S256: the challenge of the authorize request is the hash of a text that
 * only the program which started the sign-in knows. */
#ifndef SALLYPORT_AUTH_PKCE_H
#define SALLYPORT_AUTH_PKCE_H

#include <stdbool.h>

bool pkce_challenge_is_formed(const char *challenge); /* 43 characters of base64url */
bool pkce_verifier_is_formed(const char *verifier);   /* 43 to 128 unreserved characters */
bool pkce_matches(const char *challenge, const char *verifier);

#endif
