/* Failures of calls, and the one place where a request becomes JSON or a failure. */
#include "lib/api/private.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"

int fail_set(struct api_fail *fail, enum api_kind kind, const char *fmt, ...)
{
    va_list ap;
    memset(fail, 0, sizeof(*fail));
    fail->kind = kind;
    va_start(ap, fmt);
    vsnprintf(fail->err.text, sizeof(fail->err.text), fmt, ap);
    va_end(ap);
    return -1;
}

static int fail_network(struct api_fail *fail, const struct err *err)
{
    fail_set(fail, API_NETWORK, "no answer from the service: %s", err->text);
    fail->err.code = err->code;
    return -1;
}

/* The sentence inside an error body, whichever of the known shapes it has; NULL if none. */
static const char *message_of(struct json_object *body)
{
    static const char *const keys[] = {"message", "detail", "error_description", "reason", "error"};
    if (!json_object_is_type(body, json_type_object))
        return NULL;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *text = json_str_or(body, keys[i], NULL);
        if (text)
            return text;
    }
    return NULL;
}

static int fail_answer(struct api_fail *fail, enum api_kind kind, const struct http_request *req,
                       const struct http_response *r)
{
    const char *text = r->body.data ? r->body.data : "";
    autojson struct json_object *body = json_read(text, r->body.len, HTTP_BODY_MAX, "answer", NULL);
    const char *message = message_of(body);
    fail_set(fail, kind, "%s %s answered %d%s%s", req->method, req->url, r->status,
             message ? ": " : "", message ? message : "");
    fail->status = r->status;
    snprintf(fail->body, sizeof(fail->body), "%s", text);
    return -1;
}

int api_call(struct api *a, enum api_kind kind, const struct http_request *req,
             struct json_object **out, struct api_fail *fail)
{
    struct http_response r = {0};
    struct err err = ERR_INIT;
    int rc = -1;
    *out = NULL;
    if (http_send(a->http, req, &r, &err) < 0) {
        rc = fail_network(fail, &err);
    } else if (r.status < 200 || r.status > 299) {
        rc = fail_answer(fail, kind, req, &r);
    } else if (r.body.len == 0) {
        rc = 0;
    } else {
        *out = json_read(r.body.data, r.body.len, HTTP_BODY_MAX, "answer", &err);
        rc = *out ? 0
                  : fail_set(fail, API_ANSWER, "%s %s: the answer is no JSON: %s", req->method,
                             req->url, err.text);
    }
    http_response_free(&r);
    return rc;
}

int api_authorized(struct api *a, const char *server, const char *method, const char *path,
                   struct json_object *body, struct json_object **out, struct api_fail *fail)
{
    bool is_auth = strcmp(server, API_AUTH_SERVER) == 0;
    /* auth_url ends in a slash, compute_url does not; path begins with one. */
    autofree char *url = is_auth ? xasprintf("%s%s", a->auth_url, path + 1)
                                 : xasprintf("%s%s", a->compute_url, path);
    autobuf struct buf text = BUF_INIT;
    if (body)
        json_write_ascii(&text, body);
    for (int turn = 0;; turn++) {
        const char *token = tokens_access(a, server, turn > 0, fail);
        if (!token)
            return -1;
        struct http_request req = {.method = method,
                                   .url = url,
                                   .bearer = token,
                                   .content_type = body ? "application/json" : NULL,
                                   .body = body ? text.data : NULL,
                                   .body_len = text.len};
        int rc = api_call(a, is_auth ? API_AUTH : API_COMPUTE, &req, out, fail);
        if (rc == 0 || fail->status != 401 || turn > 0)
            return rc;
    }
}
