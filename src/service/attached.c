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
#include "service/http/cert.h"

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
    int64_t amqp;
    if (!o || json_get_int(o, "amqp", &amqp, NULL) < 0)
        return 0;
    int fd = lock_file(data_dir);
    bool runs = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0;
    if (fd >= 0)
        close(fd);
    *out = (struct attached){.amqp_port = (int)amqp};
    snprintf(out->ledger, sizeof(out->ledger), "%s", json_str_or(o, "ledger", ""));
    return runs;
}

void attached_ledger(struct creds *c, const char *store_url, char out[CREDS_PASSWORD])
{
    autofree char *text = xasprintf("ledger %s", store_url);
    creds_derive(c, text, out);
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
    struct store *store;
    struct creds *creds;
    struct server *server;
    struct backend *backend;
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

static void on_reload(void *arg)
{
    struct run *r = arg;
    if (r->node)
        node_reload_tls(r->node);
}

static void listening(void *arg)
{
    struct run *r = arg;
    printf("ready amqp://127.0.0.1:%d/\n", node_port(r->node));
    fflush(stdout);
}

static int write_note(const char *data_dir, const struct attached *a, int auth_port,
                      struct err *err)
{
    autofree char *path = note_path(data_dir);
    autobuf struct buf b = BUF_INIT;
    autojson struct json_object *o = json_object_new_object();
    json_add_int(o, "amqp", a->amqp_port);
    json_add_int(o, "auth", auth_port);
    json_add_str(o, "ledger", a->ledger);
    json_write(&b, o);
    return fs_write(path, b.data, b.len, 0600, false, err);
}

/* The back end's port stays the same over restarts of both: the node's configuration names it. */
static int auth_port(const char *data_dir)
{
    autojson struct json_object *o = read_note(data_dir);
    int64_t port = 0;
    json_get_int(o, "auth", &port, NULL);
    return port > 0 && port < 65536 ? (int)port : 0;
}

static int start_backend(struct run *r, const struct service_config *config, char **url,
                         struct err *err)
{
    autofree char *key = xasprintf("%s/broker.key", config->data_dir);
    autofree char *address = xasprintf("127.0.0.1:%d", auth_port(config->data_dir));
    const char *addresses[] = {address, NULL};
    char password[CREDS_PASSWORD];
    r->store = store_open(r->loop, config->store_url, err);
    r->creds = r->store ? creds_create(r->loop, r->store, key, err) : NULL;
    if (!r->creds)
        return -1;
    r->server =
        server_create(r->loop, &(struct server_opts){.addresses = addresses, .quiet = true}, err);
    if (!r->server)
        return err_prefix(err, "the broker's auth back end");
    autofree char *path = attached_backend_path(r->creds);
    attached_password(r->creds, password);
    r->backend = backend_create(r->creds, path, SERVICE_USER, password, false);
    explicit_bzero(password, sizeof(password));
    backend_routes(r->backend, r->server);
    *url = xasprintf("http://127.0.0.1:%d%s", server_port(r->server), path);
    return 0;
}

static int start(struct run *r, const struct service_config *config, struct err *err)
{
    autofree char *folder = xasprintf("%s/broker", config->data_dir);
    autofree char *url = NULL;
    if (config->broker.cert_file && cert_check(config->broker.cert_file, config->broker.key_file,
                                               config->broker.client_host, err) < 0)
        return err_prefix(err, "broker.tls");
    if (start_backend(r, config, &url, err) < 0)
        return -1;
    struct attached a = {0};
    attached_ledger(r->creds, config->store_url, a.ledger);
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
    return write_note(config->data_dir, &a, server_port(r->server), err);
}

static void finish(struct run *r)
{
    node_destroy(r->node);
    server_destroy(r->server);
    store_close(r->store);
    backend_destroy(r->backend);
    creds_destroy(r->creds);
    loop_destroy(r->loop);
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
    loop_signal(l, SIGHUP, on_reload, &r);
    if (start(&r, config, &err) < 0) {
        fprintf(stderr, "Error: %s\n", err.text);
        finish(&r);
        return 1;
    }
    int rc = loop_run(l);
    finish(&r);
    close(lock);
    return rc;
}
