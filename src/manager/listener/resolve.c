/* Host names for a process that has no files any more.
 *
 * librabbitmq looks names up with getaddrinfo(), and TLS wants to see the name and not an address.
 * So this program has a getaddrinfo() of its own, which the dynamic linker prefers to libc's:
 * until resolve_through() it is libc's, from then on numbers are turned into addresses here and
 * names are asked from the helper.  Called on connections' threads, which may wait. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/alloc.h"
#include "manager/listener/outside.h"

#define WAIT_MS 20000

static atomic_int helper = -1;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

void resolve_through(int socket)
{
    atomic_store(&helper, socket);
}

static bool is_readable(int socket, int timeout_ms)
{
    struct pollfd p = {.fd = socket, .events = POLLIN};
    return poll(&p, 1, timeout_ms) > 0;
}

/* With the lock held. */
static int ask(int socket, const struct resolve_question *q, struct resolve_answer *a)
{
    /* What an earlier asker gave up waiting for. */
    while (is_readable(socket, 0))
        if (recv(socket, a, sizeof(*a), MSG_DONTWAIT) <= 0)
            return EAI_AGAIN;
    if (send(socket, q, sizeof(*q), MSG_NOSIGNAL) < 0 || !is_readable(socket, WAIT_MS) ||
        recv(socket, a, sizeof(*a), 0) != (ssize_t)sizeof(*a) || a->count > RESOLVE_MAX)
        return EAI_AGAIN;
    return a->rc;
}

static struct addrinfo *entry(const void *address, socklen_t len, struct addrinfo *next)
{
    struct addrinfo *i = xcalloc(1, sizeof(*i) + len);
    i->ai_addr = (struct sockaddr *)(i + 1);
    memcpy(i->ai_addr, address, len);
    i->ai_addrlen = len;
    i->ai_family = i->ai_addr->sa_family;
    i->ai_socktype = SOCK_STREAM;
    i->ai_protocol = IPPROTO_TCP;
    i->ai_next = next;
    return i;
}

static struct addrinfo *numeric(const char *host, const char *service)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    in_port_t port = htons((in_port_t)(service ? atoi(service) : 0));
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        v4.sin_port = port;
        return entry(&v4, sizeof(v4), NULL);
    }
    if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        v6.sin6_port = port;
        return entry(&v6, sizeof(v6), NULL);
    }
    return NULL;
}

static int through_helper(int socket, const char *host, const char *service, struct addrinfo **out)
{
    struct resolve_question q = {0};
    struct resolve_answer a = {0};
    *out = numeric(host, service);
    if (*out)
        return 0;
    if (strlen(host) >= sizeof(q.host))
        return EAI_NONAME;
    snprintf(q.host, sizeof(q.host), "%s", host);
    snprintf(q.service, sizeof(q.service), "%s", service ? service : "");
    pthread_mutex_lock(&one_at_a_time);
    int rc = ask(socket, &q, &a);
    pthread_mutex_unlock(&one_at_a_time);
    for (uint32_t i = rc == 0 ? a.count : 0; i-- > 0;)
        if (a.address[i].len <= sizeof(a.address[i].bytes))
            *out = entry(a.address[i].bytes, a.address[i].len, *out);
    return rc == 0 && !*out ? EAI_NONAME : rc;
}

int getaddrinfo(const char *restrict host, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
    static int (*libc)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    int socket = atomic_load(&helper);
    if (socket >= 0)
        return through_helper(socket, host ? host : "localhost", service, out);
    if (!libc)
        *(void **)&libc = dlsym(RTLD_NEXT, "getaddrinfo");
    return libc(host, service, hints, out);
}

/* All lists that are still alive when the helper takes over are made here: what came before was
 * the registration, and it has ended. */
void freeaddrinfo(struct addrinfo *list)
{
    static void (*libc)(struct addrinfo *);
    if (atomic_load(&helper) < 0) {
        if (!libc)
            *(void **)&libc = dlsym(RTLD_NEXT, "freeaddrinfo");
        libc(list);
        return;
    }
    while (list) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}
