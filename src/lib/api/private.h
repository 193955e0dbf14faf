/* Shared by the files of lib/api only. */
#ifndef SALLYPORT_API_PRIVATE_H
#define SALLYPORT_API_PRIVATE_H

#include "lib/api/api.h"
#include "lib/http/http.h"

/* What each app asks for: everything that any command of ours needs. */
#define SCOPE_COMPUTE "https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all"
#define SCOPE_OPENID "openid"
#define SCOPE_PROJECTS "urn:globus:auth:scope:auth.globus.org:manage_projects"

struct token_store;

struct api {
    struct http *http;
    char *client_id;
    char *client_secret; /* NULL: user app */
    char *auth_url;      /* ends in '/' */
    char *compute_url;   /* does not */
    char *environment;   /* of the token store: GLOBUS_SDK_ENVIRONMENT only */
    char *namespace;
    struct json_object *tokens; /* {resource server: token data as in the store} */
    bool seed_prompt;
    struct token_store *store; /* NULL: tokens live in memory only */
};

/* Fills fail and returns -1. */
int fail_set(struct api_fail *fail, enum api_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* 0 and *out (NULL for an empty body) for a 2xx answer. */
int api_call(struct api *a, enum api_kind kind, const struct http_request *req,
             struct json_object **out, struct api_fail *fail);
/* With a bearer token of the resource server; one renewal and one more try after a 401. */
int api_authorized(struct api *a, const char *server, const char *method, const char *path,
                   struct json_object *body, struct json_object **out, struct api_fail *fail);

/* ---- tokens.c ---- */
/* Valid for another minute at least, or renewed; `fresh` renews in any case.  NULL with fail. */
const char *tokens_access(struct api *a, const char *server, bool fresh, struct api_fail *fail);
/* Takes the tokens of a token answer in; writes them to the store. */
int tokens_take(struct api *a, struct json_object *answer, const char *identity_id,
                struct api_fail *fail);

/* ---- store.c ---- */
struct token_store *token_store_open(const char *base_dir, struct err *err);
void token_store_close(struct token_store *s);
/* New tree {resource server: token data}. */
struct json_object *token_store_load(struct token_store *s, const char *namespace, struct err *err);
int token_store_save(struct token_store *s, const char *namespace, struct json_object *tokens,
                     struct err *err);
int token_store_clear(struct token_store *s, const char *namespace, struct err *err);

#endif
