#include "service/attached.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "service/broker/node.h"

#define NODE_STOP_US LOOP_S(20)

static char *note_path(const char *data_dir)
{
    return xasprintf("%s/broker-runs.json", data_dir);
}

static struct json_object *read_note(const char *data_dir)
{
    autofree char *path = note_path(data_dir);
    autobuf struct buf b = BUF_INIT;
    if (access(path, F_OK) < 0 || fs_read(path, 4096, &b, NULL) < 0)
        return NULL;
    return json_read(b.data, b.len, 4096, path, NULL);
}

/* Whoever runs the broker holds a lock for life: a note without it is an old one. */
static int lock_file(const char *data_dir)
{
    autofree char *path = xasprintf("%s/broker.lock", data_dir);
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

int attached_find(const char *data_dir, struct attached *out)
{
    autojson struct json_object *o = read_note(data_dir);
    int64_t amqp, auth;
    if (!o || json_get_int(o, "amqp", &amqp, NULL) < 0 || json_get_int(o, "auth", &auth, NULL) < 0)
        return 0;
    int fd = lock_file(data_dir);
    bool runs = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0;
    if (fd >= 0)
        close(fd);
    *out = (struct attached){(int)amqp, (int)auth};
    return runs;
}

void attached_password(struct creds *c, char out[CREDS_PASSWORD])
{
    creds_derive(c, "the service's own password", out);
    out[0] = 'p';
}

char *attached_backend_path(struct creds *c)
{
    char secret[CREDS_PASSWORD];
    creds_derive(c, "auth back end", secret);
    return xasprintf("/%s", secret);
}

struct run {
    struct loop *loop;
    struct node *node;
};

static void gone(void *arg)
{
    loop_stop(((struct run *)arg)->loop, 0);
}

static void on_stop(void *arg)
{
    struct run *r = arg;
    node_stop(r->node, NODE_STOP_US, gone, r);
}

static void listening(void *arg)
{
    struct run *r = arg;
    printf("ready amqp://127.0.0.1:%d/\n", node_port(r->node));
    fflush(stdout);
}

static int write_note(const char *data_dir, const struct attached *a, struct err *err)
{
    autofree char *path = note_path(data_dir);
    autobuf struct buf b = BUF_INIT;
    autojson struct json_object *o = json_object_new_object();
    json_add_int(o, "amqp", a->amqp_port);
    json_add_int(o, "auth", a->auth_port);
    json_write(&b, o);
    return fs_write(path, b.data, b.len, 0600, false, err);
}

/* The back end's port stays the same over restarts of both: the node's configuration names it. */
static int auth_port(const char *data_dir)
{
    autojson struct json_object *o = read_note(data_dir);
    int64_t port = 0;
    json_get_int(o, "auth", &port, NULL);
    return port > 0 && port < 65536 ? (int)port : node_free_port();
}

static int start(struct run *r, const struct service_config *config, struct err *err)
{
    autofree char *key = xasprintf("%s/broker.key", config->data_dir);
    autofree char *folder = xasprintf("%s/broker", config->data_dir);
    struct creds *creds = creds_create(r->loop, NULL, key, err);
    if (!creds)
        return -1;
    struct attached a = {.auth_port = auth_port(config->data_dir)};
    autofree char *path = attached_backend_path(creds);
    autofree char *url = xasprintf("http://127.0.0.1:%d%s", a.auth_port, path);
    creds_destroy(creds);
    r->node = node_start(r->loop,
                         &(struct node_opts){.folder = folder,
                                             .listen = config->broker.listen,
                                             .port = config->broker.port,
                                             .user = config->user,
                                             .backend_url = url,
                                             .cert_file = config->broker.cert_file,
                                             .key_file = config->broker.key_file,
                                             .listening = listening,
                                             .arg = r},
                         err);
    if (!r->node)
        return -1;
    a.amqp_port = node_port(r->node);
    return write_note(config->data_dir, &a, err);
}

int attached_main(const struct service_config *config, struct loop *l)
{
    struct run r = {.loop = l};
    struct err err = ERR_INIT;
    int lock = lock_file(config->data_dir);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0) {
        fprintf(stderr, "Error: %s: a broker runs there already\n", config->data_dir);
        return 1;
    }
    loop_signal(l, SIGTERM, on_stop, &r);
    loop_signal(l, SIGINT, on_stop, &r);
    if (start(&r, config, &err) < 0) {
        fprintf(stderr, "Error: %s\n", err.text);
        node_destroy(r.node);
        return 1;
    }
    int rc = loop_run(l);
    node_destroy(r.node);
    close(lock);
    return rc;
}
