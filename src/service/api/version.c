/* What can be asked without a token: versions, and the public keys of start grants. */
#include "lib/config/config.h"
#include "service/api/grants.h"
#include "service/api/private.h"

#define API_VERSION "1.30.0"

void on_version(struct req *r)
{
    const struct api_settings *settings = &((struct api *)req_arg(r))->settings;
    const char *service = req_query(r, "service");
    if (!service) {
        static const char text[] = "\"" API_VERSION "\"";
        reply_text(r, 200, "application/json", text, sizeof(text) - 1);
        return;
    }
    struct json_object *o = json_object_new_object();
    json_add_str(o, "api", API_VERSION);
    json_add_str(o, "min_sdk_version", settings->min_sdk);
    json_add_str(o, "min_ep_version", settings->min_endpoint);
    json_add_str(o, "min_endpoint_version", settings->min_endpoint);
    json_add_str(o, "git_sha", "sallyport");
    reply_json(r, 200, o);
}

void on_grant_keys(struct req *r)
{
    struct api *a = req_arg(r);
    struct json_object *o = json_object_new_object();
    json_add(o, "grant_keys", grants_public(a->grants, (int64_t)clock_unix()));
    reply_json(r, 200, o);
}
