/* Answers. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "service/http/private.h"

static void answer_buf(struct req *r, int status, struct buf *b, const char *content_type)
{
    size_t n = b->len;
    char *text = buf_take(b);
    req_answer(r, status, MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE),
               content_type);
}

void reply_json(struct req *r, int status, struct json_object *body)
{
    struct buf b = BUF_INIT;
    json_write(&b, body);
    json_object_put(body);
    answer_buf(r, status, &b, "application/json");
}

void reply_text(struct req *r, int status, const char *content_type, const void *p, size_t n)
{
    req_answer(r, status,
               MHD_create_response_from_buffer(n, (void *)(uintptr_t)p, MHD_RESPMEM_MUST_COPY),
               content_type);
}

void reply_error(struct req *r, int status, const char *code, const char *fmt, ...)
{
    struct buf b = BUF_INIT;
    autofree char *message = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&message, fmt, ap) < 0)
        abort();
    va_end(ap);
    buf_str(&b, "{\"code\":");
    buf_json_str(&b, code, strlen(code));
    buf_str(&b, ",\"message\":");
    buf_json_str(&b, message, strlen(message));
    buf_fmt(&b, ",\"request_id\":\"%s\"}", r->id);
    if (status == 401)
        reply_header(r, "WWW-Authenticate", "Bearer");
    answer_buf(r, status, &b, "application/json");
}

void reply_redirect(struct req *r, int status, const char *location)
{
    reply_header(r, "Location", location);
    req_answer(r, status,
               MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT),
               NULL);
}

void reply_header(struct req *r, const char *name, const char *value)
{
    struct header *h = xcalloc(1, sizeof(*h));
    h->name = xstrdup(name);
    h->value = xstrdup(value);
    SLIST_INSERT_HEAD(&r->headers, h, link);
}
