/* libmicrohttpd inside the event loop.
 *
 * Each address has a daemon whose epoll descriptor sits in the loop; all work happens on the loop's
 * thread.  libmicrohttpd calls target_cb() when a request's head has arrived, access_cb() for its
 * body and again for the answer, over_cb() at the end.  A request that waits for something is
 * suspended there and resumed by its answer or by the sweep that finds its deadline past.
 *
 * Slow clients: a request that isn't whole after READ_S, an answer that isn't taken after WRITE_S
 * and a connection idle for IDLE_S are shut down by the sweep, whatever trickles meanwhile. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "service/http/listen.h"
#include "service/http/private.h"

#define READ_S 50
#define WRITE_S 600
#define IDLE_S 120
#define SWEEP_US LOOP_S(1)
#define LINGER_US LOOP_MS(700)
/* A body that is too large is read and thrown away up to this size, so that the client reads the
 * 413 instead of a reset connection. */
#define DISCARD_MAX (128u << 20)

/* ---- running libmicrohttpd ---- */

/* A client that keeps its connection may be sending its next request at this moment: those that
 * are open get a while in which that is answered, with "Connection: close". */
static void drained_if_quiet(struct server *s)
{
    if (!s->draining || s->n_requests || !s->drained)
        return;
    if (s->n_clients && loop_now_us(s->loop) < s->linger_until_us)
        return;
    loop_f *done = s->drained;
    s->drained = NULL;
    loop_timer_cancel(s->drain_timer);
    loop_defer(s->loop, done, s->drained_arg);
}

static void run(void *arg)
{
    struct server *s = arg;
    MHD_UNSIGNED_LONG_LONG next = UINT64_MAX;
    s->kicked = false;
    if (s->destroyed) {
        free(s);
        return;
    }
    for (size_t i = 0; i < s->n_listeners; i++) {
        MHD_UNSIGNED_LONG_LONG t;
        MHD_run(s->listeners[i].daemon);
        if (MHD_get_timeout(s->listeners[i].daemon, &t) == MHD_YES && t < next)
            next = t;
    }
    if (next == 0)
        server_kick(s);
    else if (next != UINT64_MAX)
        loop_timer_set(s->tick, LOOP_MS(next), LOOP_MS(100));
    drained_if_quiet(s);
}

void server_kick(struct server *s)
{
    if (s->kicked || s->destroyed)
        return;
    s->kicked = true;
    loop_defer(s->loop, run, s);
}

static void ready_cb(void *arg, int fd, uint32_t revents)
{
    struct listener *l = arg;
    (void)fd;
    (void)revents;
    if (!l->server->kicked)
        run(l->server);
}

bool client_is_gone(const struct client *c)
{
    char byte;
    ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static void sweep_cb(void *arg)
{
    struct server *s = arg;
    struct req *r, *next;
    struct client *c;
    uint64_t now = loop_now_us(s->loop);
    for (r = LIST_FIRST(&s->waiting); r; r = next) {
        next = LIST_NEXT(r, link);
        if (now < r->deadline_us)
            continue;
        r->too_late = true;
        reply_header(r, "Retry-After", "1");
        reply_error(r, 503, "SERVICE_BUSY", "This took longer than %u seconds; please try again",
                    (unsigned)((r->deadline_us - r->begun_us) / 1000000));
    }
    LIST_FOREACH(c, &s->clients, link)
    {
        if (c->since_us && now - c->since_us > LOOP_S(c->limit_s)) {
            shutdown(c->fd, SHUT_RDWR);
            c->since_us = now;
        }
    }
    if (s->n_clients)
        loop_timer_set(s->sweep, SWEEP_US, LOOP_MS(200));
    drained_if_quiet(s);
}

/* ---- a request's life ---- */

/* since_us 0: nothing is waited for. */
static void client_waits(struct client *c, uint64_t since_us, unsigned limit_s)
{
    if (!c)
        return;
    c->since_us = since_us;
    c->limit_s = limit_s;
}

static void req_free(struct req *r)
{
    struct header *h;
    while ((h = SLIST_FIRST(&r->headers))) {
        SLIST_REMOVE_HEAD(&r->headers, link);
        free(h->name);
        wipe_free(h->value);
        free(h);
    }
    if (r->response)
        MHD_destroy_response(r->response);
    json_object_put(r->json);
    if (r->form && r->body.len)
        explicit_bzero(r->body.data, r->body.len); /* it may hold a password */
    pairs_free(r->query);
    pairs_free(r->form);
    wipe_free(r->basic);
    free(r->peer);
    free(r->base_url);
    free(r->method);
    target_clear(&r->target);
    buf_free(&r->body);
    free(r);
}

struct req *req_ref(struct req *r)
{
    r->refs++;
    return r;
}

void req_unref(struct req *r)
{
    if (--r->refs == 0)
        req_free(r);
}

static void *target_cb(void *arg, const char *uri, struct MHD_Connection *conn)
{
    struct server *s = arg;
    struct err err = ERR_INIT;
    struct req *r = xcalloc(1, sizeof(*r));
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    r->refs = 1;
    r->server = s;
    r->conn = conn;
    r->client = info ? info->socket_context : NULL;
    uuid_random(r->id);
    s->n_requests++;
    r->begun_us = loop_now_us(s->loop);
    r->deadline_us = r->begun_us + LOOP_S(DEADLINE_DEFAULT_S);
    client_waits(r->client, r->begun_us, READ_S);
    if (target_parse(uri, &r->target, &err) < 0) {
        r->refused = true;
        reply_error(r, 400, "REQUEST_MALFORMED", "%s", err.text);
    }
    return r;
}

static void take_body(struct req *r, const char *p, size_t n)
{
    if (r->refused)
        return;
    if (r->body.len + n > r->body_max)
        admit_refuse_size(r);
    else
        buf_add(&r->body, p, n);
}

static enum MHD_Result send_answer(struct req *r)
{
    r->state = REQ_ANSWERED;
    if (!r->sse)
        client_waits(r->client, loop_now_us(r->server->loop), WRITE_S);
    return MHD_queue_response(r->conn, (unsigned)r->status, r->response);
}

static void handle(struct req *r)
{
    r->state = REQ_HANDLED;
    client_waits(r->client, 0, 0);
    if (r->response)
        return;
    /* The deadline is that of the handler: a slow upload doesn't shorten it. */
    uint64_t now = loop_now_us(r->server->loop);
    r->deadline_us += now - r->begun_us;
    r->begun_us = now;
    req_ref(r);
    r->hit.route->handler(r);
    req_unref(r);
}

static enum MHD_Result access_cb(void *arg, struct MHD_Connection *conn, const char *url,
                                 const char *method, const char *version, const char *data,
                                 size_t *n, void **con_cls)
{
    struct req *r = *con_cls;
    (void)arg;
    (void)url;
    (void)version;
    (void)conn;
    if (!r)
        return MHD_NO;
    if (!r->method) {
        r->method = xstrdup(method);
        unsigned long long length = admit(r);
        if (r->refused && (length > DISCARD_MAX || admit_is_asked_first(r)))
            return send_answer(r); /* and the connection ends */
        if (length && !r->refused)
            buf_room(&r->body, (size_t)length);
        return MHD_YES;
    }
    if (*n) {
        take_body(r, data, *n);
        *n = 0;
        return MHD_YES;
    }
    if (r->state == REQ_READING)
        handle(r);
    if (r->response)
        return send_answer(r);
    if (!r->suspended) {
        r->suspended = r->is_listed = true;
        LIST_INSERT_HEAD(&r->server->waiting, r, link);
        MHD_suspend_connection(r->conn);
    }
    return MHD_YES;
}

/* Foreign text in the log: one line, whatever is in it.  Caller frees. */
static char *printable(const char *s)
{
    char *text = xstrdup(s ? s : "-");
    for (char *p = text; *p; p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
    return text;
}

static void count(struct req *r)
{
    static const uint64_t limits_ms[] = {1, 5, 10, 50, 100, 500, 1000, 10000};
    struct server_stats *st = &r->server->stats;
    uint64_t took = loop_now_us(r->server->loop) - r->begun_us;
    int class = r->state == REQ_ANSWERED ? r->status / 100 : 0;
    size_t i = 0;
    while (i < 8 && took > limits_ms[i] * 1000)
        i++;
    st->answers[class < STATUS_CLASSES ? class : 0]++;
    st->seconds[i]++;
    st->seconds_sum_us += took;
    if (r->server->quiet || !log_is_debug())
        return;
    autofree char *method = printable(r->method);
    autofree char *path = printable(r->target.path);
    log_debug("request=%s %s %s status=%d took_us=%llu", r->id, method, path, r->status,
              (unsigned long long)took);
}

static void over_cb(void *arg, struct MHD_Connection *conn, void **con_cls,
                    enum MHD_RequestTerminationCode code)
{
    struct req *r = *con_cls;
    (void)arg;
    (void)conn;
    (void)code;
    if (!r)
        return;
    *con_cls = NULL;
    count(r);
    r->state = REQ_OVER;
    r->server->n_requests--;
    if (r->is_listed) {
        LIST_REMOVE(r, link);
        r->is_listed = false;
    }
    client_waits(r->client, loop_now_us(r->server->loop), IDLE_S);
    if (r->free_data)
        r->free_data(r->data);
    r->free_data = NULL;
    r->data = NULL;
    sse_client_gone(r->sse);
    r->sse = NULL;
    r->conn = NULL;
    r->client = NULL;
    req_unref(r);
}

static void connection_cb(void *arg, struct MHD_Connection *conn, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *s = arg;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        struct client *c = xcalloc(1, sizeof(*c));
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
        c->fd = info ? info->connect_fd : -1;
        client_waits(c, loop_now_us(s->loop), IDLE_S);
        LIST_INSERT_HEAD(&s->clients, c, link);
        if (s->n_clients++ == 0)
            loop_timer_set(s->sweep, SWEEP_US, 0);
        *socket_context = c;
        return;
    }
    struct client *c = *socket_context;
    *socket_context = NULL;
    if (!c)
        return;
    LIST_REMOVE(c, link);
    s->n_clients--;
    free(c);
}

void req_answer(struct req *r, int status, struct MHD_Response *response, const char *content_type)
{
    struct header *h;
    if (r->response || r->state >= REQ_ANSWERED) {
        if (!r->too_late && r->state != REQ_OVER)
            log_error("request=%s: a second answer (%d after %d) was dropped", r->id, status,
                      r->status);
        MHD_destroy_response(response);
        return;
    }
    r->response = response;
    r->status = status;
    if (content_type)
        MHD_add_response_header(response, "Content-Type", content_type);
    MHD_add_response_header(response, "X-Request-Id", r->id);
    if (r->server->draining)
        MHD_add_response_header(response, "Connection", "close");
    bool has_cache_rule = false;
    SLIST_FOREACH(h, &r->headers, link)
    {
        MHD_add_response_header(response, h->name, h->value);
        has_cache_rule |= strcasecmp(h->name, "Cache-Control") == 0;
    }
    if (!has_cache_rule)
        MHD_add_response_header(response, "Cache-Control", "no-store");
    if (!r->suspended)
        return;
    r->suspended = false;
    if (r->is_listed)
        LIST_REMOVE(r, link);
    r->is_listed = false;
    MHD_resume_connection(r->conn);
    server_kick(r->server);
}

/* ---- addresses ---- */

static void mhd_log(void *arg, const char *fmt, va_list ap)
{
    static struct log_rate rate = LOG_RATE(10, 60);
    char line[512];
    (void)arg;
    vsnprintf(line, sizeof(line), fmt, ap);
    line[strcspn(line, "\n")] = '\0';
    if (log_is_debug() && log_rate_ok(&rate))
        log_debug("http: %s", line);
}

/* fd: the listening socket, ours from here on. */
static int listener_start(struct server *s, struct listener *l, int fd,
                          const struct server_opts *opts, struct err *err)
{
    size_t max = opts->connections_max ? opts->connections_max : 20000;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, cert_callback()},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    l->server = s;
    l->port = listen_port(fd);
    l->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (s->cert ? MHD_USE_TLS : 0),
        0, NULL, NULL, access_cb, s, MHD_OPTION_EXTERNAL_LOGGER, mhd_log, s,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)max,
        MHD_OPTION_CONNECTION_TIMEOUT, 75u, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)32 << 10,
        MHD_OPTION_URI_LOG_CALLBACK, target_cb, s, MHD_OPTION_NOTIFY_COMPLETED, over_cb, s,
        MHD_OPTION_NOTIFY_CONNECTION, connection_cb, s, MHD_OPTION_ARRAY, s->cert ? tls : none,
        MHD_OPTION_END);
    if (!l->daemon) {
        close(fd);
        return err_set(err, "port %d: the HTTP library can't start", l->port);
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    l->io = loop_io_create(s->loop, info->epoll_fd, EPOLLIN, ready_cb, l);
    return 0;
}

struct server *server_create(struct loop *l, const struct server_opts *opts, struct err *err)
{
    struct server *s = xcalloc(1, sizeof(*s));
    size_t n = 0;
    s->loop = l;
    s->router = router_create();
    s->behind_proxy = opts->behind_proxy;
    s->proxies = opts->proxies;
    s->quiet = opts->quiet;
    s->tls = opts->cert_file != NULL;
    s->tick = loop_timer_create(l, run, s);
    s->sweep = loop_timer_create(l, sweep_cb, s);
    LIST_INIT(&s->waiting);
    LIST_INIT(&s->clients);
    while (!opts->n_fds && opts->addresses[n])
        n++;
    n += opts->n_fds;
    s->listeners = xcalloc(n + 1, sizeof(*s->listeners));
    if (opts->cert_file)
        s->cert = cert_open(l, opts->cert_file, opts->key_file, opts->host, err);
    if (opts->cert_file && !s->cert)
        goto fail;
    for (size_t i = 0; i < n; i++) {
        int fd =
            opts->n_fds ? opts->fds[i] : listen_at(opts->addresses[i], s->listeners[0].port, err);
        if (fd < 0 || listener_start(s, &s->listeners[i], fd, opts, err) < 0)
            goto fail;
        s->n_listeners++;
    }
    server_kick(s);
    return s;
fail:
    server_destroy(s);
    return NULL;
}

int server_adopt(struct server *s, int fd, const struct sockaddr *address, unsigned address_len)
{
    if (s->draining) {
        close(fd);
        return -1;
    }
    if (MHD_add_connection(s->listeners[0].daemon, fd, address, address_len) != MHD_YES)
        return -1;
    server_kick(s);
    return 0;
}

void server_routes(struct server *s, const struct route *routes, void *arg)
{
    router_add(s->router, routes, arg);
}

int server_port(const struct server *s)
{
    return s->n_listeners ? s->listeners[0].port : 0;
}

const struct server_stats *server_stats(struct server *s)
{
    s->stats.connections = s->n_clients;
    s->stats.requests = s->n_requests;
    s->stats.streams = s->n_streams;
    return &s->stats;
}

static void drain_late(void *arg)
{
    struct server *s = arg;
    loop_f *done = s->drained;
    log_warning("%zu requests were not finished in time", s->n_requests);
    s->drained = NULL;
    if (done)
        done(s->drained_arg);
}

void server_drain(struct server *s, uint64_t timeout_us, loop_f *done, void *arg)
{
    s->draining = true;
    s->drained = done;
    s->drained_arg = arg;
    for (size_t i = 0; i < s->n_listeners; i++) {
        int fd = MHD_quiesce_daemon(s->listeners[i].daemon);
        if (fd >= 0)
            close(fd);
    }
    sse_end_all(s);
    s->linger_until_us = loop_now_us(s->loop) + LINGER_US;
    loop_timer_set(s->sweep, LINGER_US, 0); /* run() looks again then at the latest */
    s->drain_timer = loop_timer_create(s->loop, drain_late, s);
    loop_timer_set(s->drain_timer, timeout_us, 0);
    server_kick(s);
}

void server_reload(struct server *s)
{
    if (s->cert)
        cert_reload(s->cert);
}

void server_destroy(struct server *s)
{
    struct req *r;
    if (!s)
        return;
    /* libmicrohttpd must not be stopped while a connection is suspended. */
    sse_end_all(s);
    while ((r = LIST_FIRST(&s->waiting)))
        reply_error(r, 503, "SERVICE_STOPS", "The service is stopping; please try again");
    s->destroyed = true;
    for (size_t i = 0; i < s->n_listeners; i++) {
        loop_io_destroy(s->listeners[i].io);
        MHD_run(s->listeners[i].daemon);
        MHD_stop_daemon(s->listeners[i].daemon);
    }
    loop_timer_destroy(s->tick);
    loop_timer_destroy(s->sweep);
    loop_timer_destroy(s->drain_timer);
    loop_timer_destroy(s->ping);
    router_destroy(s->router);
    cert_close(s->cert);
    free(s->listeners);
    if (!s->kicked) /* else run() is under way and frees it */
        free(s);
}
