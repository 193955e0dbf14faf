/* amqp(s) URLs as pika's URLParameters reads them (spec/amqp.md section 2). */
#include "lib/amqp/amqp.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In a query "+" is a blank. */
static char *decode_as(const char *s, size_t n, bool query)
{
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < n; i++) {
        if (query && s[i] == '+') {
            buf_char(&b, ' ');
        } else if (s[i] == '%' && i + 2 < n && hex(s[i + 1]) >= 0 && hex(s[i + 2]) >= 0) {
            buf_char(&b, (char)(hex(s[i + 1]) << 4 | hex(s[i + 2])));
            i += 2;
        } else {
            buf_char(&b, s[i]);
        }
    }
    return buf_take(&b);
}

static char *decode(const char *s, size_t n)
{
    return decode_as(s, n, false);
}

/* The value of 'cadata' in a Python dict literal such as {'cadata': '-----BEGIN...\n'}; NULL if
 * absent. */
static char *cadata_of(const char *dict)
{
    const char *key = strstr(dict, "cadata");
    if (!key)
        return NULL;
    const char *p = key + strlen("cadata");
    p += strspn(p, "'\" \t:");
    if (p == key + strlen("cadata") || (p[-1] != '\'' && p[-1] != '"'))
        return NULL;
    char quote = p[-1];
    struct buf b = BUF_INIT;
    for (; *p && *p != quote; p++) {
        if (*p == '\\' && p[1]) {
            p++;
            buf_char(&b, *p == 'n' ? '\n' : *p);
        } else {
            buf_char(&b, *p);
        }
    }
    return buf_take(&b);
}

static int read_query(const char *q, struct amqp_url *out, struct err *err)
{
    /* Known to pika; what has no meaning for us is accepted and left alone. */
    static const char *const known[] = {"blocked_connection_timeout",
                                        "channel_max",
                                        "frame_max",
                                        "connection_attempts",
                                        "retry_delay",
                                        "socket_timeout",
                                        "stack_timeout",
                                        "locale",
                                        "tcp_options",
                                        "client_properties",
                                        "backpressure_detection"};
    while (*q) {
        size_t n = strcspn(q, "&");
        size_t name_len = strcspn(q, "=&");
        autofree char *name = decode(q, name_len);
        autofree char *value =
            name_len < n ? decode_as(q + name_len + 1, n - name_len - 1, true) : xstrdup("");
        bool ok = strcmp(name, "") == 0;
        if (strcmp(name, "heartbeat") == 0) {
            out->heartbeat_s = (unsigned)strtoul(value, NULL, 10);
            ok = true;
        } else if (strcmp(name, "ssl_options") == 0) {
            free(out->cadata);
            out->cadata = cadata_of(value);
            ok = true;
        }
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && !ok; i++)
            ok = strcmp(name, known[i]) == 0;
        if (!ok)
            return err_set(err, "the AMQP URL has an unknown option \"%s\"", name);
        q += n;
        if (*q)
            q++;
    }
    return 0;
}

/* "host", "host:port", "[v6]:port" */
static int read_host(const char *s, size_t n, struct amqp_url *out, struct err *err)
{
    const char *end = s + n;
    const char *colon = NULL;
    if (n && s[0] == '[') {
        const char *close = memchr(s, ']', n);
        if (!close)
            return err_set(err, "the AMQP URL has a \"[\" without \"]\"");
        out->host = xstrndup(s + 1, (size_t)(close - s - 1));
        if (close + 1 < end && close[1] == ':')
            colon = close + 1;
    } else {
        colon = memrchr(s, ':', n);
        size_t len = colon ? (size_t)(colon - s) : n;
        out->host = len ? decode(s, len) : xstrdup("localhost");
    }
    if (!colon || colon + 1 == end)
        return 0;
    long port = 0;
    for (const char *p = colon + 1; p < end; p++) {
        if (!isdigit((unsigned char)*p) || port > 65535)
            return err_set(err, "the AMQP URL has a port that is no number");
        port = port * 10 + (*p - '0');
    }
    if (port < 1 || port > 65535)
        return err_set(err, "the AMQP URL has port %ld; 1 to 65535 are possible", port);
    out->port = (int)port;
    return 0;
}

static int parse(const char *text, struct amqp_url *out, struct err *err)
{
    if (strncasecmp(text, "amqp://", 7) == 0)
        text += 7;
    else if (strncasecmp(text, "amqps://", 8) == 0)
        text += 8, out->tls = true;
    else
        return err_set(err, "the AMQP URL does not begin with amqp:// or amqps://");
    out->port = out->tls ? 5671 : 5672;
    size_t n = strcspn(text, "/?");
    const char *at = memrchr(text, '@', n);
    if (at) {
        size_t login = (size_t)(at - text);
        const char *colon = memchr(text, ':', login);
        size_t user = colon ? (size_t)(colon - text) : login;
        out->user = decode(text, user);
        out->password = colon ? decode(colon + 1, login - user - 1) : xstrdup("");
    } else {
        out->user = xstrdup("guest");
        out->password = xstrdup("guest");
        at = text - 1;
    }
    if (read_host(at + 1, (size_t)(text + n - at - 1), out, err) != 0)
        return -1;
    text += n;
    size_t path = strcspn(text, "?");
    out->vhost = path > 1 ? decode(text + 1, path - 1) : xstrdup("/");
    text += path;
    return *text ? read_query(text + 1, out, err) : 0;
}

int amqp_url_parse(const char *text, struct amqp_url *out, struct err *err)
{
    memset(out, 0, sizeof(*out));
    if (parse(text, out, err) == 0)
        return 0;
    amqp_url_clear(out);
    return -1;
}

void amqp_url_clear(struct amqp_url *u)
{
    free(u->host);
    free(u->user);
    wipe_free(u->password);
    free(u->vhost);
    free(u->cadata);
    memset(u, 0, sizeof(*u));
}

char *amqp_url_with_port(const char *text, int port)
{
    const char *authority = strstr(text, "://");
    authority = authority ? authority + 3 : text;
    size_t n = strcspn(authority, "/?");
    const char *end = authority + n;
    const char *at = memrchr(authority, '@', n);
    const char *host = at ? at + 1 : authority;
    const char *search = host;
    if (*host == '[') {
        const char *close = memchr(host, ']', (size_t)(end - host));
        search = close ? close : host;
    }
    const char *colon = memrchr(search, ':', (size_t)(end - search));
    return xasprintf("%.*s:%d%s", (int)((colon ? colon : end) - text), text, port, end);
}
