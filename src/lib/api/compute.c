/* The calls: Auth's own resources, and endpoints at Compute. */
#include "lib/api/api.h"

#include <string.h>

#include "lib/api/private.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"

int api_userinfo(struct api *a, struct json_object **out, struct api_fail *fail)
{
    return api_authorized(a, API_AUTH_SERVER, "GET", "/v2/oauth2/userinfo", NULL, out, fail);
}

int api_identities(struct api *a, const char *ids, struct json_object **out, struct api_fail *fail)
{
    autobuf struct buf query = BUF_INIT;
    http_form_add(&query, "ids", ids);
    autofree char *path = xasprintf("/v2/api/identities?%s", query.data);
    return api_authorized(a, API_AUTH_SERVER, "GET", path, NULL, out, fail);
}

int api_projects(struct api *a, struct json_object **out, struct api_fail *fail)
{
    return api_authorized(a, API_AUTH_SERVER, "GET", "/v2/api/projects", NULL, out, fail);
}

/* POST body to path; *id = the text at `where` in the answer. */
static int create(struct api *a, const char *path, struct json_object *body, const char *where,
                  char **id, struct api_fail *fail)
{
    autojson struct json_object *answer = NULL;
    if (api_authorized(a, API_AUTH_SERVER, "POST", path, body, &answer, fail) < 0)
        return -1;
    const char *text = answer ? json_str_or(answer, where, NULL) : NULL;
    if (!text)
        return fail_set(fail, API_ANSWER, "the answer of Auth to %s lacks %s", path, where);
    *id = xstrdup(text);
    return 0;
}

int api_project_create(struct api *a, struct json_object *body, char **id, struct api_fail *fail)
{
    return create(a, "/v2/api/projects", body, "project.id", id, fail);
}

int api_policy_create(struct api *a, struct json_object *body, char **id, struct api_fail *fail)
{
    return create(a, "/v2/api/policies", body, "policy.id", id, fail);
}

int api_version(struct api *a, struct json_object **out, struct api_fail *fail)
{
    return api_authorized(a, API_COMPUTE_SERVER, "GET", "/v2/version?service=all", NULL, out, fail);
}

int api_clock(struct api *a, double *skew_s, struct api_fail *fail)
{
    struct http_response answer = {.body = BUF_INIT};
    autofree char *url = xasprintf("%s/v2/version", a->compute_url);
    struct http_request request = {.method = "GET", .url = url, .tries = 1};
    double before = clock_unix();
    int rc = http_send(a->http, &request, &answer, &fail->err);
    double after = clock_unix(), theirs = (double)answer.date;
    http_response_free(&answer);
    if (rc < 0) {
        fail->kind = API_NETWORK;
        return -1;
    }
    if (theirs < 0)
        return fail_set(fail, API_ANSWER, "the answer of %s has no date", url);
    /* It was written at some time in between, in the second `theirs`. */
    *skew_s = before > theirs + 1 ? before - (theirs + 1) : after < theirs ? after - theirs : 0;
    return 0;
}

int api_register(struct api *a, const char *id, struct json_object *doc,
                 struct json_object **answer, struct api_fail *fail)
{
    autofree char *path = id ? xasprintf("/v3/endpoints/%s", id) : xstrdup("/v3/endpoints");
    if (api_authorized(a, API_COMPUTE_SERVER, id ? "PUT" : "POST", path, doc, answer, fail) < 0)
        return -1;
    if (json_object_is_type(*answer, json_type_object))
        return 0;
    json_object_put(*answer);
    *answer = NULL;
    return fail_set(fail, API_ANSWER, "the answer to the registration is not a JSON object");
}

int api_endpoint_status(struct api *a, const char *id, struct json_object **out,
                        struct api_fail *fail)
{
    autofree char *path = xasprintf("/v2/endpoints/%s/status", id);
    return api_authorized(a, API_COMPUTE_SERVER, "GET", path, NULL, out, fail);
}

int api_endpoint_lock(struct api *a, const char *id, struct json_object **out,
                      struct api_fail *fail)
{
    autofree char *path = xasprintf("/v3/endpoints/%s/lock", id);
    return api_authorized(a, API_COMPUTE_SERVER, "POST", path, NULL, out, fail);
}

int api_endpoint_delete(struct api *a, const char *id, struct api_fail *fail)
{
    autojson struct json_object *answer = NULL;
    autofree char *path = xasprintf("/v2/endpoints/%s", id);
    return api_authorized(a, API_COMPUTE_SERVER, "DELETE", path, NULL, &answer, fail);
}

int api_endpoints(struct api *a, const char *role, struct json_object **out, struct api_fail *fail)
{
    autobuf struct buf query = BUF_INIT;
    http_form_add(&query, "role", role ? role : "owner");
    autofree char *path = xasprintf("/v2/endpoints?%s", query.data);
    return api_authorized(a, API_COMPUTE_SERVER, "GET", path, NULL, out, fail);
}
