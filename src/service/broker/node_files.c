/* What stands in the folder of a RabbitMQ node of our own: its ports, its certificate, its
 * configuration. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "service/broker/backend_conf.h"
#include "service/broker/node_private.h"

static const char *const port_names[PORT_COUNT] = {"amqp", "dist", "epmd"};

/* ---- ports ---- */

/* Of 127.0.0.1; 0 = none. */
static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = 0;
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
        getsockname(fd, (struct sockaddr *)&a, &n) == 0)
        port = ntohs(a.sin_port);
    if (fd >= 0)
        close(fd);
    return port;
}

static struct json_object *ports_file(const struct node *n)
{
    autofree char *path = xasprintf("%s/ports.json", n->folder);
    autobuf struct buf b = BUF_INIT;
    if (access(path, F_OK) < 0 || fs_read(path, 4096, &b, NULL) < 0)
        return NULL;
    return json_read(b.data, b.len, 4096, path, NULL);
}

int node_read_ports(struct node *n, struct err *err)
{
    autojson struct json_object *o = ports_file(n);
    for (int i = 0; i < PORT_COUNT; i++) {
        int64_t port;
        if (!o || json_get_int(o, port_names[i], &port, NULL) < 0)
            return err_set(err, "%s/ports.json does not name the broker's ports", n->folder);
        n->ports[i] = (int)port;
    }
    return 0;
}

int node_choose_ports(struct node *n, int wanted, struct err *err)
{
    autofree char *path = xasprintf("%s/ports.json", n->folder);
    autobuf struct buf b = BUF_INIT;
    autojson struct json_object *o = ports_file(n);
    if (!o)
        o = json_object_new_object();
    for (int i = 0; i < PORT_COUNT; i++) {
        int64_t port = 0;
        json_get_int(o, port_names[i], &port, NULL);
        if (i == PORT_AMQP && wanted)
            port = wanted;
        if (port <= 0 || port > 65535)
            port = free_port();
        if (port == 0)
            return err_set(err, "there is no free port for the broker");
        n->ports[i] = (int)port;
        json_add_int(o, port_names[i], port);
    }
    json_write(&b, o);
    return fs_write(path, b.data, b.len, 0600, false, err);
}

/* ---- files ---- */

static int give(struct node *n, const char *path, struct err *err)
{
    if (n->drops && lchown(path, n->uid, n->gid) < 0)
        return err_errno(err, "%s: can't be given to the broker's account", path);
    return 0;
}

static int put_file(struct node *n, const char *name, const struct buf *b, struct err *err)
{
    autofree char *path = xasprintf("%s/%s", n->folder, name);
    return fs_write(path, b->data ? b->data : "", b->len, 0600, false, err) < 0
               ? -1
               : give(n, path, err);
}

static int put_folder(struct node *n, const char *name, struct err *err)
{
    autofree char *path = xasprintf("%s%s%s", n->folder, *name ? "/" : "", name);
    if (fs_mkdirs(path, 0700, err) < 0)
        return -1;
    return give(n, path, err);
}

int node_copy_tls(struct node *n, struct err *err)
{
    autobuf struct buf cert = BUF_INIT, key = BUF_INIT;
    int rc = fs_read(n->cert_file, 1 << 20, &cert, err) < 0 ||
                     fs_read(n->key_file, 1 << 20, &key, err) < 0 ||
                     put_file(n, "tls.crt", &cert, err) < 0 || put_file(n, "tls.key", &key, err) < 0
                 ? -1
                 : 0;
    if (key.data)
        explicit_bzero(key.data, key.len);
    return rc;
}

static void write_tls(const struct node *n, struct buf *b, const struct node_opts *o, int port)
{
    buf_fmt(b,
            "listeners.tcp = none\n"
            "listeners.ssl.1 = %s:%d\n"
            "ssl_options.certfile = %s/tls.crt\n"
            "ssl_options.keyfile = %s/tls.key\n"
            "ssl_options.cacertfile = %s/tls.crt\n"
            "ssl_options.verify = verify_none\n"
            "ssl_options.fail_if_no_peer_cert = false\n",
            o->listen, port, n->folder, n->folder, n->folder);
}

int node_write_conf(struct node *n, const struct node_opts *o, struct err *err)
{
    autobuf struct buf b = BUF_INIT, plugins = BUF_INIT, advanced = BUF_INIT;
    if (o->cert_file)
        write_tls(n, &b, o, n->ports[PORT_AMQP]);
    else
        buf_fmt(&b, "listeners.tcp.1 = %s:%d\n", o->listen, n->ports[PORT_AMQP]);
    buf_str(&b, "loopback_users = none\nauth_backends.1 = cache\n");
    backend_conf(&b, o->backend_url);
    buf_fmt(&b,
            "heartbeat = 60\n"
            "channel_max = 2047\n"
            "vm_memory_high_watermark.relative = 0.4\n"
            "disk_free_limit.absolute = 64MB\n"
            "log.console = false\n"
            "log.file = %s/log/rabbitmq.log\n"
            "log.file.level = warning\n"
            "log.file.rotation.size = 10485760\n"
            "log.file.rotation.count = 3\n",
            n->folder);
    buf_str(&plugins, "[rabbitmq_auth_backend_http,rabbitmq_auth_backend_cache].\n");
    buf_str(&advanced, "[].\n");
    if (put_folder(n, "", err) < 0 || put_folder(n, "log", err) < 0 ||
        put_folder(n, "home", err) < 0 || put_folder(n, "data", err) < 0 ||
        (n->cert_file && node_copy_tls(n, err) < 0))
        return -1;
    return put_file(n, "rabbitmq.conf", &b, err) < 0 ||
                   put_file(n, "enabled_plugins", &plugins, err) < 0 ||
                   put_file(n, "advanced.config", &advanced, err) < 0
               ? -1
               : 0;
}
