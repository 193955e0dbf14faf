/* What a handler can ask about its request; decoded on first use. */
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "lib/base/alloc.h"
#include "service/http/forwarded.h"
#include "service/http/private.h"

void *req_arg(struct req *r)
{
    return r->hit.arg;
}

const char *req_id(struct req *r)
{
    return r->id;
}

const char *req_method(struct req *r)
{
    return r->method;
}

const char *req_path(struct req *r)
{
    return r->target.path;
}

const char *req_param(struct req *r, const char *name)
{
    for (size_t i = 0; i < r->hit.params; i++)
        if (strlen(name) == r->hit.name_len[i] &&
            strncmp(name, r->hit.name[i], r->hit.name_len[i]) == 0)
            return r->hit.value[i];
    return NULL;
}

const char *req_query(struct req *r, const char *name)
{
    if (!r->query && r->target.query)
        r->query = pairs_parse(r->target.query, strlen(r->target.query), NULL);
    return pairs_get(r->query, name);
}

const char *req_header(struct req *r, const char *name)
{
    return r->conn ? MHD_lookup_connection_value(r->conn, MHD_HEADER_KIND, name) : NULL;
}

static const struct sockaddr *peer_address(struct req *r)
{
    const union MHD_ConnectionInfo *info =
        r->conn ? MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS) : NULL;
    return info ? info->client_addr : NULL;
}

bool req_is_local(struct req *r)
{
    const struct sockaddr *a = peer_address(r);
    if (!a)
        return false;
    if (a->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
    return a->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

static void peer_text(const struct sockaddr *a, char host[NI_MAXHOST])
{
    char plain[FORWARDED_ADDRESS];
    strcpy(host, "?");
    if (a)
        getnameinfo(
            a, a->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in),
            host, NI_MAXHOST, NULL, 0, NI_NUMERICHOST);
    if (forwarded_address(host, strlen(host), plain)) /* a socket for both: ::ffff:192.0.2.1 */
        strcpy(host, plain);
}

/* Whoever else says whom it speaks for is not believed. */
static bool is_proxy(void *server, const char *address)
{
    const struct server *s = server;
    char one[FORWARDED_ADDRESS];
    if (s->behind_proxy && (strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0))
        return true;
    for (const char *const *p = s->proxies; p && *p; p++)
        if (forwarded_address(*p, strlen(*p), one) && strcmp(one, address) == 0)
            return true;
    return false;
}

static bool is_from_proxy(struct req *r)
{
    char host[NI_MAXHOST];
    peer_text(peer_address(r), host);
    return is_proxy(r->server, host);
}

struct lines {
    const char *name;
    struct buf text;
};

static enum MHD_Result add_line(void *arg, enum MHD_ValueKind kind, const char *name,
                                const char *value)
{
    struct lines *l = arg;
    (void)kind;
    if (value && strcasecmp(name, l->name) == 0)
        buf_fmt(&l->text, "%s%s", l->text.len ? "," : "", value);
    return MHD_YES;
}

/* All lines of a header as one list: some proxies add a line, and leave the client's own before it.
 * Empty when there is none, or when the sender is nobody whom we believe it. */
static char *forwarded(struct req *r, const char *name)
{
    struct lines l = {name, BUF_INIT};
    if (r->conn && is_from_proxy(r))
        MHD_get_connection_values(r->conn, MHD_HEADER_KIND, add_line, &l);
    char *text = xstrdup(l.text.len ? l.text.data : "");
    buf_free(&l.text);
    return text;
}

const char *req_peer(struct req *r)
{
    char host[NI_MAXHOST], client[FORWARDED_ADDRESS];
    if (r->peer)
        return r->peer;
    autofree char *list = forwarded(r, "X-Forwarded-For");
    if (forwarded_client(list, is_proxy, r->server, client)) {
        r->peer = xstrdup(client);
        return r->peer;
    }
    peer_text(peer_address(r), host);
    r->peer = xstrdup(host);
    return r->peer;
}

/* What the proxy next to us says. */
static const char *scheme_of(struct req *r)
{
    autofree char *list = forwarded(r, "X-Forwarded-Proto");
    const char *comma = strrchr(list, ','), *last = comma ? comma + 1 : list;
    last += strspn(last, " \t");
    if (strcasecmp(last, "https") == 0)
        return "https";
    if (strcasecmp(last, "http") == 0)
        return "http";
    return r->server->tls ? "https" : "http";
}

static bool is_authority(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]");
    return n > 0 && n < 256 && !s[n];
}

const char *req_base_url(struct req *r)
{
    if (r->base_url)
        return r->base_url;
    const char *host = r->target.authority ? r->target.authority : req_header(r, "Host");
    if (!host || !is_authority(host))
        host = "localhost";
    r->base_url = xasprintf("%s://%s", scheme_of(r), host);
    return r->base_url;
}

const void *req_body(struct req *r, size_t *n)
{
    if (n)
        *n = r->body.len;
    return r->body.len ? r->body.data : "";
}

struct json_object *req_json(struct req *r)
{
    struct err err = ERR_INIT;
    if (r->json)
        return r->json;
    r->json = json_read(r->body.len ? r->body.data : "", r->body.len, r->body_max,
                        "The request body", &err);
    if (!r->json) {
        reply_error(r, 400, "REQUEST_MALFORMED", "%s", err.text);
        return NULL;
    }
    if (!json_object_is_type(r->json, json_type_object)) {
        reply_error(r, 400, "REQUEST_MALFORMED", "The request body is %s; it has to be an object",
                    json_kind(r->json));
        json_object_put(r->json);
        r->json = NULL;
    }
    return r->json;
}

const char *req_form(struct req *r, const char *name)
{
    if (!r->form && r->body.len)
        r->form = pairs_parse(r->body.data, r->body.len, NULL);
    return pairs_get(r->form, name);
}

/* What follows the scheme in Authorization. */
static const char *authorization(struct req *r, const char *scheme)
{
    const char *text = req_header(r, "Authorization");
    size_t n = strlen(scheme);
    if (!text || strncasecmp(text, scheme, n) != 0 || text[n] != ' ')
        return NULL;
    return text + n + strspn(text + n, " ");
}

const char *req_bearer(struct req *r)
{
    const char *token = authorization(r, "Bearer");
    return token && *token ? token : NULL;
}

bool req_basic(struct req *r, const char **user, const char **password)
{
    if (!r->basic) {
        const char *text = authorization(r, "Basic");
        char *ignored;
        r->basic = text ? basic_decode(text, &ignored) : NULL;
        if (!r->basic)
            return false;
    }
    *user = r->basic;
    *password = r->basic + strlen(r->basic) + 1;
    return true;
}

const char *req_cookie(struct req *r, const char *name)
{
    return r->conn ? MHD_lookup_connection_value(r->conn, MHD_COOKIE_KIND, name) : NULL;
}

void *req_data(struct req *r)
{
    return r->data;
}

void req_set_data(struct req *r, void *data, void (*free_data)(void *))
{
    if (r->free_data)
        r->free_data(r->data);
    r->data = data;
    r->free_data = free_data;
}

bool req_is_over(struct req *r)
{
    /* libmicrohttpd doesn't notice a client that leaves while its request is suspended. */
    return r->state == REQ_OVER || r->too_late || (r->client && client_is_gone(r->client));
}
