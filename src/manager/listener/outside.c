/* The listener's side of the helper: fork, questions, answers. */
#include "manager/listener/outside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/map.h"

struct outside {
    int channel, resolver;
    struct loop *loop;
    struct loop_io *io;
    loop_f *gone;
    void *gone_arg;
    uint64_t last_id;
    struct map *asked; /* id as text -> struct question */
};

struct question {
    struct outside *o;
    char key[24];
    outside_f *cb;
    void *arg;
    char why[128];
};

/* ---- packets ---- */

int outside_send(int socket, const struct outside_packet *p, int fd)
{
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = (void *)p, .iov_len = sizeof(*p)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = control.room;
        m.msg_controllen = sizeof(control.room);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(socket, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

int outside_receive(int socket, struct outside_packet *p, int *fd)
{
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = p, .iov_len = sizeof(*p)};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.room,
                       .msg_controllen = sizeof(control.room)};
    *fd = -1;
    ssize_t n;
    do
        n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return (int)n;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(fd, CMSG_DATA(c), sizeof(int)); /* room for one only */
    if (n == sizeof(*p) && !(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
        memchr(p->text, '\0', sizeof(p->text)))
        return 1;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = EBADMSG;
    return -1;
}

struct json_object *outside_document(int fd, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    struct json_object *o = NULL;
    if (lseek(fd, 0, SEEK_SET) < 0)
        err_errno(err, "a memory file can't be read");
    else if (fs_read_fd(fd, OUTSIDE_DOCUMENT_MAX, "a memory file", &text, err) == 0)
        o = json_read(text.data ? text.data : "", text.len, OUTSIDE_DOCUMENT_MAX, "document", err);
    close(fd);
    return o;
}

int outside_document_make(struct json_object *o, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    json_write(&text, o);
    return fs_memfd("mapping", text.data, text.len, true, err);
}

/* ---- life ---- */

struct outside *outside_fork(int keep_closed)
{
    int channel[2], resolver[2];
    struct outside *o = xcalloc(1, sizeof(*o));
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, resolver) < 0) {
        log_critical("the listener's helper can't be started: %s", strerror(errno));
        exit(1);
    }
    pid_t pid = fork();
    if (pid < 0) {
        log_critical("the listener's helper can't be started: %s", strerror(errno));
        exit(1);
    }
    if (pid == 0) {
        /* Held open here, the monitor would not see that the listener has ended. */
        close(keep_closed);
        close(channel[0]);
        close(resolver[0]);
        outside_serve(channel[1], resolver[1]);
    }
    close(channel[1]);
    close(resolver[1]);
    o->channel = channel[0];
    o->resolver = resolver[0];
    o->asked = map_create();
    return o;
}

int outside_resolver(const struct outside *o)
{
    return o->resolver;
}

static void answered(struct outside *o, const struct outside_packet *p, int fd)
{
    char key[24];
    struct err err = ERR_INIT;
    struct json_object *document = NULL;
    snprintf(key, sizeof(key), "%llu", (unsigned long long)p->id);
    struct question *q = map_del(o->asked, key);
    if (!q) {
        if (fd >= 0)
            close(fd);
        return;
    }
    if (fd >= 0)
        document = outside_document(fd, &err);
    if (fd >= 0 && !document)
        q->cb(q->arg, NULL, NULL, err.text);
    else
        q->cb(q->arg, p, document, NULL);
    json_object_put(document);
    free(q);
}

static void answer_cb(void *arg, int socket, uint32_t revents)
{
    struct outside *o = arg;
    struct outside_packet p;
    int fd;
    int rc = outside_receive(socket, &p, &fd);
    if (rc == 1) {
        answered(o, &p, fd);
    } else if (rc == 0 || (errno != EAGAIN && errno != EBADMSG)) {
        loop_io_destroy(o->io);
        o->io = NULL;
        o->gone(o->gone_arg);
    }
}

void outside_attach(struct outside *o, struct loop *l, loop_f *gone_cb, void *arg)
{
    o->loop = l;
    o->gone = gone_cb;
    o->gone_arg = arg;
    o->io = loop_io_create(l, o->channel, EPOLLIN, answer_cb, o);
}

void outside_destroy(struct outside *o)
{
    const char *key;
    void *q;
    if (!o)
        return;
    for (size_t it = 0; map_next(o->asked, &it, &key, &q);)
        free(q);
    map_destroy(o->asked, NULL);
    loop_io_destroy(o->io);
    close(o->channel);
    close(o->resolver);
    free(o);
}

/* ---- questions ---- */

static void refused_cb(void *arg)
{
    struct question *q = arg;
    q->cb(q->arg, NULL, NULL, q->why);
    free(q);
}

static void ask(struct outside *o, struct outside_packet *p, int fd, outside_f *cb, void *arg)
{
    struct question *q = xcalloc(1, sizeof(*q));
    *q = (struct question){.o = o, .cb = cb, .arg = arg};
    p->id = ++o->last_id;
    snprintf(q->key, sizeof(q->key), "%llu", (unsigned long long)p->id);
    if (outside_send(o->channel, p, fd) == 0) {
        map_put(o->asked, q->key, q);
        return;
    }
    snprintf(q->why, sizeof(q->why), "the listener's helper takes no question: %s",
             strerror(errno));
    loop_defer(o->loop, refused_cb, q);
}

void outside_rules(struct outside *o, int fd, outside_f *cb, void *arg)
{
    struct outside_packet p = {.kind = OUTSIDE_RULES};
    ask(o, &p, fd, cb, arg);
}

void outside_map(struct outside *o, const char *endpoint_id, struct json_object *identities,
                 outside_f *cb, void *arg)
{
    struct outside_packet p = {.kind = OUTSIDE_MAP};
    struct err err = ERR_INIT;
    autojson struct json_object *doc = json_object_new_object();
    json_add_str(doc, "endpoint_id", endpoint_id);
    json_add(doc, "identities", json_object_get(identities));
    autoclose int fd = outside_document_make(doc, &err);
    if (fd < 0)
        log_error("%s", err.text); /* the helper will say that the document is missing */
    ask(o, &p, fd, cb, arg);
}

void outside_account(struct outside *o, const char *name, outside_f *cb, void *arg)
{
    struct outside_packet p = {.kind = OUTSIDE_ACCOUNT};
    snprintf(p.text, sizeof(p.text), "%s", name);
    ask(o, &p, -1, cb, arg);
}
