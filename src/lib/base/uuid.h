/* UUIDs as text: canonical lower case with hyphens, 36 characters. */
#ifndef SALLYPORT_BASE_UUID_H
#define SALLYPORT_BASE_UUID_H

#include <stdbool.h>

#define UUID_TEXT 37 /* bytes with the NUL */

bool uuid_is_canonical(const char *s);
/* Every form that Python's uuid.UUID() takes (braces, urn:uuid:, no hyphens, upper case). */
bool uuid_parse(const char *s, char out[UUID_TEXT]);
void uuid_random(char out[UUID_TEXT]);
/* RFC 4122 version 5 (SHA-1) of name in the name space ns (canonical text). */
void uuid_v5(const char *ns, const char *name, char out[UUID_TEXT]);

#endif
