/* Server-sent events: a response whose reader waits (suspended) until there is something to send.
 * The owner of a stream ends it with sse_end(), also when sse_send() has said that the client is
 * gone; the request below it may be over long before. */
#include <string.h>

#include "lib/base/alloc.h"
#include "service/http/private.h"

#define QUEUE_MAX (256u << 10)
#define PING_US LOOP_S(15)

struct sse {
    LIST_ENTRY(sse) link;
    struct server *server;
    struct req *req; /* NULL when the client has gone */
    struct buf queue;
    bool ended;     /* by its owner */
    bool finishing; /* by us: the server drains */
    bool suspended;
};

static void wake(struct sse *e)
{
    if (!e->req || !e->suspended)
        return;
    e->suspended = false;
    MHD_resume_connection(e->req->conn);
    server_kick(e->server);
}

static ssize_t read_cb(void *arg, uint64_t pos, char *out, size_t max)
{
    struct sse *e = arg;
    (void)pos;
    if (e->queue.len) {
        size_t n = e->queue.len < max ? e->queue.len : max;
        memcpy(out, e->queue.data, n);
        buf_drop(&e->queue, n);
        return (ssize_t)n;
    }
    if (e->ended || e->finishing)
        return MHD_CONTENT_READER_END_OF_STREAM;
    e->suspended = true;
    MHD_suspend_connection(e->req->conn);
    return 0;
}

static void ping_cb(void *arg)
{
    struct server *s = arg;
    struct sse *e;
    LIST_FOREACH(e, &s->streams, link)
    {
        if (!e->req)
            continue;
        if (e->queue.len == 0)
            buf_str(&e->queue, ":\n\n");
        wake(e);
    }
    if (!LIST_EMPTY(&s->streams))
        loop_timer_set(s->ping, PING_US, LOOP_S(1));
}

static void release(struct sse *e)
{
    if (!e->ended || e->req)
        return;
    LIST_REMOVE(e, link);
    e->server->n_streams--;
    buf_free(&e->queue);
    free(e);
}

struct sse *reply_sse(struct req *r)
{
    struct server *s = r->server;
    struct sse *e = xcalloc(1, sizeof(*e));
    e->server = s;
    e->req = r;
    r->sse = e;
    if (!s->ping)
        s->ping = loop_timer_create(s->loop, ping_cb, s);
    if (LIST_EMPTY(&s->streams))
        loop_timer_set(s->ping, PING_US, LOOP_S(1));
    LIST_INSERT_HEAD(&s->streams, e, link);
    s->n_streams++;
    buf_str(&e->queue, "retry: 2000\n\n");
    reply_header(r, "X-Accel-Buffering", "no");
    req_answer(r, 200, MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, read_cb, e, NULL),
               "text/event-stream");
    return e;
}

int sse_send(struct sse *e, const char *event, const char *data)
{
    if (!e->req || e->finishing || e->queue.len > QUEUE_MAX)
        return -1;
    buf_fmt(&e->queue, "event: %s\n", event);
    for (const char *p = data;;) {
        size_t n = strcspn(p, "\r\n");
        buf_fmt(&e->queue, "data: %.*s\n", (int)n, p);
        if (!p[n])
            break;
        p += n + 1;
    }
    buf_char(&e->queue, '\n');
    wake(e);
    return 0;
}

void sse_end(struct sse *e)
{
    e->ended = true;
    wake(e);
    release(e);
}

void sse_client_gone(struct sse *e)
{
    if (!e)
        return;
    e->req = NULL;
    e->suspended = false;
    release(e);
}

void sse_end_all(struct server *s)
{
    struct sse *e;
    LIST_FOREACH(e, &s->streams, link)
    {
        e->finishing = true;
        wake(e);
    }
}
