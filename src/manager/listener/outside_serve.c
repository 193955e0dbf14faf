/* The helper's side (outside.h): a loop for the mapping, a thread for host names. */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/idmap/idmap.h"
#include "manager/listener/outside.h"

struct helper {
    struct loop *loop;
    int channel, resolver;
    struct idmap *rules;
    bool has_owner;
    uid_t owner; /* of the first mapping file: nobody else's is taken later */
    unsigned running;
    TAILQ_HEAD(, evaluation) evaluations;
};

struct evaluation {
    TAILQ_ENTRY(evaluation) link;
    struct helper *h;
    struct idmap_run *run;
    uint64_t id;
};

static void say(struct helper *h, uint64_t id, enum outside_kind kind, int code, const char *text,
                int fd)
{
    struct outside_packet p = {.id = id, .kind = kind, .code = code};
    snprintf(p.text, sizeof(p.text), "%s", text);
    if (outside_send(h->channel, &p, fd) < 0)
        log_warning("an answer of the listener's helper is lost: %s", strerror(errno));
}

/* ---- rules ---- */

static int take_rules(struct helper *h, int fd, struct err *err)
{
    struct stat st;
    autobuf struct buf text = BUF_INIT;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, "no mapping file came with the request");
    if (h->has_owner && st.st_uid != h->owner)
        return err_set(err, "the mapping file belongs to uid %u now, it did to %u",
                       (unsigned)st.st_uid, (unsigned)h->owner);
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_errno(err, "the mapping file can't be read");
    if (fs_read_fd(fd, IDMAP_FILE_MAX, "the mapping file", &text, err) < 0)
        return -1;
    struct idmap *rules = idmap_load(text.data ? text.data : "", text.len, err);
    if (!rules)
        return -1;
    idmap_free(h->rules); /* evaluations under way keep theirs */
    h->rules = rules;
    h->has_owner = true;
    h->owner = st.st_uid;
    return 0;
}

/* ---- evaluations ---- */

static void mapped_cb(void *arg, const struct idmap_outcome *outcome)
{
    struct evaluation *e = arg;
    struct helper *h = e->h;
    struct err err = ERR_INIT;
    autojson struct json_object *doc = json_object_new_object();
    json_add_str(doc, "username", outcome->username);
    json_add_str(doc, "matched_identity", outcome->matched_identity);
    json_add(doc, "candidates", json_object_get(outcome->candidates));
    json_add(doc, "warnings", json_object_get(outcome->warnings));
    autoclose int fd = outside_document_make(doc, &err);
    say(h, e->id, OUTSIDE_MAPPED, fd < 0, err.text, fd);
    TAILQ_REMOVE(&h->evaluations, e, link);
    h->running--;
    free(e);
}

static void start_map(struct helper *h, const struct outside_packet *p, int fd)
{
    struct err err = ERR_INIT;
    const char *endpoint_id = NULL;
    autojson struct json_object *doc = NULL;
    if (fd < 0)
        err_set(&err, "the identity set is missing");
    else
        doc = outside_document(fd, &err);
    if (doc && !h->rules)
        err_set(&err, "no mapping rules are loaded");
    if (doc && h->running >= OUTSIDE_RUNS_MAX)
        err_set(&err, "too many identities are being mapped at once");
    if (!doc || err.text[0] || json_get_str(doc, "endpoint_id", &endpoint_id, &err) < 0) {
        say(h, p->id, OUTSIDE_MAPPED, 1, err.text, -1);
        return;
    }
    struct evaluation *e = xcalloc(1, sizeof(*e));
    *e = (struct evaluation){.h = h, .id = p->id};
    TAILQ_INSERT_TAIL(&h->evaluations, e, link);
    h->running++;
    e->run = idmap_eval(h->rules, h->loop, endpoint_id, json_at(doc, "identities"), mapped_cb, e);
}

/* ---- accounts ---- */

static bool account_exists(const char *name)
{
    struct passwd pw, *found = NULL;
    char room[16384];
    return getpwnam_r(name, &pw, room, sizeof(room), &found) == 0 && found;
}

/* ---- the channel ---- */

static void leave(struct helper *h)
{
    struct evaluation *e;
    while ((e = TAILQ_FIRST(&h->evaluations))) {
        TAILQ_REMOVE(&h->evaluations, e, link);
        idmap_cancel(e->run); /* kills its programs */
        free(e);
    }
    _exit(0);
}

static void packet_cb(void *arg, int socket, uint32_t revents)
{
    struct helper *h = arg;
    struct outside_packet p;
    struct err err = ERR_INIT;
    int fd;
    int rc = outside_receive(socket, &p, &fd);
    if (rc < 0 && errno == EAGAIN)
        return;
    if (rc <= 0)
        leave(h);
    switch (p.kind) {
    case OUTSIDE_RULES:
        rc = take_rules(h, fd, &err);
        say(h, p.id, OUTSIDE_RULED, rc < 0, err.text, -1);
        break;
    case OUTSIDE_MAP:
        start_map(h, &p, fd);
        fd = -1; /* read and closed */
        break;
    case OUTSIDE_ACCOUNT:
        say(h, p.id, OUTSIDE_KNOWN, account_exists(p.text), "", -1);
        break;
    default:
        leave(h); /* nobody of ours talks like that */
    }
    if (fd >= 0)
        close(fd);
}

/* ---- host names ---- */

static void resolve(const struct resolve_question *q, struct resolve_answer *a)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    memset(a, 0, sizeof(*a));
    a->rc = getaddrinfo(q->host, q->service, &hints, &list);
    for (struct addrinfo *i = a->rc == 0 ? list : NULL; i && a->count < RESOLVE_MAX;
         i = i->ai_next) {
        if (i->ai_addrlen > sizeof(a->address[0].bytes))
            continue;
        a->address[a->count].len = i->ai_addrlen;
        memcpy(a->address[a->count++].bytes, i->ai_addr, i->ai_addrlen);
    }
    if (a->rc == 0)
        freeaddrinfo(list);
}

/* One at a time: brokers have one name or two, and the askers are threads that may wait. */
static void *resolver_thread(void *arg)
{
    const struct helper *h = arg;
    struct resolve_question q;
    struct resolve_answer a;
    for (;;) {
        ssize_t n = recv(h->resolver, &q, sizeof(q), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return NULL;
        q.host[sizeof(q.host) - 1] = q.service[sizeof(q.service) - 1] = '\0';
        resolve(&q, &a);
        if (send(h->resolver, &a, sizeof(a), MSG_NOSIGNAL) < 0)
            return NULL;
    }
}

static void stop_cb(void *arg)
{
    leave(arg);
}

void outside_serve(int channel, int resolver)
{
    struct helper h = {.channel = channel, .resolver = resolver};
    pthread_t thread;
    TAILQ_INIT(&h.evaluations);
    prctl(PR_SET_NAME, "outside");
    h.loop = loop_create();
    /* The end of the channel says it as well; this is for a listener that is stuck in a core. */
    loop_signal(h.loop, SIGTERM, stop_cb, &h);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (pthread_create(&thread, NULL, resolver_thread, &h) != 0)
        _exit(1);
    loop_io_create(h.loop, channel, EPOLLIN, packet_cb, &h);
    _exit(loop_run(h.loop));
}
