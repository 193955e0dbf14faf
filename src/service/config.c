/* One table names every key of service.yaml with its type; an unknown key, a wrong type or a number
 * out of range is refused at start. */
#include "service/config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/yaml/yaml.h"
#include "service/http/forwarded.h"

#define PORT_DEFAULT "5000"

enum kind { TEXT, NUMBER, BOOL, LIST, ANY };

static const struct key {
    const char *path;
    enum kind kind;
    int64_t low, high; /* of a number */
} keys[] = {
    {"port", NUMBER, 0, 65535},
    {"listen", LIST, 0, 0},
    {"store", TEXT, 0, 0},
    {"public_url", TEXT, 0, 0},
    {"user", TEXT, 0, 0},
    {"log", TEXT, 0, 0},
    {"behind_proxy", BOOL, 0, 0},
    {"proxies", LIST, 0, 0},
    {"tls.cert", TEXT, 0, 0},
    {"tls.key", TEXT, 0, 0},
    {"tls.connect", TEXT, 0, 0},
    {"broker.url", TEXT, 0, 0},
    {"broker.client_host", TEXT, 0, 0},
    {"broker.listen", TEXT, 0, 0},
    {"broker.port", NUMBER, 1, 65535},
    {"broker.auth_listen", TEXT, 0, 0},
    {"broker.queue_type", TEXT, 0, 0},
    {"broker.stream_bytes", NUMBER, 4096, 1ll << 40},
    {"broker.tls.cert", TEXT, 0, 0},
    {"broker.tls.key", TEXT, 0, 0},
    {"broker.tls.ca", TEXT, 0, 0},
    {"tasks.offline", TEXT, 0, 0},
    {"tasks.days", NUMBER, 1, 3650},
    {"tasks.file_bytes", NUMBER, 4096, 1 << 30},
    {"tasks.start_timeout", NUMBER, 1, 50},
    {"limits.requests_per_second", NUMBER, 0, 1000000},
    {"limits.requests_burst", NUMBER, 1, 1000000},
    {"limits.tasks_per_second", NUMBER, 0, 10000000},
    {"limits.tasks_burst", NUMBER, 1, 100000000},
    {"clients.min_sdk", TEXT, 0, 0},
    {"clients.min_endpoint", TEXT, 0, 0},
    {"auth", ANY, 0, 0},
};

static const struct key *find_key(const char *path)
{
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strcmp(keys[i].path, path) == 0)
            return &keys[i];
    return NULL;
}

static bool is_group(const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strncmp(keys[i].path, path, n) == 0 && keys[i].path[n] == '.')
            return true;
    return false;
}

static int check_value(const struct key *k, struct json_object *v, struct err *err)
{
    static const json_type types[] = {json_type_string, json_type_int, json_type_boolean,
                                      json_type_array};
    static const char *const names[] = {"text", "a whole number", "true or false", "a list"};
    if (k->kind == ANY)
        return 0;
    if (!json_object_is_type(v, types[k->kind]))
        return err_set(err, "%s is %s; it has to be %s", k->path, json_kind(v), names[k->kind]);
    int64_t n = k->kind == NUMBER ? json_object_get_int64(v) : k->low;
    if (k->kind == NUMBER && (n < k->low || n > k->high))
        return err_set(err, "%s is %lld; it has to be from %lld to %lld", k->path, (long long)n,
                       (long long)k->low, (long long)k->high);
    return 0;
}

static int check_tree(struct json_object *o, const char *prefix, struct err *err)
{
    json_object_object_foreach(o, name, value)
    {
        autofree char *path = xasprintf("%s%s%s", prefix, *prefix ? "." : "", name);
        const struct key *k = find_key(path);
        if (k && value && check_value(k, value, err) < 0)
            return -1;
        if (k)
            continue;
        if (!is_group(path))
            return err_set(err, "%s is not a setting", path);
        if (value && !json_object_is_type(value, json_type_object))
            return err_set(err, "%s is %s; it has to be a group of settings", path,
                           json_kind(value));
        if (value && check_tree(value, path, err) < 0)
            return -1;
    }
    return 0;
}

static int read_file(struct service_config *c, struct err *err)
{
    autofree char *path = xasprintf("%s/service.yaml", c->data_dir);
    autobuf struct buf b = BUF_INIT;
    if (access(path, F_OK) < 0)
        return 0;
    if (fs_read(path, 1 << 20, &b, err) < 0)
        return -1;
    c->file = yaml_read(b.data ? b.data : "", b.len, path, err);
    if (!c->file)
        return err && err->text[0] ? -1 : 0;
    if (!json_object_is_type(c->file, json_type_object))
        return err_set(err, "%s: it has to be a mapping of settings", path);
    return check_tree(c->file, "", err) < 0 ? err_prefix(err, "%s", path) : 0;
}

static const char *keep(struct service_config *c, char *text)
{
    if (c->n_owned == sizeof(c->owned) / sizeof(c->owned[0]))
        abort();
    c->owned[c->n_owned++] = text;
    return text;
}

static int64_t number(const struct service_config *c, const char *path, int64_t otherwise)
{
    int64_t n = otherwise;
    json_get_int(c->file, path, &n, NULL);
    return n;
}

static int take_list(struct service_config *c, const char *path, const char *out[LISTEN_MAX + 1],
                     struct err *err)
{
    struct json_object *list = json_at(c->file, path);
    size_t n = list ? json_object_array_length(list) : 0;
    if (n > LISTEN_MAX)
        return err_set(err, "%s has %zu addresses; it may have %d", path, n, LISTEN_MAX);
    for (size_t i = 0; i < n; i++)
        out[i] = json_object_get_string(json_object_array_get_idx(list, i));
    return 0;
}

static int take_lists(struct service_config *c, struct err *err)
{
    char address[FORWARDED_ADDRESS];
    if (take_list(c, "listen", c->listen, err) < 0 || take_list(c, "proxies", c->proxies, err) < 0)
        return -1;
    for (size_t i = 0; i < LISTEN_MAX && c->proxies[i]; i++)
        if (!forwarded_address(c->proxies[i], strlen(c->proxies[i]), address))
            return err_set(err, "proxies: %s is not an IP address", c->proxies[i]);
    return 0;
}

static void take_file(struct service_config *c)
{
    struct json_object *f = c->file;
    c->store_url = json_str_or(f, "store", NULL);
    c->public_url = json_str_or(f, "public_url", NULL);
    c->user = json_str_or(f, "user", NULL);
    c->log_file = json_str_or(f, "log", NULL);
    c->cert_file = json_str_or(f, "tls.cert", NULL);
    c->key_file = json_str_or(f, "tls.key", NULL);
    c->connect = json_str_or(f, "tls.connect", NULL);
    json_get_bool(f, "behind_proxy", &c->behind_proxy, NULL);
    c->broker.url = json_str_or(f, "broker.url", NULL);
    c->broker.client_host = json_str_or(f, "broker.client_host", NULL);
    c->broker.listen = json_str_or(f, "broker.listen", "127.0.0.1");
    c->broker.port = (int)number(c, "broker.port", 0);
    c->broker.auth_listen = json_str_or(f, "broker.auth_listen", NULL);
    c->broker.queue_type = json_str_or(f, "broker.queue_type", NULL);
    c->broker.stream_bytes = number(c, "broker.stream_bytes", 0);
    c->broker.cert_file = json_str_or(f, "broker.tls.cert", NULL);
    c->broker.key_file = json_str_or(f, "broker.tls.key", NULL);
    c->broker.ca_file = json_str_or(f, "broker.tls.ca", NULL);
    struct api_settings *a = &c->api;
    a->task_days = (uint64_t)number(c, "tasks.days", (int64_t)a->task_days);
    a->payload_file_min = (size_t)number(c, "tasks.file_bytes", (int64_t)a->payload_file_min);
    a->start_timeout_s = (unsigned)number(c, "tasks.start_timeout", a->start_timeout_s);
    a->rate_per_s = (unsigned)number(c, "limits.requests_per_second", a->rate_per_s);
    a->rate_burst = (unsigned)number(c, "limits.requests_burst", a->rate_burst);
    a->tasks_per_s = (unsigned)number(c, "limits.tasks_per_second", a->tasks_per_s);
    a->tasks_burst = (unsigned)number(c, "limits.tasks_burst", a->tasks_burst);
    a->min_sdk = json_str_or(f, "clients.min_sdk", a->min_sdk);
    a->min_endpoint = json_str_or(f, "clients.min_endpoint", a->min_endpoint);
    c->auth = json_at(f, "auth");
}

static int take_offline(struct service_config *c, struct err *err)
{
    const char *word = json_str_or(c->file, "tasks.offline", "wait");
    c->api.offline_wait = strcmp(word, "wait") == 0;
    if (!c->api.offline_wait && strcmp(word, "refuse") != 0)
        return err_set(err, "tasks.offline is wait or refuse, not %s", word);
    return 0;
}

static int make_data_dir(struct service_config *c, const char *given, struct err *err)
{
    /* Others may pass through: the broker's account reaches its own folder in it. */
    if (fs_mkdirs(given, 0711, err) < 0)
        return -1;
    c->data_dir = realpath(given, NULL);
    return c->data_dir ? 0 : err_errno(err, "%s", given);
}

static void set_ports(struct service_config *c, const char *port)
{
    if (!port)
        port = keep(c, xasprintf("%d", (int)number(c, "port", atoi(PORT_DEFAULT))));
    c->listen[0] = keep(c, xasprintf("127.0.0.1:%s", port));
    c->listen[1] = keep(c, xasprintf("[::1]:%s", port));
    c->listen[2] = NULL;
}

enum {
    OPT_DATA = 256,
    OPT_PORT,
    OPT_LISTEN,
    OPT_STORE,
    OPT_BROKER,
    OPT_USER,
    OPT_CERT,
    OPT_KEY,
    OPT_CONNECT,
    OPT_PUBLIC,
    OPT_LOG,
    OPT_INSTANCE,
    OPT_DEBUG,
    OPT_BROKER_ONLY,
    OPT_BROKER_CONF
};

static const struct option options[] = {
    {"data", 1, NULL, OPT_DATA},
    {"port", 1, NULL, OPT_PORT},
    {"listen", 1, NULL, OPT_LISTEN},
    {"store", 1, NULL, OPT_STORE},
    {"broker", 1, NULL, OPT_BROKER},
    {"user", 1, NULL, OPT_USER},
    {"cert", 1, NULL, OPT_CERT},
    {"key", 1, NULL, OPT_KEY},
    {"log", 1, NULL, OPT_LOG},
    {"public-url", 1, NULL, OPT_PUBLIC},
    {"debug", 0, NULL, OPT_DEBUG},
    {"broker-only", 0, NULL, OPT_BROKER_ONLY},
    {"broker-conf", 0, NULL, OPT_BROKER_CONF},
    {"connect", 1, NULL, OPT_CONNECT},
    {"instance", 1, NULL, OPT_INSTANCE},
    {0},
};

static bool is_plain_name(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    return n > 0 && n <= 32 && !s[n];
}

static int take_options(struct service_config *c, int argc, char **argv, struct err *err)
{
    const char *port = NULL;
    size_t listens = 0;
    int o;
    optind = 1;
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (o) {
        case OPT_DATA:
            break;
        case OPT_PORT:
            if (strspn(optarg, "0123456789") != strlen(optarg) || atoi(optarg) > 65535)
                return err_set(err, "--port %s: a number from 0 to 65535 is needed", optarg);
            port = optarg;
            break;
        case OPT_LISTEN:
            if (listens == LISTEN_MAX)
                return err_set(err, "--listen: at most %d addresses", LISTEN_MAX);
            c->listen[listens++] = optarg;
            c->listen[listens] = NULL;
            break;
        case OPT_STORE:
            c->store_url = optarg;
            break;
        case OPT_BROKER:
            c->broker.url = optarg;
            break;
        case OPT_USER:
            c->user = optarg;
            break;
        case OPT_CERT:
            c->cert_file = optarg;
            break;
        case OPT_KEY:
            c->key_file = optarg;
            break;
        case OPT_CONNECT:
            c->connect = optarg;
            break;
        case OPT_PUBLIC:
            c->public_url = optarg;
            break;
        case OPT_LOG:
            c->log_file = optarg;
            break;
        case OPT_INSTANCE:
            if (!is_plain_name(optarg))
                return err_set(err,
                               "--instance %s: letters, digits, - and _ are allowed, 32 at "
                               "most",
                               optarg);
            c->instance = optarg;
            break;
        case OPT_DEBUG:
            c->debug = true;
            break;
        case OPT_BROKER_CONF:
            c->broker_conf = true;
            break;
        case OPT_BROKER_ONLY:
            c->broker_only = true;
            break;
        default:
            return err_set(err, "see sallyport serve --help");
        }
    }
    if (optind < argc)
        return err_set(err, "%s: unexpected", argv[optind]);
    if (!listens && (port || !c->listen[0]))
        set_ports(c, port);
    return 0;
}

static const char *data_option(int argc, char **argv)
{
    const char *found = NULL;
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--data") == 0)
            found = argv[i + 1];
    return found;
}

static char *place_of(const struct service_config *c)
{
    char host[256] = "";
    if (gethostname(host, sizeof(host) - 1) < 0)
        strcpy(host, "?");
    return xasprintf("%s:%s:%s", host, c->data_dir, c->instance ? c->instance : "");
}

int service_config_read(struct service_config *c, int argc, char **argv, struct err *err)
{
    const char *data = data_option(argc, argv);
    memset(c, 0, sizeof(*c));
    c->api = api_settings_default;
    if (!data)
        return err_set(err, "--data DIR is needed");
    if (make_data_dir(c, data, err) < 0 || read_file(c, err) < 0)
        return -1;
    take_file(c);
    if (take_lists(c, err) < 0 || take_offline(c, err) < 0 || take_options(c, argc, argv, err) < 0)
        return -1;
    if (!c->cert_file != !c->key_file)
        return err_set(err, "TLS needs both a certificate and its key");
    if (!c->broker.cert_file != !c->broker.key_file)
        return err_set(err, "broker.tls needs both cert and key");
    if (c->connect && !c->cert_file)
        return err_set(err, "the CONNECT port needs TLS: a certificate and its key");
    if (!c->store_url)
        c->store_url = keep(c, xasprintf("sqlite:%s/ledger.db", c->data_dir));
    c->api.data_dir = c->data_dir;
    if (strncmp(c->store_url, "sqlite:", 7) != 0)
        c->api.place = keep(c, place_of(c));
    else if (c->instance)
        return err_set(err, "--instance %s: several processes need a ledger in PostgreSQL (store)",
                       c->instance);
    return 0;
}

void service_config_clear(struct service_config *c)
{
    for (size_t i = 0; i < c->n_owned; i++)
        free(c->owned[i]);
    json_object_put(c->file);
    free(c->data_dir);
}
