/* Scopes and the resource servers they belong to.
 *
 * A request's `scope` is a space-separated list that may repeat itself.  Each token is for one
 * resource server and lists every scope that was asked of that server, once, in the order asked:
 * the SDK refuses a login that lacks one. */
#ifndef SALLYPORT_AUTH_SCOPES_H
#define SALLYPORT_AUTH_SCOPES_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"

#define SCOPE_OPENID "openid"
#define SCOPE_PROJECTS "urn:globus:auth:scope:auth.globus.org:manage_projects"

#define SCOPES_SERVERS 2 /* resource servers there are */
#define SCOPES_MAX 4096  /* bytes of a request's list that are read */

struct scopes {
    char *of[SCOPES_SERVERS]; /* for scopes_server(i); NULL when nothing was asked of it */
};

/* Resource server number i, in the order of tokens in a reply. */
const char *scopes_server(size_t i);
/* -1 with err for an unknown scope or an empty list.  Dependent scopes ("a[b *c]") are taken for
 * their outer scope.  End with scopes_free(), also after an error. */
int scopes_parse(const char *list, struct scopes *out, struct err *err);
void scopes_free(struct scopes *s);
bool scopes_has(const char *list, const char *scope); /* is scope one of the words? */
/* What a person reads on the sign-in page; NULL when unknown. */
const char *scopes_describe(const char *scope);

#endif
