#include "service/auth/auth.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/paths.h"
#include "service/auth/private.h"

#define THREADS 2
#define WAITING_MAX 64 /* password checks in the queue: more are told to come again */
#define KEYS_MAX 10000
#define TIDY_EVERY LOOP_S(3600)

int64_t auth_now(void)
{
    return (int64_t)clock_unix();
}

const char *auth_base_url(struct auth *a, struct req *r)
{
    return a->public_url != NULL ? a->public_url : req_base_url(r);
}

/* ---- replies --------------------------------------------------------------------------------- */

void oauth_reply(struct req *r, struct json_object *body)
{
    reply_header(r, "Cache-Control", "no-store");
    reply_header(r, "Pragma", "no-cache");
    reply_json(r, 200, body);
}

void oauth_refuse(struct req *r, int status, const char *error, const char *fmt, ...)
{
    char reason[512], number[16];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(reason, sizeof reason, fmt, ap);
    va_end(ap);
    snprintf(number, sizeof number, "%d", status);
    char code[64];
    size_t n = 0;
    for (; error[n] != '\0' && n + 1 < sizeof code; n++)
        code[n] = (char)(error[n] >= 'a' && error[n] <= 'z' ? error[n] - 'a' + 'A' : error[n]);
    code[n] = '\0';
    struct json_object *one = json_object_new_object();
    json_add_str(one, "status", number);
    json_add_str(one, "id", req_id(r));
    json_add_str(one, "code", code);
    json_add_str(one, "title", error);
    json_add_str(one, "detail", reason);
    struct json_object *errors = json_object_new_array();
    json_object_array_add(errors, one);
    struct json_object *body = json_object_new_object();
    json_add(body, "errors", errors);
    json_add_str(body, "error", error);
    json_add_str(body, "error_description", reason);
    if (status == 401)
        reply_header(r, "WWW-Authenticate",
                     strcmp(error, "invalid_client") == 0 ? "Basic realm=\"sallyport\"" : "Bearer");
    reply_header(r, "Cache-Control", "no-store");
    reply_json(r, status, body);
}

void oauth_ledger_failed(struct req *r, const struct err *err)
{
    static struct log_rate rate = LOG_RATE(5, 60);
    if (log_rate_ok(&rate))
        log_error("request=%s: the ledger did not answer: %s", req_id(r), err->text);
    oauth_refuse(r, 503, "temporarily_unavailable",
                 "The service's ledger does not answer; try again in a moment.");
}

/* ---- housekeeping ---------------------------------------------------------------------------- */

static int tidy_job(struct db *db, void *arg, struct err *err)
{
    (void)arg;
    return tokens_tidy(db, auth_now(), err);
}

static void tidy_done(void *arg, int rc, const struct err *err)
{
    struct auth *a = arg;
    a->tidying = false;
    if (rc != 0)
        log_warning("Expired tokens could not be removed (the next try is in an hour): %s",
                    err->text);
}

static void tidy_cb(void *arg)
{
    struct auth *a = arg;
    loop_timer_set(a->tidy_timer, TIDY_EVERY, LOOP_S(60));
    if (a->tidying)
        return;
    a->tidying = true;
    store_write(a->store, tidy_job, tidy_done, a);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Member `key` of the configuration, between low and high. */
static int seconds_of(struct auth *a, const char *key, int64_t low, int64_t high, int64_t *out,
                      struct err *err)
{
    if (a->config == NULL || json_at(a->config, key) == NULL)
        return 0;
    if (json_get_int(a->config, key, out, err) != 0)
        return err_prefix(err, "auth");
    if (*out < low || *out > high)
        return err_set(err, "auth.%s is %lld; it has to be between %lld and %lld seconds", key,
                       (long long)*out, (long long)low, (long long)high);
    return 0;
}

static int read_config(struct auth *a, struct err *err)
{
    a->life = lifetimes_default;
    const int64_t year = 366 * 86400;
    if (seconds_of(a, "access_token_seconds", 60, year, &a->life.access_s, err) != 0 ||
        seconds_of(a, "refresh_token_seconds", 60, 10 * year, &a->life.refresh_s, err) != 0 ||
        seconds_of(a, "refresh_overlap_seconds", 0, year, &a->life.overlap_s, err) != 0 ||
        seconds_of(a, "code_seconds", 10, 3600, &a->life.code_s, err) != 0 ||
        seconds_of(a, "session_seconds", 60, year, &a->life.session_s, err) != 0)
        return -1;
    a->domain = xstrdup(json_str_or(a->config, "domain", "localhost"));
    a->provider_name = xstrdup(json_str_or(a->config, "provider_name", "Sallyport"));
    return 0;
}

struct auth *auth_create(const struct auth_opts *opts, struct err *err)
{
    struct auth *a = xcalloc(1, sizeof *a);
    a->store = opts->store;
    a->loop = opts->loop;
    a->data_dir = xstrdup(opts->data_dir);
    a->config = opts->config == NULL ? NULL : json_object_get(opts->config);
    if (opts->public_url != NULL && *opts->public_url != '\0') {
        a->public_url = xstrdup(opts->public_url);
        for (size_t n = strlen(a->public_url); n > 0 && a->public_url[n - 1] == '/'; n--)
            a->public_url[n - 1] = '\0';
    }
    autofree char *web = paths_share("web");
    if (read_config(a, err) != 0 ||
        sources_open(&a->sources, json_at(a->config, "sources"), a->domain, err) != 0 ||
        (a->pages = pages_open(web, err)) == NULL ||
        (a->key = key_open(opts->data_dir, err)) == NULL) {
        auth_destroy(a);
        return NULL;
    }
    a->cache = cache_create(CACHE_MAX);
    a->work = work_create(a->loop, THREADS, WAITING_MAX);
    a->tries_peer = limit_create(30, LOOP_S(4), KEYS_MAX);
    a->tries_name = limit_create(10, LOOP_S(30), KEYS_MAX);
    a->tries_client = limit_create(60, LOOP_S(1), KEYS_MAX);
    a->tidy_timer = loop_timer_create(a->loop, tidy_cb, a);
    loop_timer_set(a->tidy_timer, LOOP_S(60), LOOP_S(30));
    return a;
}

void auth_destroy(struct auth *a)
{
    if (a == NULL)
        return;
    work_destroy(a->work);
    if (a->tidy_timer != NULL)
        loop_timer_destroy(a->tidy_timer);
    cache_destroy(a->cache);
    limit_destroy(a->tries_peer);
    limit_destroy(a->tries_name);
    limit_destroy(a->tries_client);
    key_close(a->key);
    sources_close(&a->sources);
    pages_close(a->pages);
    json_object_put(a->config);
    free(a->data_dir);
    free(a->public_url);
    free(a->domain);
    free(a->provider_name);
    free(a);
}

struct pages *auth_pages(struct auth *a)
{
    return a->pages;
}

/* Style sheets, scripts, pictures; templates are never shown as they are. */
static void auth_file(struct req *r)
{
    struct auth *a = req_arg(r);
    const char *name = req_param(r, "file");
    size_t n = strlen(name);
    bool template = n > 5 && strcmp(name + n - 5, ".html") == 0;
    page_file(r, a->pages, template ? "" : name);
}

#define FORM_MAX (64u << 10)

const struct route *auth_routes(void)
{
    static const struct route routes[] = {
        {.method = "POST", .path = "/v2/oauth2/token", .handler = auth_token, .body_max = FORM_MAX},
        {.method = "POST", .path = "/v2/oauth2/token/revoke", .handler = auth_revoke},
        {.method = "POST", .path = "/v2/oauth2/token/introspect", .handler = auth_introspect},
        {.method = "GET", .path = "/v2/oauth2/userinfo", .handler = auth_userinfo},
        {.method = "GET", .path = "/v2/api/identities", .handler = auth_identities},
        {.method = "GET",
         .path = "/.well-known/openid-configuration",
         .handler = auth_openid_configuration},
        {.method = "GET", .path = "/jwk.json", .handler = auth_jwks},
        {.method = "GET", .path = "/v2/api/projects", .handler = auth_projects},
        {.method = "POST", .path = "/v2/api/projects", .handler = auth_project_make},
        {.method = "POST", .path = "/v2/api/policies", .handler = auth_policy_make},
        {.method = "GET", .path = "/v2/oauth2/authorize", .handler = auth_authorize_page},
        {.method = "POST", .path = "/v2/oauth2/authorize", .handler = auth_authorize_post},
        {.method = "GET", .path = "/v2/web/auth-code", .handler = auth_code_page},
        {.method = "GET", .path = "/v2/web/with/{source}", .handler = auth_with},
        {.method = "GET", .path = "/v2/web/with/{source}/back", .handler = auth_with_back},
        {.method = "GET", .path = "/web/{file}", .handler = auth_file},
        {.method = "GET", .path = "/web/sign-in", .handler = auth_sign_in_page},
        {.method = "POST", .path = "/web/sign-in", .handler = auth_sign_in_post},
        {.method = "POST", .path = "/web/sign-out", .handler = auth_sign_out},
        {.method = NULL},
    };
    return routes;
}
