/* The web service: one process, one loop.
 *
 * Start: settings, one instance a folder, account, ledger, listeners, then the broker (a private
 * node unless one is configured).  "ready URL" is printed when both HTTP and broker are there.
 * SIGTERM or SIGINT: no new requests, what is under way ends, what was accepted reaches ledger and
 * broker, then everything stops.  SIGHUP opens the log file anew. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/pidfile.h"
#include "service/broker/node.h"
#include "service/broker/probe.h"
#include "service/attached.h"
#include "service/http/cert.h"
#include "service/http/listen.h"
#include "service/http/tunnel.h"
#include "service/web/web.h"

#define DRAIN_US LOOP_S(20)
#define IDLE_US LOOP_S(5)
#define NODE_STOP_US LOOP_S(15)

struct service {
    struct service_config config;
    struct loop *loop;
    struct pidfile *pidfile;
    struct store *store;
    struct creds *creds;
    struct auth *auth;
    struct api *api;
    struct web *web;
    struct server *server, *backend_server;
    struct tunnel *tunnel;
    struct backend *backend;
    struct node *node;
    struct broker *broker;
    struct loop_timer *idle;
    uint64_t idle_until_us;
    bool is_ready, stopping;
    int fds[LISTEN_MAX]; /* listening sockets that were handed down */
    size_t n_fds;
    struct probe *probe; /* of a broker that the site runs */
    bool is_probed;
    int rc;           /* exit status */
    char *inherited;  /* the address of the first */
    bool is_attached; /* another process runs the node */
};

/* ---- start ---- */

static int become(struct service *s, struct err *err)
{
    const char *name = s->config.user ? s->config.user : "sallyport";
    struct passwd *pw = geteuid() == 0 ? getpwnam(name) : NULL;
    if (geteuid() != 0)
        return 0;
    if (!pw) {
        if (s->config.user)
            return err_set(err, "--user %s: there is no such account", name);
        log_warning("the service runs as root; an account named sallyport would be used instead");
        return 0;
    }
    if (pw->pw_uid == 0)
        return 0;
    if (chown(s->config.data_dir, pw->pw_uid, pw->pw_gid) < 0 || initgroups(name, pw->pw_gid) < 0 ||
        setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
        return err_errno(err, "becoming %s", name);
    if (setuid(0) == 0)
        return err_set(err, "becoming %s: root could be had again", name);
    return 0;
}

static void announce(void *arg)
{
    struct service *s = arg;
    if (s->is_ready || (s->probe && !s->is_probed))
        return;
    s->is_ready = true;
    const char *first = s->config.listen[0];
    bool local = strncmp(first, "127.0.0.1:", 10) == 0;
    autofree char *host = xstrndup(first, (size_t)(strrchr(first, ':') - first));
    autofree char *url = xasprintf("%s://%s:%d/\n", s->config.cert_file ? "https" : "http",
                                   local ? "localhost" : host, server_port(s->server));
    printf("ready %s", url);
    fflush(stdout);
    /* For `sallyport env`. */
    autofree char *path = xasprintf("%s/service.url", s->config.data_dir);
    autofree char *both = s->tunnel ? xasprintf("%shttp://%s:%d\n", url, local ? "localhost" : host,
                                                tunnel_port(s->tunnel))
                                    : xstrdup(url);
    struct err err = ERR_INIT;
    if (fs_write(path, both, strlen(both), 0644, false, &err) < 0)
        log_warning("%s", err.text);
    sd_notify(0, "READY=1");
    log_info("event=ready port=%d store=%.10s", server_port(s->server), s->config.store_url);
}

static void kick(void *arg, const char *principal)
{
    struct service *s = arg;
    const char *words[] = {"close_all_user_connections", principal, "access was withdrawn", NULL};
    if (s->node)
        node_ctl(s->node, words);
}

/* The auth back end has a listener of its own, on this host only unless the site says where, and
 * a path that is a secret. */
static int start_backend(struct service *s, const char *password, char **base_url, struct err *err)
{
    const char *given = s->config.broker.url ? s->config.broker.auth_listen : NULL;
    const char *addresses[] = {given ? given : "127.0.0.1:0", NULL};
    autofree char *path = attached_backend_path(s->creds);
    s->backend_server =
        server_create(s->loop, &(struct server_opts){.addresses = addresses, .quiet = true}, err);
    if (!s->backend_server)
        return err_prefix(err, "the broker's auth back end");
    s->backend = backend_create(s->creds, path, SERVICE_USER, password, given != NULL);
    backend_routes(s->backend, s->backend_server);
    *base_url = xasprintf("http://127.0.0.1:%d%s", server_port(s->backend_server), path);
    return 0;
}

/* A broker that runs beside us has to ask the same ledger about logins. */
static int attach(struct service *s, const struct attached *a, struct err *err)
{
    char ledger[CREDS_PASSWORD];
    autofree char *folder = xasprintf("%s/broker", s->config.data_dir);
    attached_ledger(s->creds, s->config.store_url, ledger);
    if (strcmp(ledger, a->ledger) != 0)
        return err_set(err,
                       "the broker that runs in %s uses another ledger: set `store` in "
                       "service.yaml, where both read it, and restart the broker",
                       s->config.data_dir);
    s->node = node_of(s->loop, folder, err);
    return s->node ? 0 : -1;
}

static void on_stop(void *arg);

static void node_listens(void *arg)
{
    struct service *s = arg;
    if (s->broker)
        broker_wake(s->broker);
}

static int start_node(struct service *s, const char *backend_url, struct err *err)
{
    autofree char *folder = xasprintf("%s/broker", s->config.data_dir);
    struct node_opts opts = {.folder = folder,
                             .listen = s->config.broker.listen,
                             .port = s->config.broker.port,
                             .user = s->config.user,
                             .backend_url = backend_url,
                             .listening = node_listens,
                             .arg = s,
                             .cert_file = s->config.broker.cert_file,
                             .key_file = s->config.broker.key_file};
    s->node = node_start(s->loop, &opts, err);
    return s->node ? 0 : -1;
}

/* Our own way to the private node.  With TLS it is that of the clients: the certificate's name,
 * and the CA that signed it. */
static char *private_url(struct service *s, const char *password, const char *host, int port,
                         struct err *err)
{
    const struct service_config *c = &s->config;
    if (!c->broker.cert_file)
        return xasprintf("amqp://%s:%s@%s:%d/%%2F", SERVICE_USER, password, host, port);
    if (cert_check(c->broker.cert_file, c->broker.key_file, host, err) < 0) {
        err_prefix(err, "broker.tls");
        return NULL;
    }
    autofree char *plain =
        xasprintf("amqps://%s:%s@%s:%d/%%2F", SERVICE_USER, password, host, port);
    return broker_url_with_ca(plain, c->broker.ca_file, err);
}

static void probed(void *arg, const struct err *err)
{
    struct service *s = arg;
    s->is_probed = true;
    if (!err) {
        if (broker_is_up(s->broker))
            announce(s);
        return;
    }
    fprintf(stderr, "Error: %s\n", err->text);
    s->rc = 1;
    on_stop(s);
}

static void start_probe(struct service *s, const char *url)
{
    char password[CREDS_PASSWORD];
    backend_probe_password(s->creds, password);
    s->probe = probe_start(s->loop,
                           &(struct probe_opts){.url = url,
                                                .password = password,
                                                .queue_type = s->config.broker.queue_type},
                           probed, s);
    explicit_bzero(password, sizeof(password));
}

static int start_broker(struct service *s, struct err *err)
{
    char password[CREDS_PASSWORD];
    char *backend_url = NULL, *url = NULL, *address = NULL;
    struct amqp_url parsed = {0};
    struct attached attached;
    int rc = -1, port;
    s->is_attached = !s->config.broker.url && attached_find(s->config.data_dir, &attached);
    attached_password(s->creds, password);
    if (s->is_attached ? attach(s, &attached, err) < 0
                       : start_backend(s, password, &backend_url, err) < 0)
        goto out;
    if (s->config.instance && !s->is_attached && !s->config.broker.url) {
        err_set(err,
                "several processes need one broker beside them: run `sallyport broker --data "
                "%s`, or set broker.url",
                s->config.data_dir);
        goto out;
    }
    if (s->config.broker.url) {
        url = xstrdup(s->config.broker.url);
        if (amqp_url_parse(url, &parsed, err) < 0) {
            err_prefix(err, "the broker's URL");
            goto out;
        }
        const char *host =
            s->config.broker.client_host ? s->config.broker.client_host : parsed.host;
        address = xasprintf("%s:%d/%s", host, parsed.port,
                            strcmp(parsed.vhost, "/") == 0 ? "%2F" : parsed.vhost);
    } else {
        if (!s->is_attached && start_node(s, backend_url, err) < 0)
            goto out;
        port = s->is_attached ? attached.amqp_port : node_port(s->node);
        const char *host = s->config.broker.client_host;
        if (!host)
            host = strcmp(s->config.broker.listen, "0.0.0.0") == 0 ? "127.0.0.1"
                                                                   : s->config.broker.listen;
        url = private_url(s, password, host, port, err);
        if (!url)
            goto out;
        address = xasprintf("%s:%d/%%2F", host, port);
    }
    struct broker_opts opts = {
        .loop = s->loop,
        .creds = s->creds,
        .url = url,
        .client_address = address,
        .client_tls = s->config.broker.url ? parsed.tls : s->config.broker.cert_file != NULL,
        .ca_file = s->config.broker.ca_file,
        .queue_type = s->config.broker.queue_type,
        .stream_bytes = s->config.broker.stream_bytes,
        .status_copy = strncmp(s->config.store_url, "sqlite:", 7) != 0};
    s->broker = broker_create(&opts, api_broker_handlers(), s->api, err);
    rc = s->broker ? 0 : -1;
    if (s->broker)
        api_broker(s->api, s->broker);
    if (s->broker && s->config.broker.url)
        start_probe(s, url);
out:
    amqp_url_clear(&parsed);
    free(backend_url);
    wipe_free(url);
    free(address);
    explicit_bzero(password, sizeof(password));
    return rc;
}

/* The host of an https URL: what the certificate has to be for. */
static char *https_host(const char *url)
{
    if (!url || strncmp(url, "https://", 8) != 0)
        return NULL;
    bool bracketed = url[8] == '[';
    return xstrndup(url + 8 + bracketed, strcspn(url + 8 + bracketed, bracketed ? "]" : ":/"));
}

/* Sockets that a supervisor holds and hands down: no connection is lost while we restart, and
 * several processes may accept from one. */
static int take_sockets(struct service *s, struct err *err)
{
    int n = listen_inherited(s->fds, LISTEN_MAX, err);
    if (n < 0)
        return -1;
    s->n_fds = (size_t)n;
    if (n > 0) {
        s->inherited = listen_name(s->fds[0]);
        s->config.listen[0] = s->inherited;
    }
    return 0;
}

static int start(struct service *s, struct err *err)
{
    const char *instance = s->config.instance;
    autofree char *pid_path = xasprintf("%s/service%s%s.pid", s->config.data_dir,
                                        instance ? "-" : "", instance ? instance : "");
    autofree char *key_path = xasprintf("%s/broker.key", s->config.data_dir);
    s->pidfile = pidfile_take(pid_path, 60, 0644, err);
    if (!s->pidfile && err->code)
        return err_prefix(err, "%s can't be the service's folder", s->config.data_dir);
    if (!s->pidfile)
        return err_set(err,
                       "%s is in use by another service: stop that one, or choose another folder "
                       "with --data; when there is none, here or on another host, remove %s",
                       s->config.data_dir, pid_path);
    s->store = store_open(s->loop, s->config.store_url, err);
    if (!s->store)
        return -1;
    s->creds = creds_create(s->loop, s->store, key_path, err);
    if (!s->creds)
        return -1;
    struct auth_opts auth = {.store = s->store,
                             .loop = s->loop,
                             .data_dir = s->config.data_dir,
                             .public_url = s->config.public_url,
                             .config = s->config.auth};
    s->auth = auth_create(&auth, err);
    if (!s->auth)
        return -1;
    s->api = api_create(s->loop, s->store, s->creds, s->auth, &s->config.api, err);
    if (!s->api)
        return -1;
    api_on_ready(s->api, announce, s);
    api_on_kick(s->api, kick, s);
    autofree char *host = https_host(s->config.public_url);
    if (take_sockets(s, err) < 0)
        return -1;
    struct server_opts http = {.addresses = s->config.listen,
                               .fds = s->fds,
                               .n_fds = s->n_fds,
                               .cert_file = s->config.cert_file,
                               .key_file = s->config.key_file,
                               .host = host,
                               .behind_proxy = s->config.behind_proxy,
                               .proxies = s->config.proxies};
    s->server = server_create(s->loop, &http, err);
    if (!s->server)
        return -1;
    s->web = web_create(&(struct web_opts){.loop = s->loop,
                                           .store = s->store,
                                           .auth = s->auth,
                                           .depth = web_broker_depth,
                                           .depth_arg = &s->broker,
                                           .read_file = api_read_file,
                                           .file_arg = s->api});
    api_routes(s->api, s->server);
    server_routes(s->server, auth_routes(), s->auth);
    server_routes(s->server, web_routes(), s->web);
    if (s->config.connect)
        s->tunnel = tunnel_create(s->loop, s->server, s->config.connect, s->config.public_url, err);
    if (s->config.connect && !s->tunnel)
        return -1;
    return start_broker(s, err);
}

/* ---- stop ---- */

static void node_gone(void *arg)
{
    struct service *s = arg;
    loop_stop(s->loop, 0);
}

static void accepted_is_safe(struct service *s)
{
    api_stop(s->api);
    broker_destroy(s->broker, LOOP_S(5));
    s->broker = NULL;
    if (s->node && !s->is_attached)
        node_stop(s->node, NODE_STOP_US, node_gone, s);
    else
        loop_stop(s->loop, 0);
}

static void idle_cb(void *arg)
{
    struct service *s = arg;
    if (api_is_idle(s->api) || loop_now_us(s->loop) > s->idle_until_us) {
        accepted_is_safe(s);
        return;
    }
    loop_timer_set(s->idle, LOOP_MS(20), 0);
}

static void drained(void *arg)
{
    struct service *s = arg;
    s->idle_until_us = loop_now_us(s->loop) + IDLE_US;
    idle_cb(s);
}

static void on_stop(void *arg)
{
    struct service *s = arg;
    if (s->stopping)
        return;
    s->stopping = true;
    log_info("event=stop");
    sd_notify(0, "STOPPING=1");
    server_drain(s->server, DRAIN_US, drained, s);
}

static void on_reopen(void *arg)
{
    struct service *s = arg;
    log_reopen();
    if (s->server)
        server_reload(s->server);
    if (s->node)
        node_reload_tls(s->node);
}

static void finish(struct service *s)
{
    tunnel_destroy(s->tunnel);
    probe_stop(s->probe);
    web_stop(s->web); /* ends its streams: before the server */
    server_destroy(s->server);
    broker_destroy(s->broker, 0);
    node_destroy(s->node);
    store_close(s->store);
    api_destroy(s->api);
    web_destroy(s->web);
    auth_destroy(s->auth);
    server_destroy(s->backend_server);
    backend_destroy(s->backend);
    creds_destroy(s->creds);
    loop_timer_destroy(s->idle);
    pidfile_release(s->pidfile);
    loop_destroy(s->loop);
    service_config_clear(&s->config);
    free(s->inherited);
}

static int open_log(struct service *s, struct err *err)
{
    log_level_set(s->config.debug ? LOG_L_DEBUG : LOG_L_INFO);
    if (!s->config.log_file)
        return 0;
    int fd = open(s->config.log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return err_errno(err, "%s", s->config.log_file);
    log_file(fd, s->config.log_file);
    log_console(false, false);
    return 0;
}

/* `sallyport broker-conf` */
static int print_conf(struct service *s)
{
    struct err err = ERR_INIT;
    autofree char *key_path = xasprintf("%s/broker.key", s->config.data_dir);
    const char *listen = s->config.broker.auth_listen;
    s->creds = listen ? creds_create(s->loop, NULL, key_path, &err) : NULL;
    if (!listen)
        err_set(&err,
                "broker.auth_listen is not set in %s/service.yaml: HOST:PORT where the "
                "broker reaches this service",
                s->config.data_dir);
    if (!s->creds) {
        fprintf(stderr, "Error: %s\n", err.text);
        finish(s);
        return 1;
    }
    autofree char *path = attached_backend_path(s->creds);
    autofree char *base = xasprintf("http://%s%s", listen, path);
    autofree char *lines = probe_conf(base);
    printf("%s", lines);
    finish(s);
    return 0;
}

int main(int argc, char **argv)
{
    struct service s = {0};
    struct err err = ERR_INIT;
    struct rlimit files = {65536, 65536};
    log_init("service", LOG_L_INFO);
    log_file(STDERR_FILENO, NULL);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_DUMPABLE, 0);
    if (service_config_read(&s.config, argc, argv, &err) < 0 || open_log(&s, &err) < 0 ||
        become(&s, &err) < 0) {
        fprintf(stderr, "Error: %s\n", err.text);
        service_config_clear(&s.config);
        return 78;
    }
    if (setrlimit(RLIMIT_NOFILE, &files) < 0) {
        getrlimit(RLIMIT_NOFILE, &files);
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    s.loop = loop_create();
    if (s.config.broker_conf)
        return print_conf(&s);
    if (s.config.broker_only)
        return attached_main(&s.config, s.loop);
    s.idle = loop_timer_create(s.loop, idle_cb, &s);
    loop_signal(s.loop, SIGTERM, on_stop, &s);
    loop_signal(s.loop, SIGINT, on_stop, &s);
    loop_signal(s.loop, SIGHUP, on_reopen, &s);
    int rc = start(&s, &err);
    if (rc < 0) {
        fprintf(stderr, "Error: %s\n", err.text);
        finish(&s);
        return 1;
    }
    pidfile_watch(s.pidfile, s.loop, on_stop, &s);
    rc = loop_run(s.loop);
    finish(&s);
    return rc ? rc : s.rc;
}
