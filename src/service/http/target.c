#include "service/http/target.h"

#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "lib/base/alloc.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes s[0..n) in place; NULL on a bad escape or a NUL.  The place behind the text. */
static char *decode(char *s, size_t n, bool plus_is_space)
{
    char *to = s;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (c == '%') {
            int hi = i + 2 < n ? hex(s[i + 1]) : -1;
            int lo = i + 2 < n ? hex(s[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return NULL;
            c = (char)(hi * 16 + lo);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (!c)
            return NULL;
        *to++ = c;
    }
    *to = '\0';
    return to;
}

/* Scheme and authority of the absolute form; the path behind them. */
static char *absolute(char *text, struct target *out)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(schemes[i]);
        if (strncasecmp(text, schemes[i], n) != 0)
            continue;
        size_t len = strcspn(text + n, "/?#");
        if (len == 0 || len > 255)
            return NULL;
        /* Scheme and authority move to the front of the allocation, one NUL each. */
        out->scheme = text;
        out->authority = text + n;
        text[n - 3] = '\0';
        return text + n + len;
    }
    return NULL;
}

static int split_path(struct target *out, char *path, size_t n, char *decoded, struct err *err)
{
    char *whole = decoded;
    char *end = path + n;
    while (path < end) {
        char *slash = memchr(path, '/', (size_t)(end - path));
        char *stop = slash ? slash : end;
        size_t len = (size_t)(stop - path);
        if (len) {
            if (out->segments == TARGET_SEGMENTS)
                return err_set(err, "the path has more than %d parts", TARGET_SEGMENTS);
            char *to = decode(path, len, false);
            if (!to)
                return err_set(err, "the path has a bad %%-escape");
            /* decode() ended the text in place, on the slash at the latest. */
            out->segment[out->segments++] = path;
            *whole++ = '/';
            whole = stpcpy(whole, path);
        }
        path = stop + 1;
    }
    if (whole == decoded)
        *whole++ = '/';
    *whole = '\0';
    out->path = decoded;
    return 0;
}

int target_parse(const char *raw, struct target *out, struct err *err)
{
    memset(out, 0, sizeof(*out));
    size_t n = strnlen(raw, TARGET_MAX + 1);
    if (n > TARGET_MAX)
        return err_set(err, "the request target is longer than %d bytes", TARGET_MAX);
    /* The raw text, cut up in place, and behind it the decoded path, which is never longer but for
     * the slash in front of a path without one. */
    out->text = xmalloc(2 * n + 4);
    memcpy(out->text, raw, n + 1);
    char *decoded = out->text + n + 1;
    char *path = out->text;
    if (path[0] != '/') {
        path = absolute(out->text, out);
        if (!path)
            return err_set(err, "the request target is neither a path nor an http URL");
    }
    size_t len = strcspn(path, "?#");
    char mark = path[len];
    char *rest = path + len;
    if (mark == '?') {
        out->query = rest + 1;
        out->query[strcspn(out->query, "#")] = '\0';
    }
    if (split_path(out, path, len, decoded, err) < 0)
        return -1;
    /* Cut only now: the authority ends where the path begins. */
    *path = '\0';
    *rest = '\0';
    return 0;
}

void target_clear(struct target *t)
{
    free(t->text);
    memset(t, 0, sizeof(*t));
}

static int pair_add(struct pairs *p, char *text, size_t n, struct err *err)
{
    if (p->n == PAIRS_MAX)
        return err_set(err, "there are more than %d parameters", PAIRS_MAX);
    char *equals = memchr(text, '=', n);
    char *value = equals ? equals + 1 : text + n;
    size_t value_len = (size_t)(text + n - value);
    if (equals && !decode(value, value_len, true))
        return err_set(err, "a parameter has a bad %%-escape");
    if (!decode(text, equals ? (size_t)(equals - text) : n, true))
        return err_set(err, "a parameter's name has a bad %%-escape");
    p->at[p->n].name = text;
    p->at[p->n].value = equals ? value : text + strlen(text);
    p->n++;
    return 0;
}

struct pairs *pairs_parse(const char *text, size_t n, struct err *err)
{
    struct pairs *p = xcalloc(1, sizeof(*p));
    p->text = xstrndup(text, n);
    p->len = n = strlen(p->text);
    for (char *at = p->text, *end = p->text + n; at < end;) {
        char *amp = memchr(at, '&', (size_t)(end - at));
        char *stop = amp ? amp : end;
        *stop = '\0';
        if (stop > at && pair_add(p, at, (size_t)(stop - at), err) < 0) {
            pairs_free(p);
            return NULL;
        }
        at = stop + 1;
    }
    return p;
}

const char *pairs_get(const struct pairs *p, const char *name)
{
    for (size_t i = 0; p && i < p->n; i++)
        if (strcmp(p->at[i].name, name) == 0)
            return p->at[i].value;
    return NULL;
}

void pairs_free(struct pairs *p)
{
    if (!p)
        return;
    explicit_bzero(p->text, p->len);
    free(p->text);
    free(p);
}

char *basic_decode(const char *text, char **password)
{
    size_t n = strlen(text);
    if (n == 0 || n > BASIC_MAX || n % 4)
        return NULL;
    char *out = xcalloc(1, n / 4 * 3 + 1);
    int got = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)text, (int)n);
    char *colon = got > 0 ? strchr(out, ':') : NULL;
    if (!colon) {
        wipe_free(out);
        return NULL;
    }
    *colon = '\0';
    *password = colon + 1;
    return out;
}
