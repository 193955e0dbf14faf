/* What a handler can ask about its request; decoded on first use. */
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "lib/base/alloc.h"
#include "service/http/private.h"

void *req_arg(struct req *r)
{
    return r->hit.arg;
}

struct loop *req_loop(struct req *r)
{
    return r->server->loop;
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
    strcpy(host, "?");
    if (a)
        getnameinfo(
            a, a->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in),
            host, NI_MAXHOST, NULL, 0, NI_NUMERICHOST);
}

/* Whoever else says whom it speaks for is not believed. */
static bool is_from_proxy(struct req *r)
{
    char host[NI_MAXHOST];
    if (!r->server->behind_proxy)
        return false;
    if (req_is_local(r))
        return true;
    peer_text(peer_address(r), host);
    for (const char *const *p = r->server->proxies; p && *p; p++)
        if (strcmp(*p, host) == 0)
            return true;
    return false;
}

const char *req_peer(struct req *r)
{
    char host[NI_MAXHOST];
    if (r->peer)
        return r->peer;
    /* The last address is the one that our own proxy saw. */
    const char *forwarded = is_from_proxy(r) ? req_header(r, "X-Forwarded-For") : NULL;
    if (forwarded) {
        const char *comma = strrchr(forwarded, ',');
        forwarded = comma ? comma + 1 : forwarded;
        forwarded += strspn(forwarded, " ");
        r->peer = xstrndup(forwarded, strcspn(forwarded, " "));
        return r->peer;
    }
    peer_text(peer_address(r), host);
    r->peer = xstrdup(host);
    return r->peer;
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
    const char *scheme = r->server->tls ? "https" : "http";
    const char *proto = is_from_proxy(r) ? req_header(r, "X-Forwarded-Proto") : NULL;
    if (proto && (strcasecmp(proto, "https") == 0 || strcasecmp(proto, "http") == 0))
        scheme = strcasecmp(proto, "https") == 0 ? "https" : "http";
    if (!host || !is_authority(host))
        host = "localhost";
    r->base_url = xasprintf("%s://%s", scheme, host);
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
