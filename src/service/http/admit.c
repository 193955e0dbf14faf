/* What a request's head decides: its route and limits, or a refusal.  A refusal is an answer that
 * waits until the body has been thrown away. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/alloc.h"
#include "service/http/private.h"

#define BODY_DEFAULT (64u << 10)
#define DEADLINE_MAX_S 55

static void refuse_route(struct req *r)
{
    autobuf struct buf allow = BUF_INIT;
    r->refused = true;
    if (!r->hit.other_method) {
        reply_error(r, 404, "NOT_FOUND", "There is nothing at %s %s", r->method, r->target.path);
        return;
    }
    router_allow(r->server->router, &r->target, &allow);
    reply_header(r, "Allow", allow.data);
    reply_error(r, 405, "METHOD_NOT_ALLOWED", "%s can't be used with %s; %s can", r->method,
                r->target.path, allow.data);
}

/* Bodies are taken as they are: nothing here unpacks one. */
static bool is_packed(struct req *r)
{
    const char *coding = req_header(r, "Content-Encoding");
    return coding && *coding && strcasecmp(coding, "identity") != 0;
}

static void route(struct req *r)
{
    if (r->refused)
        return;
    router_find(r->server->router, r->method, &r->target, &r->hit);
    if (!r->hit.route) {
        refuse_route(r);
        return;
    }
    if (is_packed(r)) {
        r->refused = true;
        reply_header(r, "Accept-Encoding", "identity");
        reply_error(r, 415, "UNSUPPORTED_MEDIA_TYPE",
                    "The request body has Content-Encoding %.40s; please send it without",
                    req_header(r, "Content-Encoding"));
        return;
    }
    r->body_max = r->hit.route->body_max ? r->hit.route->body_max : BODY_DEFAULT;
    unsigned s = r->hit.route->deadline_s ? r->hit.route->deadline_s : DEADLINE_DEFAULT_S;
    r->deadline_us = r->begun_us + LOOP_S(s < DEADLINE_MAX_S ? s : DEADLINE_MAX_S);
}

void admit_refuse_size(struct req *r)
{
    r->refused = true;
    buf_free(&r->body);
    reply_error(r, 413,
                strstr(r->hit.route->path, "submit") ? "TASK_PAYLOAD_TOO_LARGE"
                                                     : "REQUEST_TOO_LARGE",
                "The request body is larger than %zu bytes", r->body_max);
}

static unsigned long long announced(struct req *r)
{
    const char *text = req_header(r, "Content-Length");
    return text ? strtoull(text, NULL, 10) : 0;
}

bool admit_is_asked_first(struct req *r)
{
    const char *text = req_header(r, "Expect");
    return text && strcasecmp(text, "100-continue") == 0;
}

unsigned long long admit(struct req *r)
{
    unsigned long long length = announced(r);
    route(r);
    if (!r->refused && length > r->body_max)
        admit_refuse_size(r);
    return length;
}
