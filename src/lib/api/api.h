/* Client of Auth (sign-in, tokens, who am I) and of the Compute web service (endpoints).  Blocking.
 *
 * Life: api_create() chooses hosts from the environment and the kind of sign-in from
 * GLOBUS_COMPUTE_CLIENT_ID / _SECRET; api_store_open() or api_tokens_import() gives it tokens;
 * then the calls, each of which fetches or refreshes what it needs; api_destroy().
 *
 * Two kinds of app (spec: auth.md 3): *client* (id and secret: client credentials, never prompts)
 * and *user* (native app with PKCE and refresh tokens; api_login() is the sign-in in a terminal).
 *
 * Failures are told apart by `struct api_fail`, because exit codes depend on them. */
#ifndef SALLYPORT_API_API_H
#define SALLYPORT_API_API_H

#include <stdbool.h>
#include <stdio.h>

#include "lib/base/err.h"
#include "lib/base/json.h"

#define API_AUTH_SERVER "auth.globus.org"  /* resource server of Auth's own calls */
#define API_COMPUTE_SERVER "funcx_service" /* resource server of Compute */
#define API_NATIVE_CLIENT "4cf29807-cf21-49ec-9443-ff9a3fb9f81c"

struct api;

enum api_kind {
    API_NONE,    /* no failure */
    API_NETWORK, /* no answer after all tries */
    API_AUTH,    /* Auth answered with an error */
    API_COMPUTE, /* Compute answered with an error: status and body say which */
    API_SIGNIN,  /* no usable tokens: sign in first */
    API_ANSWER,  /* the answer lacks what it must have */
};

struct api_fail {
    enum api_kind kind;
    int status;      /* HTTP status of API_AUTH and API_COMPUTE */
    char body[2048]; /* the answer's text, cut */
    struct err err;  /* one sentence for a person */
};

struct api_opts {
    /* Both NULL: from GLOBUS_COMPUTE_CLIENT_ID and _SECRET. */
    const char *client_id;
    const char *client_secret;
    /* config.yaml's keys; they choose the host of Compute only. */
    const char *environment;
    bool local_compute_services;
};

/* NULL when only one half of the client credentials is set or the environment is unknown. */
struct api *api_create(const struct api_opts *opts, struct err *err);
void api_destroy(struct api *a); /* NULL is fine */

/* ---- tokens ---- */

/* Tokens live in <base>/storage.db, shared with the Python package; changes are written back. */
int api_store_open(struct api *a, const char *base_dir, struct err *err);
/* All tokens as one JSON document, to hand to another process by descriptor; secrets inside. */
struct json_object *api_tokens_export(struct api *a);
/* Takes what api_tokens_export() gave; a process without the store lives on it. */
int api_tokens_import(struct api *a, struct json_object *tokens, struct err *err);
/* All resource servers have a token that is valid or can be renewed without a person. */
bool api_signed_in(struct api *a);
/* Sees to it that a valid access token is there: renews, or asks with client credentials. */
int api_tokens_ensure(struct api *a, struct api_fail *fail);
/* The sign-in of a person: prints the URL to out, reads the code from in.  For a client app it
 * fetches tokens.  End of input: kind API_SIGNIN and the sentence "Aborted!". */
int api_login(struct api *a, FILE *in, FILE *out, struct api_fail *fail);
/* The seed's prompt has a rule of 36 dashes and no blank line before; today's has 37 and one. */
void api_prompt_style(struct api *a, bool seed);
/* Revokes and forgets all tokens of the namespace; what Auth refuses is forgotten as well. */
int api_logout(struct api *a, struct api_fail *fail);

/* ---- Auth ---- (results are the caller's: json_object_put) */

int api_userinfo(struct api *a, struct json_object **out, struct api_fail *fail);
int api_identities(struct api *a, const char *ids, struct json_object **out, struct api_fail *fail);
int api_projects(struct api *a, struct json_object **out, struct api_fail *fail);
/* body: {"project": {...}} / {"policy": {...}}; *id is the caller's to free. */
int api_project_create(struct api *a, struct json_object *body, char **id, struct api_fail *fail);
int api_policy_create(struct api *a, struct json_object *body, char **id, struct api_fail *fail);

/* ---- Compute ---- */

/* GET /v2/version?service=all */
int api_version(struct api *a, struct json_object **out, struct api_fail *fail);
/* How far our clock is ahead of Compute's, in seconds (whole ones are what HTTP tells); beyond that
 * the time that the answer took is given as the benefit of the doubt.  One try, no credentials. */
int api_clock(struct api *a, double *skew_s, struct api_fail *fail);
/* PUT /v3/endpoints/<id>, or POST /v3/endpoints when id is NULL.  answer: queue information. */
int api_register(struct api *a, const char *id, struct json_object *doc,
                 struct json_object **answer, struct api_fail *fail);
int api_endpoint_status(struct api *a, const char *id, struct json_object **out,
                        struct api_fail *fail);
int api_endpoint_lock(struct api *a, const char *id, struct json_object **out,
                      struct api_fail *fail);
int api_endpoint_delete(struct api *a, const char *id, struct api_fail *fail);
int api_endpoints(struct api *a, const char *role, struct json_object **out, struct api_fail *fail);

#endif
