/* HTTP requests of a process that may wait: libcurl's easy interface, one request at a time.
 *
 * Used by the command line and by the listener while it registers; never on a loop.  Honours
 * http_proxy, https_proxy, no_proxy, and GLOBUS_SDK_VERIFY_SSL (a boolean word or the path of a CA
 * bundle) and GLOBUS_SDK_HTTP_TIMEOUT (seconds; -1 = none, which we bound to an hour).  Redirects
 * are not followed: none of the services redirects an API call, and a token must not travel.
 *
 * A handle that was made before chroot(2) keeps its connection and its name look-ups; make the
 * first request before locking a process up. */
#ifndef SALLYPORT_HTTP_HTTP_H
#define SALLYPORT_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

#define HTTP_BODY_MAX (8u << 20) /* bytes of an answer that are accepted */

struct http;

struct http_request {
    const char *method; /* "GET", "POST", ... */
    const char *url;
    const char *bearer;     /* access token, or NULL */
    const char *basic_user; /* with basic_password; sent as they are, base64 of "user:pw" */
    const char *basic_password;
    const char *content_type; /* of the body */
    const void *body;
    size_t body_len;
    unsigned tries; /* sends in all when the network or a 429/5xx fails it; 0 = 6 (as globus_sdk) */
};

struct http_response {
    int status;      /* 100..599 */
    bool is_json;    /* Content-Type application/json */
    struct buf body; /* freed by http_response_free() */
    double pause_s;  /* Retry-After, or 0 */
    long long date;  /* the server's clock, Unix time in whole seconds; -1 = not told */
};

/* agent: the User-Agent line. Ends the process when libcurl can't start. */
struct http *http_create(const char *agent);
void http_destroy(struct http *h); /* NULL is fine */

/* 0 with any status the server gave; -1 with a sentence when no answer came (err->code EIO, or
 * ETIMEDOUT).  `out` is emptied first. */
int http_send(struct http *h, const struct http_request *req, struct http_response *out,
              struct err *err);
void http_response_free(struct http_response *r);

/* Appends `key=value` (with '&' when b isn't empty), both form-encoded, spaces as '+'. */
void http_form_add(struct buf *b, const char *key, const char *value);

#endif
