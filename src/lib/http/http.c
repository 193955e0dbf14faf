/* See http.h.  One easy handle a `struct http`, so connections are kept between calls. */
#include "lib/http/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <curl/curl.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"

#define TRIES 6
#define TIMEOUT_S 60L
#define TIMEOUT_MAX_S 3600L
#define PAUSE_MAX_S 10.0

struct http {
    CURL *curl;
    char *agent;
};

struct http *http_create(const char *agent)
{
    static bool ready;
    if (!ready) {
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
            abort();
        ready = true;
    }
    struct http *h = xcalloc(1, sizeof(*h));
    h->agent = xstrdup(agent);
    h->curl = curl_easy_init();
    if (!h->curl)
        abort();
    return h;
}

void http_destroy(struct http *h)
{
    if (!h)
        return;
    curl_easy_cleanup(h->curl);
    free(h->agent);
    free(h);
}

static size_t body_cb(char *p, size_t size, size_t n, void *arg)
{
    struct buf *body = arg;
    size_t len = size * n;
    if (len > HTTP_BODY_MAX || body->len > HTTP_BODY_MAX - len)
        return 0; /* CURLE_WRITE_ERROR */
    buf_add(body, p, len);
    return len;
}

static size_t header_cb(char *p, size_t size, size_t n, void *arg)
{
    static const char retry[] = "retry-after:", date[] = "date:";
    struct http_response *out = arg;
    size_t len = size * n;
    if (len > sizeof(retry) && strncasecmp(p, retry, sizeof(retry) - 1) == 0) {
        autofree char *value = xstrndup(p + sizeof(retry) - 1, len - (sizeof(retry) - 1));
        double s = strtod(value, NULL); /* the form with a date gives 0: no request for a pause */
        out->pause_s = s > 0 ? s : 0;
    }
    if (len > sizeof(date) && strncasecmp(p, date, sizeof(date) - 1) == 0) {
        autofree char *value = xstrndup(p + sizeof(date) - 1, len - (sizeof(date) - 1));
        out->date = curl_getdate(value, NULL);
    }
    return len;
}

static long timeout_s(void)
{
    const char *text = getenv("GLOBUS_SDK_HTTP_TIMEOUT");
    if (!text || !*text)
        return TIMEOUT_S;
    double s = strtod(text, NULL);
    if (s < 0 || s > (double)TIMEOUT_MAX_S)
        return TIMEOUT_MAX_S;
    return s < 1 ? 1 : (long)s;
}

static bool is_word(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcasecmp(text, *words) == 0)
            return true;
    return false;
}

static void tls_setup(CURL *c)
{
    static const char *const yes[] = {"1", "y", "yes", "true", "t", "on", NULL};
    static const char *const no[] = {"0", "n", "no", "false", "f", "off", NULL};
    const char *verify = getenv("GLOBUS_SDK_VERIFY_SSL");
    if (!verify || !*verify || is_word(verify, yes))
        return;
    if (is_word(verify, no)) {
        curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    } else {
        curl_easy_setopt(c, CURLOPT_CAINFO, verify);
    }
}

static struct curl_slist *headers(const struct http_request *req)
{
    struct curl_slist *list = curl_slist_append(NULL, "Accept: application/json");
    list = curl_slist_append(list, "Expect:"); /* no pause before a body */
    if (req->content_type) {
        autofree char *line = xasprintf("Content-Type: %s", req->content_type);
        list = curl_slist_append(list, line);
    } else {
        list = curl_slist_append(list, "Content-Type:"); /* curl's own guess for POST */
    }
    if (req->bearer) {
        autofree char *line = xasprintf("Authorization: Bearer %s", req->bearer);
        list = curl_slist_append(list, line);
        explicit_bzero(line, strlen(line));
    }
    return list;
}

static void body_setup(CURL *c, const struct http_request *req)
{
    bool wants = strcmp(req->method, "POST") == 0 || strcmp(req->method, "PUT") == 0;
    if (!req->body && !wants)
        return;
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_len);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, req->body ? (const char *)req->body : "");
}

static int once(struct http *h, const struct http_request *req, struct http_response *out,
                struct err *err)
{
    char reason[CURL_ERROR_SIZE] = "";
    CURL *c = h->curl;
    curl_easy_reset(c);
    buf_clear(&out->body);
    out->status = 0;
    out->pause_s = 0;
    out->date = -1;
    struct curl_slist *list = headers(req);
    curl_easy_setopt(c, CURLOPT_URL, req->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, h->agent);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, timeout_s());
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, body_cb);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &out->body);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, header_cb);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, out);
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, req->method);
    if (req->basic_user) {
        curl_easy_setopt(c, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(c, CURLOPT_USERNAME, req->basic_user);
        curl_easy_setopt(c, CURLOPT_PASSWORD, req->basic_password);
    }
    body_setup(c, req);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, list);
    tls_setup(c);
    CURLcode rc = curl_easy_perform(c);
    curl_slist_free_all(list);
    if (rc != CURLE_OK)
        return err_code(err, rc == CURLE_OPERATION_TIMEDOUT ? ETIMEDOUT : EIO, "%s %s: %s",
                        req->method, req->url, reason[0] ? reason : curl_easy_strerror(rc));
    long status = 0;
    char *type = NULL;
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(c, CURLINFO_CONTENT_TYPE, &type);
    out->status = (int)status;
    out->is_json = type && strncasecmp(type, "application/json", 16) == 0;
    return 0;
}

/* What a second try may mend; 501 and the like stay as they are. */
static bool is_passing(int status)
{
    return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

static void pause_s(double s)
{
    struct timespec ts = {.tv_sec = (time_t)s, .tv_nsec = (long)((s - (double)(time_t)s) * 1e9)};
    while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
        ;
}

/* (0.25…0.75)·2^n seconds, at most 10; what the server asks for wins, within that bound. */
static double next_pause_s(unsigned n, const struct http_response *out)
{
    double s = (double)random_between(250, 750) / 1000.0 * (double)(1u << n);
    if (out->pause_s > 0)
        s = out->pause_s;
    return s > PAUSE_MAX_S ? PAUSE_MAX_S : s;
}

int http_send(struct http *h, const struct http_request *req, struct http_response *out,
              struct err *err)
{
    unsigned tries = req->tries ? req->tries : TRIES;
    for (unsigned n = 0;; n++) {
        int rc = once(h, req, out, err);
        if (rc == 0 && !is_passing(out->status))
            return 0;
        if (n + 1 >= tries)
            return rc;
        pause_s(next_pause_s(n, out));
    }
}

void http_response_free(struct http_response *r)
{
    if (r->body.data)
        explicit_bzero(r->body.data, r->body.len); /* may hold tokens */
    buf_free(&r->body);
}

static void form_encode(struct buf *b, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("-._~", c))
            buf_char(b, (char)c);
        else if (c == ' ')
            buf_char(b, '+');
        else
            buf_fmt(b, "%%%02X", c);
    }
}

void http_form_add(struct buf *b, const char *key, const char *value)
{
    if (b->len)
        buf_char(b, '&');
    form_encode(b, key);
    buf_char(b, '=');
    form_encode(b, value);
}
