#include "service/http/tunnel.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"

#define HEAD_MAX 4096
#define WAITING_MAX 256 /* clients that have not finished their request */
#define PATIENCE_US LOOP_S(10)
#define SWEEP_US LOOP_S(2)

/* One client until its request is whole. */
struct guest {
    LIST_ENTRY(guest) link;
    struct tunnel *tunnel;
    struct loop_io *io;
    int fd;
    uint64_t since_us;
    struct sockaddr_storage address;
    socklen_t address_len;
    char head[HEAD_MAX];
    size_t n;
};

struct tunnel {
    struct loop *loop;
    struct server *server;
    struct loop_io *io;
    struct loop_timer *sweep;
    char *own_host; /* "" = none */
    int fd, port;
    LIST_HEAD(, guest) guests;
    size_t n_guests;
};

/* ---- the request ----------------------------------------------------------------------------- */

static bool is_ours(const char *name, size_t n, const char *own_host)
{
    const char *const names[] = {"compute.api.globus.org", "auth.globus.org", own_host};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (*names[i] != '\0' && strlen(names[i]) == n && strncasecmp(names[i], name, n) == 0)
            return true;
    return false;
}

int tunnel_judge(const char *head, size_t n, const char *own_host)
{
    const char *end = memchr(head, '\r', n);
    const char *space = end == NULL ? NULL : memchr(head, ' ', (size_t)(end - head));
    if (space == NULL)
        return 400;
    const char *target = space + 1;
    const char *version = memchr(target, ' ', (size_t)(end - target));
    if (version == NULL || end - version < 9 || memcmp(version, " HTTP/1.", 8) != 0)
        return 400;
    if (space - head != 7 || memcmp(head, "CONNECT", 7) != 0)
        return 405;
    const char *colon = memchr(target, ':', (size_t)(version - target));
    if (colon == NULL)
        return 400;
    return is_ours(target, (size_t)(colon - target), own_host) ? 200 : 403;
}

/* ---- guests ---------------------------------------------------------------------------------- */

/* Forgets the guest; its socket is closed unless somebody took it. */
static void leave(struct guest *g, bool close_it)
{
    LIST_REMOVE(g, link);
    g->tunnel->n_guests--;
    loop_io_destroy(g->io);
    if (close_it)
        close(g->fd);
    free(g);
}

static const char *answer_of(int status)
{
    switch (status) {
    case 200:
        return "HTTP/1.1 200 Connection established\r\n\r\n";
    case 403:
        return "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
               "This port leads to this Compute service only. List other hosts in no_proxy.\n";
    case 405:
        return "HTTP/1.1 405 Method Not Allowed\r\nAllow: CONNECT\r\nContent-Type: text/plain\r\n"
               "Connection: close\r\n\r\nThis port takes CONNECT (https_proxy) only.\n";
    default:
        return "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    }
}

static void decide(struct guest *g)
{
    struct tunnel *t = g->tunnel;
    int status = tunnel_judge(g->head, g->n, t->own_host);
    const char *text = answer_of(status);
    /* A fresh socket takes a few bytes at once; one that does not is not worth waiting for. */
    bool sent = send(g->fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
    if (status != 200 || !sent) {
        shutdown(g->fd, SHUT_WR);
        leave(g, true);
        return;
    }
    int fd = g->fd;
    struct sockaddr_storage address = g->address;
    socklen_t n = g->address_len;
    leave(g, false);
    if (server_adopt(t->server, fd, (struct sockaddr *)&address, n) != 0)
        log_warning("a client of the CONNECT port could not be taken: too many connections?");
}

/* Takes no byte behind the request's empty line: what follows is TLS and belongs to the server. */
static void readable(void *arg, int fd, uint32_t revents)
{
    struct guest *g = arg;
    size_t had = g->n;
    ssize_t got = recv(fd, g->head + had, HEAD_MAX - had, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        leave(g, true);
        return;
    }
    size_t from = had < 3 ? 0 : had - 3;
    const char *end = memmem(g->head + from, had + (size_t)got - from, "\r\n\r\n", 4);
    size_t take = end == NULL ? (size_t)got : (size_t)(end + 4 - (g->head + had));
    got = recv(fd, g->head + had, take, MSG_DONTWAIT);
    if (got != (ssize_t)take) {
        leave(g, true);
        return;
    }
    g->n += take;
    if (end != NULL)
        decide(g);
    else if (g->n == HEAD_MAX)
        leave(g, true);
}

static void sweep_cb(void *arg)
{
    struct tunnel *t = arg;
    uint64_t now = loop_now_us(t->loop);
    for (struct guest *g = LIST_FIRST(&t->guests), *next; g != NULL; g = next) {
        next = LIST_NEXT(g, link);
        if (now - g->since_us > PATIENCE_US)
            leave(g, true);
    }
    if (t->n_guests > 0)
        loop_timer_set(t->sweep, SWEEP_US, LOOP_MS(500));
}

static void acceptable(void *arg, int fd, uint32_t revents)
{
    struct tunnel *t = arg;
    for (int i = 0; i < 32; i++) {
        struct guest *g = xcalloc(1, sizeof *g);
        g->address_len = sizeof g->address;
        g->fd = accept4(fd, (struct sockaddr *)&g->address, &g->address_len,
                        SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (g->fd < 0 || t->n_guests >= WAITING_MAX) {
            bool more = g->fd >= 0;
            if (more)
                close(g->fd);
            free(g);
            if (more)
                continue;
            return;
        }
        g->tunnel = t;
        g->since_us = loop_now_us(t->loop);
        LIST_INSERT_HEAD(&t->guests, g, link);
        t->n_guests++;
        g->io = loop_io_create(t->loop, g->fd, EPOLLIN, readable, g);
        if (!loop_timer_is_set(t->sweep))
            loop_timer_set(t->sweep, SWEEP_US, LOOP_MS(500));
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

static int listen_at(const char *address, struct err *err)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL)
        return err_set(err, "the CONNECT port \"%s\" has to be HOST:PORT", address);
    bool bracketed = address[0] == '[' && colon[-1] == ']';
    autofree char *host =
        xstrndup(address + bracketed, (size_t)(colon - address) - (bracketed ? 2 : 0));
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    int rc = getaddrinfo(host, colon + 1, &hints, &found);
    if (rc != 0)
        return err_set(err, "the CONNECT port %s: %s", address, gai_strerror(rc));
    int on = 1, fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 128) != 0) {
        err_errno(err, "the CONNECT port %s", address);
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

static char *host_of(const char *url)
{
    const char *host = url == NULL ? NULL : strstr(url, "://");
    return host == NULL ? xstrdup("") : xstrndup(host + 3, strcspn(host + 3, ":/"));
}

struct tunnel *tunnel_create(struct loop *l, struct server *s, const char *address, const char *own,
                             struct err *err)
{
    int fd = listen_at(address, err);
    if (fd < 0)
        return NULL;
    struct tunnel *t = xcalloc(1, sizeof *t);
    struct sockaddr_storage bound;
    socklen_t n = sizeof bound;
    t->loop = l;
    t->server = s;
    t->fd = fd;
    t->own_host = host_of(own);
    LIST_INIT(&t->guests);
    if (getsockname(fd, (struct sockaddr *)&bound, &n) == 0)
        t->port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                    : ((struct sockaddr_in *)&bound)->sin_port);
    t->sweep = loop_timer_create(l, sweep_cb, t);
    t->io = loop_io_create(l, fd, EPOLLIN, acceptable, t);
    return t;
}

int tunnel_port(const struct tunnel *t)
{
    return t->port;
}

void tunnel_destroy(struct tunnel *t)
{
    if (t == NULL)
        return;
    while (!LIST_EMPTY(&t->guests))
        leave(LIST_FIRST(&t->guests), true);
    loop_io_destroy(t->io);
    loop_timer_destroy(t->sweep);
    close(t->fd);
    free(t->own_host);
    free(t);
}
