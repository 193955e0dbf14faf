#include "service/http/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "lib/base/alloc.h"

static int split_address(const char *text, char host[256], char port[16], struct err *err)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    if (!colon || n == 0 || n > 255 || strlen(colon + 1) == 0 || strlen(colon + 1) > 15)
        return err_set(err, "%s: an address is HOST:PORT, e.g. 127.0.0.1:5000 or [::1]:5000", text);
    bool bracketed = text[0] == '[' && text[n - 1] == ']';
    snprintf(host, 256, "%.*s", (int)(n - (bracketed ? 2 : 0)), text + bracketed);
    strcpy(port, colon + 1);
    return 0;
}

/* wanted: 0, or the port that an earlier address with port 0 got: one URL for all of them. */
int listen_at(const char *text, int wanted, struct err *err)
{
    char host[256], port[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    if (split_address(text, host, port, err) < 0)
        return -1;
    if (wanted && strcmp(port, "0") == 0)
        snprintf(port, sizeof(port), "%d", wanted);
    int rc = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, port, &hints, &found);
    if (rc != 0)
        return err_set(err, "%s: %s", text, gai_strerror(rc));
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
    if (fd >= 0 && found->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, 1024) < 0) {
        err_errno(err, "%s: can't listen", text);
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

int listen_port(int fd)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof(a);
    if (getsockname(fd, (struct sockaddr *)&a, &n) < 0)
        return 0;
    return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
                                         : ((struct sockaddr_in *)&a)->sin_port);
}

char *listen_name(int fd)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof(a);
    char host[NI_MAXHOST];
    if (getsockname(fd, (struct sockaddr *)&a, &n) < 0 ||
        getnameinfo((struct sockaddr *)&a, n, host, sizeof(host), NULL, 0, NI_NUMERICHOST) != 0)
        strcpy(host, "?");
    return xasprintf(a.ss_family == AF_INET6 ? "[%s]:%d" : "%s:%d", host, listen_port(fd));
}

int listen_inherited(int *fds, size_t max, struct err *err)
{
    int n = sd_listen_fds(1);
    if (n < 0)
        return err_set(err, "the sockets that were handed down: %s", strerror(-n));
    if ((size_t)n > max)
        return err_set(err, "%d sockets were handed down; at most %zu are used", n, max);
    for (int i = 0; i < n; i++) {
        fds[i] = SD_LISTEN_FDS_START + i;
        if (sd_is_socket(fds[i], AF_INET, SOCK_STREAM, 1) <= 0 &&
            sd_is_socket(fds[i], AF_INET6, SOCK_STREAM, 1) <= 0)
            return err_set(err, "socket %d that was handed down does not listen for TCP", i + 1);
        if (fcntl(fds[i], F_SETFL, O_NONBLOCK) < 0)
            return err_errno(err, "socket %d that was handed down", i + 1);
    }
    return n;
}
