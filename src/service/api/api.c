/* Making and ending the api; its table of routes. */
#include <string.h>

#include "service/api/grants.h"
#include "service/api/private.h"

const struct api_settings api_settings_default = {
    .offline_wait = true,
    .task_days = 14,
    .payload_file_min = 256 << 10,
    .rate_per_s = 500,
    .rate_burst = 2000,
    .tasks_per_s = 10000,
    .tasks_burst = 100000,
    .start_timeout_s = 45,
    /* The first releases that speak this interface with template endpoints. */
    .min_sdk = "2.0.0",
    .min_endpoint = "2.0.0",
};

#define SUBMIT_BODY (BODY_SUBMIT_MAX + (2u << 20))

static const struct route routes[] = {
    {"GET", "/v2/version", on_version, 0, 0},
    {"POST", "/v3/functions", on_function_register, BODY_FUNCTION_MAX, 0},
    {"POST", "/v2/functions", on_function_register, BODY_FUNCTION_MAX, 0},
    {"GET", "/v2/functions/{id}", on_function_get, 0, 0},
    {"DELETE", "/v2/functions/{id}", on_function_delete, 0, 0},
    {"POST", "/v3/endpoints", on_endpoint_register, BODY_ENDPOINT_MAX, 0},
    {"POST", "/v2/endpoints", on_endpoint_register, BODY_ENDPOINT_MAX, 0},
    {"PUT", "/v3/endpoints/{id}", on_endpoint_put, BODY_ENDPOINT_MAX, 0},
    {"POST", "/v3/endpoints/{id}/lock", on_endpoint_lock, 0, 0},
    {"POST", "/v2/endpoints/{id}/lock", on_endpoint_lock, 0, 0},
    {"GET", "/v2/endpoints", on_endpoint_list, 0, 0},
    {"GET", "/v2/endpoints/{id}", on_endpoint_get, 0, 0},
    {"GET", "/v2/endpoints/{id}/status", on_endpoint_status, 0, 0},
    {"DELETE", "/v2/endpoints/{id}", on_endpoint_delete, 0, 0},
    {"GET", "/v3/endpoints/{id}/allowed_functions", on_endpoint_allowed, 0, 0},
    {"POST", "/v3/endpoints/{id}/submit", on_submit, SUBMIT_BODY, 55},
    {"POST", "/v2/submit", on_submit_v2, SUBMIT_BODY, 55},
    {"GET", "/v2/tasks/{id}", on_task_get, 0, 0},
    {"POST", "/v2/batch_status", on_batch_status, 1u << 20, 0},
    {"GET", "/v2/taskgroup/{id}", on_group_get, 0, 0},
    {"GET", "/v2/get_amqp_result_connection_url", on_result_url, 0, 0},
    {"GET", "/v3/grant_keys", on_grant_keys, 0, 0},
    {"GET", "/openapi.yaml", on_openapi, 0, 0},
    {"GET", "/metrics", on_metrics, 0, 0},
    {"GET", "/healthz", on_healthz, 0, 0},
    {"GET", "/readyz", on_readyz, 0, 5},
    {NULL},
};

struct api *api_create(struct loop *l, struct store *s, struct creds *c, struct auth *auth,
                       const struct api_settings *settings, struct err *err)
{
    struct api *a = xcalloc(1, sizeof(*a));
    autofree char *payloads = xasprintf("%s/payloads", settings->data_dir);
    a->loop = l;
    a->store = s;
    a->creds = c;
    a->auth = auth;
    a->settings = *settings;
    a->data_dir = xstrdup(settings->data_dir);
    a->settings.data_dir = a->data_dir;
    autofree char *keys = xasprintf("%s/" GRANTS_FILE, settings->data_dir);
    a->files = files_create(payloads, err);
    a->grants = a->files ? grants_create(keys, err) : NULL;
    if (!a->grants) {
        api_destroy(a);
        return NULL;
    }
    a->cache = rowcache_create(a);
    a->limits = limits_create(a);
    a->keeper = keeper_create(a, err);
    if (!a->keeper) {
        api_destroy(a);
        return NULL;
    }
    a->presence = presence_create(a);
    a->outbox = outbox_create(a);
    a->results = results_create(a);
    a->ueps = ueps_create(a);
    a->maintenance = maintenance_create(a);
    return a;
}

static void on_up(void *arg)
{
    struct api *a = arg;
    presence_broker_up(a->presence);
    ueps_broker_up(a->ueps);
    if (a->ready)
        a->ready(a->ready_arg);
}

static void on_result(void *arg, struct amqp_message *m)
{
    results_message(((struct api *)arg)->results, m);
}

static void on_status(void *arg, struct amqp_message *m)
{
    presence_message(((struct api *)arg)->presence, m);
}

const struct broker_handlers *api_broker_handlers(void)
{
    static const struct broker_handlers h = {on_up, on_result, on_status};
    return &h;
}

void api_broker(struct api *a, struct broker *b)
{
    a->broker = b;
}

void api_on_ready(struct api *a, loop_f *ready, void *arg)
{
    a->ready = ready;
    a->ready_arg = arg;
}

void api_on_kick(struct api *a, void (*kick)(void *arg, const char *principal), void *arg)
{
    a->kick = kick;
    a->kick_arg = arg;
}

void api_routes(struct api *a, struct server *s)
{
    a->server = s;
    server_routes(s, routes, a);
}

bool api_is_idle(const struct api *a)
{
    return outbox_is_idle(a->outbox) && results_is_idle(a->results);
}

void api_stop(struct api *a)
{
    maintenance_stop(a->maintenance);
    presence_stop(a->presence);
    keeper_stop(a->keeper);
    ueps_stop(a->ueps);
}

void api_destroy(struct api *a)
{
    if (!a)
        return;
    maintenance_destroy(a->maintenance);
    ueps_destroy(a->ueps);
    results_destroy(a->results);
    outbox_destroy(a->outbox);
    presence_destroy(a->presence);
    keeper_destroy(a->keeper);
    limits_destroy(a->limits);
    rowcache_destroy(a->cache);
    files_destroy(a->files);
    grants_destroy(a->grants);
    free(a->data_dir);
    free(a);
}

int api_read_file(void *api, const char *name, struct buf *out)
{
    struct api *a = api;
    return files_get(a->files, name, out, NULL);
}
