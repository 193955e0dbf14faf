/* Hosts, kind of sign-in, life of the client: see api.h. */
#include "lib/api/api.h"

#include <stdlib.h>
#include <string.h>

#include "lib/api/private.h"
#include "lib/base/alloc.h"

#define AGENT "globus-sdk-py-4.9.1/globus-compute-sdk-4.19.0"

/* Compute takes an unknown name for production, Auth refuses it (NULL): spec auth.md 1.1. */
static const struct {
    const char *name;
    const char *compute;
    const char *auth;
} environments[] = {
    {"production", "https://compute.api.globus.org", "https://auth.globus.org/"},
    {"preview", "https://compute.api.preview.globus.org", "https://auth.preview.globus.org/"},
    {"sandbox", "https://compute.api.sandbox.globuscs.info", "https://auth.sandbox.globuscs.info/"},
    {"test", "https://compute.api.test.globuscs.info", "https://auth.test.globuscs.info/"},
    {"integration", "https://compute.api.integration.globuscs.info",
     "https://auth.integration.globuscs.info/"},
    {"staging", "https://compute.api.staging.globuscs.info", "https://auth.staging.globuscs.info/"},
    {"dev", "https://api.dev.funcx.org", NULL},
    {"local", "http://localhost:5000", NULL},
};

static const char *env_text(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static int find_environment(const char *name)
{
    for (size_t i = 0; i < sizeof(environments) / sizeof(environments[0]); i++)
        if (strcmp(environments[i].name, name) == 0)
            return (int)i;
    return -1;
}

static int choose_hosts(struct api *a, const struct api_opts *opts, struct err *err)
{
    const char *name = env_text("GLOBUS_SDK_ENVIRONMENT");
    a->environment = xstrdup(name ? name : "production");
    const char *own = opts->local_compute_services ? "local" : opts->environment;
    int compute = find_environment(own ? own : a->environment);
    a->compute_url = xstrdup(environments[compute < 0 ? 0 : compute].compute);
    const char *url = env_text("GLOBUS_SDK_SERVICE_URL_AUTH");
    int auth = find_environment(a->environment);
    if (!url && (auth < 0 || !environments[auth].auth))
        return err_set(err,
                       "GLOBUS_SDK_ENVIRONMENT is \"%s\", for which no Auth service is known; set "
                       "GLOBUS_SDK_SERVICE_URL_AUTH to its address",
                       a->environment);
    if (!url)
        url = environments[auth].auth;
    /* The original wants the slash and builds a wrong redirect URI without it; we add it. */
    a->auth_url = xasprintf("%s%s", url, url[strlen(url) - 1] == '/' ? "" : "/");
    return 0;
}

static int choose_app(struct api *a, const struct api_opts *opts, struct err *err)
{
    const char *id = opts->client_id ? opts->client_id : env_text("GLOBUS_COMPUTE_CLIENT_ID");
    const char *secret =
        opts->client_secret ? opts->client_secret : env_text("GLOBUS_COMPUTE_CLIENT_SECRET");
    if (secret && !id)
        return err_set(err, "Both GLOBUS_COMPUTE_CLIENT_ID and GLOBUS_COMPUTE_CLIENT_SECRET must "
                            "be set to use a client identity. Either set both environment "
                            "variables, or unset both to use a normal login.");
    a->client_id = xstrdup(id ? id : API_NATIVE_CLIENT);
    a->client_secret = xstrdup(secret);
    a->namespace = secret ? xasprintf("clientprofile/%s/%s", a->environment, id)
                          : xasprintf("user/%s", a->environment);
    return 0;
}

struct api *api_create(const struct api_opts *opts, struct err *err)
{
    static const struct api_opts none;
    struct api *a = xcalloc(1, sizeof(*a));
    a->tokens = json_object_new_object();
    if (!opts)
        opts = &none;
    if (choose_hosts(a, opts, err) < 0 || choose_app(a, opts, err) < 0) {
        api_destroy(a);
        return NULL;
    }
    a->http = http_create(AGENT);
    return a;
}

void api_destroy(struct api *a)
{
    if (!a)
        return;
    token_store_close(a->store);
    http_destroy(a->http);
    json_object_put(a->tokens);
    free(a->client_id);
    wipe_free(a->client_secret);
    free(a->auth_url);
    free(a->compute_url);
    free(a->environment);
    free(a->namespace);
    free(a);
}
