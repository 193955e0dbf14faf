/* The keys that start commands are signed with (lib/grant), newest first, in a file of the service:
 *
 *     SECRET KEY IN BASE64 [UNIX SECONDS: void from then on]
 *
 * A command carries one grant for each key that is not void, so managers may be given a new public
 * key at any time before the old one's end.  The file is read again when it was changed. */
#ifndef SALLYPORT_SERVICE_GRANTS_H
#define SALLYPORT_SERVICE_GRANTS_H

#include "lib/base/json.h"
#include "lib/grant/grant.h"

#define GRANTS_FILE "grant.key" /* in the service's folder */
#define GRANTS_MAX 3            /* keys at a time */

struct grants;

/* Makes the file (0600) with a key when there is none.  NULL with err when it can't be used. */
struct grants *grants_create(const char *path, struct err *err);
void grants_destroy(struct grants *g); /* NULL is fine */
/* The value of the header GRANT_HEADER for one command; caller frees.  expires_s is set here. */
char *grants_header(struct grants *g, const struct grant *what, int64_t now_s);
/* [{"grant_key": PUBLIC, "until": UNIX SECONDS (older keys only)}, ...], newest first. */
struct json_object *grants_public(struct grants *g, int64_t now_s);
/* For `sallyport grant-key rotate`: a new key; the others are void after overlap_s.  0 or -1. */
int grants_rotate(const char *path, int64_t now_s, int64_t overlap_s, struct err *err);

#endif
