/* RabbitMQ asks, we answer: its HTTP auth back end posts forms and takes "allow" or "deny".
 *
 *   principal          may
 *   ep.<id>            write to exchanges results and heartbeats, with keys that begin with its id;
 *                      read its own task and command queue
 *   usr.<identity>     read its own result streams
 *   the service        everything
 *
 * It listens on this host only, unless the site has set an address for a broker elsewhere, and
 * answers below a path that nobody else knows. */
#include <openssl/crypto.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "service/broker/broker.h"
#include "service/broker/probe.h"

struct backend {
    struct creds *creds;
    bool anywhere;
    char *user, *password;
    char probe[CREDS_PASSWORD];
    struct route routes[5];
    char *paths[4];
};

static void answer(struct req *r, bool ok, const char *tags)
{
    autofree char *text = ok ? xasprintf("allow%s%s", *tags ? " " : "", tags) : xstrdup("deny");
    reply_text(r, 200, "text/plain", text, strlen(text));
}

/* The field of the form; "" when absent; NULL when nobody but RabbitMQ's host may ask. */
static const char *field(struct req *r, const char *name)
{
    const char *v = req_form(r, name);
    return v ? v : "";
}

static bool is_foreign(struct req *r)
{
    struct backend *k = req_arg(r);
    if (k->anywhere || req_is_local(r))
        return false;
    reply_error(r, 404, "NOT_FOUND", "There is nothing here");
    return true;
}

static bool equal(const char *a, const char *b)
{
    return strlen(a) == strlen(b) && CRYPTO_memcmp(a, b, strlen(a)) == 0;
}

static void checked(void *arg, bool ok)
{
    static struct log_rate rate = LOG_RATE(20, 60);
    struct req *r = arg;
    if (!ok && log_rate_ok(&rate))
        log_warning("event=broker-login user=%.60s refused", field(r, "username"));
    answer(r, ok, "");
    req_unref(r);
}

static void on_user(struct req *r)
{
    struct backend *k = req_arg(r);
    const char *user = field(r, "username"), *password = field(r, "password");
    if (is_foreign(r))
        return;
    if (strcmp(user, k->user) == 0)
        answer(r, equal(password, k->password), "administrator");
    else if (strcmp(user, PROBE_USER) == 0)
        answer(r, equal(password, k->probe), "");
    else if (strncmp(user, "ep.", 3) == 0 || strncmp(user, "usr.", 4) == 0)
        creds_check(k->creds, user, password, checked, req_ref(r));
    else
        answer(r, false, "");
}

static void on_vhost(struct req *r)
{
    if (!is_foreign(r))
        answer(r, true, "");
}

/* name is "<id>.<one of words>". */
static bool is_own(const char *name, const char *id, const char *word1, const char *word2)
{
    size_t n = strlen(id);
    if (n == 0 || strncmp(name, id, n) != 0 || name[n] != '.')
        return false;
    return strcmp(name + n + 1, word1) == 0 || strcmp(name + n + 1, word2) == 0;
}

static bool may(const char *user, const char *kind, const char *name, const char *permission)
{
    bool queue = strcmp(kind, "queue") == 0, exchange = strcmp(kind, "exchange") == 0;
    bool read = strcmp(permission, "read") == 0, write = strcmp(permission, "write") == 0;
    if (strncmp(user, "ep.", 3) == 0) {
        if (exchange && write)
            return strcmp(name, "results") == 0 || strcmp(name, "heartbeats") == 0;
        return queue && read && is_own(name, user + 3, "tasks", "commands");
    }
    if (strncmp(user, "usr.", 4) != 0 || !queue || !read)
        return false;
    size_t n = strlen(user);
    return n > 4 && strncmp(name, user, n) == 0 && name[n] == '.';
}

static void on_resource(struct req *r)
{
    struct backend *k = req_arg(r);
    const char *user = field(r, "username");
    if (is_foreign(r))
        return;
    bool ok = strcmp(user, k->user) == 0 ||
              may(user, field(r, "resource"), field(r, "name"), field(r, "permission"));
    answer(r, ok, "");
}

static void on_topic(struct req *r)
{
    struct backend *k = req_arg(r);
    const char *user = field(r, "username"), *name = field(r, "name");
    if (is_foreign(r))
        return;
    bool ok = strcmp(user, k->user) == 0 ||
              (strncmp(user, "ep.", 3) == 0 && strcmp(field(r, "permission"), "write") == 0 &&
               is_own(field(r, "routing_key"), user + 3, name, name));
    answer(r, ok, "");
}

void backend_probe_password(struct creds *c, char out[CREDS_PASSWORD])
{
    creds_derive(c, "broker probe", out);
    out[0] = 'p';
}

struct backend *backend_create(struct creds *c, const char *path, const char *service_user,
                               const char *service_password, bool anywhere)
{
    static const struct {
        const char *word;
        req_f *handler;
    } parts[] = {
        {"user", on_user}, {"vhost", on_vhost}, {"resource", on_resource}, {"topic", on_topic}};
    struct backend *k = xcalloc(1, sizeof(*k));
    k->creds = c;
    k->anywhere = anywhere;
    backend_probe_password(c, k->probe);
    k->user = xstrdup(service_user);
    k->password = xstrdup(service_password);
    for (size_t i = 0; i < 4; i++) {
        k->paths[i] = xasprintf("%s/%s", path, parts[i].word);
        k->routes[i] =
            (struct route){.method = "POST", .path = k->paths[i], .handler = parts[i].handler};
    }
    return k;
}

void backend_routes(struct backend *k, struct server *s)
{
    server_routes(s, k->routes, k);
}

void backend_destroy(struct backend *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < 4; i++)
        free(k->paths[i]);
    free(k->user);
    wipe_free(k->password);
    OPENSSL_cleanse(k->probe, sizeof(k->probe));
    free(k);
}
