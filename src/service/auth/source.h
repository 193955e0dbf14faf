/* Where identities come from: one struct of functions a kind.
 *
 *   local   the ledger's own users (`sallyport user add`)
 *   pam     the host's accounts
 *   oidc    any OpenID Connect provider
 *
 * Sources are listed in the configuration, member auth.sources; without it there is `local` alone.
 * What a source says about a person is a claim; sign-in (signin.c) finds or makes the identity of
 * it.  The functions run on worker threads and may block up to their own deadlines; they share
 * nothing that changes. */
#ifndef SALLYPORT_AUTH_SOURCE_H
#define SALLYPORT_AUTH_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"

#define SOURCES_MAX 8

struct claim {
    char *subject;                     /* the source's own name of the person: never changes */
    char *username;                    /* name@domain */
    char *name, *email, *organization; /* NULL = unknown */
    char *acr;                         /* NULL = none */
    struct json_object *amr;           /* list of methods: "pwd", "mfa", ... */
    int64_t auth_time;                 /* when the person proved it; 0 = now */
};
void claim_free(struct claim *c); /* the members */

/* One sign-in through another provider's pages. */
struct flow {
    const char *redirect_uri; /* ours */
    const char *state, *nonce, *verifier;
    bool fresh; /* the person must prove it again */
};

struct source_kind {
    const char *kind;
    void *(*open)(struct json_object *config, const char *domain, struct err *err);
    void (*close)(void *state);
    /* By password (NULL: not this kind).  username: with domain; stored: the hash in the ledger or
     * NULL.  1 yes, 0 no, -1 could not be asked, with err for the log. */
    int (*password)(void *state, const char *username, const char *password, const char *stored,
                    struct claim *out, struct err *err);
    /* By redirection (NULL: not this kind): where to send the browser; what it brought back. */
    int (*begin)(void *state, const struct flow *f, struct buf *url, struct err *err);
    int (*finish)(void *state, const struct flow *f, const char *code, struct claim *out,
                  struct err *err);
};
extern const struct source_kind source_local, source_pam, source_oidc;

struct source {
    const struct source_kind *kind;
    char *name;   /* in the ledger and in links: letters, digits, - */
    char *title;  /* what people read */
    char *domain; /* of its user names */
    void *state;
};

struct sources {
    struct source list[SOURCES_MAX];
    size_t n;
};
/* config: the list, or NULL. */
int sources_open(struct sources *s, struct json_object *config, const char *domain,
                 struct err *err);
void sources_close(struct sources *s);
const struct source *sources_find(const struct sources *s, const char *name); /* or NULL */

#endif
