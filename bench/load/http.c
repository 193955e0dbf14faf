#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "bench/load/load.h"

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

int http_dial(const struct target *t)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *a;
    int one = 1;
    if (getaddrinfo(t->host, t->port, &hints, &a) != 0)
        die(t->host);
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, a->ai_addr, a->ai_addrlen) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    freeaddrinfo(a);
    return fd;
}

static size_t header_length(const char *head)
{
    const char *p = strcasestr(head, "\r\ncontent-length:");
    return p ? strtoul(p + 17, NULL, 10) : 0;
}

int http_call(int fd, const struct target *t, const char *method, const char *path,
              const char *body, size_t n, struct buf *out)
{
    autobuf struct buf b = BUF_INIT;
    char *end = NULL;
    buf_fmt(&b,
            "%s %s HTTP/1.1\r\nHost: %s:%s\r\nAuthorization: Bearer %s\r\n"
            "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
            method, path, t->host, t->port, t->token, n);
    buf_add(&b, body, n);
    if (fs_write_all(fd, b.data, b.len) < 0)
        die("write");
    buf_clear(&b);
    size_t want = 0;
    while (!end || b.len < want) {
        ssize_t got = read(fd, buf_room(&b, 65536), 65536);
        if (got <= 0)
            die("read");
        buf_grew(&b, (size_t)got);
        if (!end && (end = strstr(b.data, "\r\n\r\n"))) {
            *end = '\0';
            want = (size_t)(end - b.data) + 4 + header_length(b.data);
        }
    }
    size_t head = strlen(b.data) + 4;
    buf_clear(out);
    buf_add(out, b.data + head, b.len - head);
    return atoi(b.data + 9);
}

struct json_object *http_json(int fd, const struct target *t, const char *method, const char *path,
                              const char *body, size_t n)
{
    autobuf struct buf out = BUF_INIT;
    int status = http_call(fd, t, method, path, body, n, &out);
    if (status != 200) {
        fprintf(stderr, "load: %s %s: %d %s\n", method, path, status, out.data);
        exit(1);
    }
    return json_read(out.data, out.len, 1 << 28, path, NULL);
}
