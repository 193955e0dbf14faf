/* See site.h. */
#include "manager/listener/site.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "lib/amqp/amqp.h"
#include "lib/api/api.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/grant/grant.h"

#define HOSTED_DOMAIN ".globus.org"
#define HOSTED_PORT 443
#define EX_OK_AND_STOP 0 /* the original ends in order when it can't listen */

int site_fail(struct site_end *end, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    free(end->for_admin);
    if (vasprintf(&end->for_admin, fmt, ap) < 0)
        abort();
    va_end(ap);
    end->code = code;
    return -1;
}

void site_end_clear(struct site_end *end)
{
    free(end->for_user);
    free(end->for_admin);
    memset(end, 0, sizeof(*end));
}

static const char *text_of(const struct hello_file *f)
{
    return f->text.data ? f->text.data : "";
}

static char *in_folder(const struct hello *h, const char *path)
{
    return path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", h->m.hello.endpoint_dir, path);
}

/* ---- config.yaml and its companions ---- */

static int open_config(struct site *s, const struct hello *h, struct site_end *end)
{
    struct err err = ERR_INIT;
    autobuf struct buf report = BUF_INIT;
    autofree char *path = in_folder(h, "config.yaml");
    const struct hello_file *f = &h->files[TABLE_CONFIG];
    s->config = config_parse(text_of(f), f->text.len, path, &report, &err);
    if (!s->config)
        return site_fail(end, 1, "%s", report.data && *report.data ? report.data : err.text);
    if (s->config->has_engine)
        return site_fail(end, 1,
                         "The configuration of %s contains an `engine` field; endpoint will not "
                         "start",
                         h->m.hello.endpoint_dir);
    if (s->config->grant_key && grant_key_check(s->config->grant_key, &err) < 0)
        return site_fail(end, 1, "%s: sallyport.grant_key: %s", path, err.text);
    s->parent_config = config_as_json(s->config);
    return 0;
}

static void decide_mapping(struct site *s, const struct hello *h)
{
    const char *path = s->config->identity_mapping_config_path;
    bool can_change = h->m.hello.can_change_user;
    s->privileged = h->m.hello.privileged;
    s->maps = path && can_change;
    s->local_user = xstrdup(h->m.hello.local_user);
    if (path)
        s->mapping_path = in_folder(h, path);
}

static void find_template(struct site *s, const struct hello *h)
{
    const struct hello_file *f = &h->files[TABLE_TEMPLATE];
    if (f->path[0])
        s->template_path = xstrdup(f->path);
    else if (s->config->user_config_template_path)
        s->template_path = in_folder(h, s->config->user_config_template_path);
    else
        s->template_path = in_folder(h, "user_config_template.yaml.j2");
}

/* ---- the registration ---- */

static struct json_object *read_schema(const struct hello *h, struct site_end *end)
{
    const struct hello_file *f = &h->files[TABLE_SCHEMA];
    struct err err = ERR_INIT;
    struct json_object *schema = NULL;
    if (f->fd < 0)
        return NULL;
    schema = json_read(text_of(f), f->text.len, INT_MAX, "the user config schema", &err);
    if (!schema)
        site_fail(end, 1, "The user config schema is not valid JSON: %s  (%s)",
                  f->path[0] ? f->path : "user_config_schema.json", err.text);
    return schema;
}

static struct json_object *document(const struct site *s, const struct hello *h,
                                    struct site_end *end)
{
    const char *dir = h->m.hello.endpoint_dir;
    const char *slash = strrchr(dir, '/');
    if (h->files[TABLE_TEMPLATE].fd < 0) {
        site_fail(end, 1, "User configuration template not found: %s", s->template_path);
        return NULL;
    }
    autojson struct json_object *schema = read_schema(h, end);
    if (end->for_admin)
        return NULL;
    struct config_site site = {.endpoint_name = slash ? slash + 1 : dir,
                               .hostname = h->m.hello.hostname,
                               .local_user = h->m.hello.local_user,
                               .template_text = text_of(&h->files[TABLE_TEMPLATE]),
                               .schema = schema,
                               .privileged = h->m.hello.privileged};
    return config_registration(s->config, &site);
}

/* Exit codes of spec cli.md 5.2. */
static int refused(struct site_end *end, const struct api_fail *f, bool registering)
{
    if (f->kind == API_NETWORK)
        return site_fail(end, registering ? EX_TEMPFAIL : 1,
                         "Network failure; unable to register "
                         "the endpoint.  %s",
                         f->err.text);
    if (f->kind == API_AUTH || f->kind == API_SIGNIN)
        return site_fail(end, f->kind == API_AUTH ? EX_NOPERM : 1, "%s", f->err.text);
    bool invalid = f->status == 400 || f->status == 422;
    bool blocked = invalid || f->status == 404 || f->status == 409 || f->status == 423;
    if (f->kind != API_COMPUTE || !blocked)
        return site_fail(end, 1, "The registration failed: %s", f->err.text);
    end->for_user = xasprintf("Endpoint registration blocked.  [%s]", f->body);
    return site_fail(end, invalid ? EX_DATAERR : EX_UNAVAILABLE, "%s", end->for_user);
}

/* "4.19.0" < "4.20.1" */
static bool is_lower(const char *a, const char *b)
{
    for (int i = 0; i < 3; i++) {
        char *rest_a, *rest_b;
        long x = strtol(a, &rest_a, 10), y = strtol(b, &rest_b, 10);
        if (x != y)
            return x < y;
        a = *rest_a == '.' ? rest_a + 1 : "";
        b = *rest_b == '.' ? rest_b + 1 : "";
    }
    return false;
}

static int check_version(struct api *api, struct site_end *end)
{
    struct api_fail fail = {0};
    autojson struct json_object *answer = NULL;
    if (api_version(api, &answer, &fail) < 0)
        return refused(end, &fail, false);
    const char *least = answer ? json_str_or(answer, "min_ep_version", NULL) : NULL;
    if (least && is_lower(COMPUTE_VERSION, least))
        return site_fail(end, 1,
                         "Your version=%s is lower than the minimum version for an endpoint: %s.  "
                         "Please update.",
                         COMPUTE_VERSION, least);
    return 0;
}

static bool is_hosted(const char *connection_url)
{
    struct amqp_url url = {0};
    bool yes = false;
    if (amqp_url_parse(connection_url, &url, NULL) == 0) {
        size_t n = strlen(url.host), tail = strlen(HOSTED_DOMAIN);
        yes = n >= tail && strcasecmp(url.host + n - tail, HOSTED_DOMAIN) == 0;
    }
    amqp_url_clear(&url);
    return yes;
}

/* config.yaml's amqp_port.  The files of the 2.x generation all have 443, which the hosted broker
 * listens on as well; a service of one's own gives its broker's port in the URL. */
static void override_port(struct site *s)
{
    int port = (int)s->config->amqp_port;
    if (!port || (port == HOSTED_PORT && !is_hosted(s->commands.connection_url)))
        return;
    char *url = amqp_url_with_port(s->commands.connection_url, port);
    wipe_free(s->commands.connection_url);
    s->commands.connection_url = url;
}

static int read_answer(struct site *s, struct json_object *answer, const char *asked,
                       struct site_end *end)
{
    struct err err = ERR_INIT;
    const char *id = json_str_or(answer, "endpoint_id", "");
    struct json_object *beats = json_at(answer, "heartbeat_queue_info");
    /* Services of the first generation gave one queue for both. */
    if (!beats)
        beats = json_at(answer, "result_queue_info");
    if (!uuid_parse(id, s->endpoint_id))
        err_set(&err, "endpoint_id is %s", *id ? "not a UUID" : "missing");
    else if (*asked && strcmp(asked, s->endpoint_id) != 0)
        return site_fail(end, EX_SOFTWARE,
                         "Unexpected response from server: mismatched endpoint id.\n  Expected: "
                         "%s, received: %s",
                         asked, s->endpoint_id);
    else if (wire_queue_info_read(json_at(answer, "command_queue_info"), "command_queue_info",
                                  false, &s->commands, &err) == 0)
        wire_queue_info_read(beats, "heartbeat_queue_info", true, &s->heartbeats, &err);
    if (err.text[0])
        return site_fail(end, EX_SOFTWARE, "Invalid or unexpected registration data structure: %s",
                         err.text);
    override_port(s);
    return 0;
}

static int enrol(struct site *s, const struct hello *h, struct api *api, struct site_end *end)
{
    struct api_fail fail = {0};
    const char *asked = h->m.hello.endpoint_uuid;
    autojson struct json_object *answer = NULL;
    autojson struct json_object *doc = document(s, h, end);
    if (!doc || check_version(api, end) < 0)
        return -1;
    if (api_register(api, *asked ? asked : NULL, doc, &answer, &fail) < 0)
        return refused(end, &fail, true);
    return read_answer(s, answer, asked, end);
}

/* ---- whose commands count when nobody is mapped ---- */

static int ask_identities(struct site *s, struct api *api, struct site_end *end)
{
    struct api_fail fail = {0};
    struct err err = ERR_INIT;
    struct json_object *set = NULL;
    autojson struct json_object *info = NULL;
    s->own = json_object_new_array();
    if (api_userinfo(api, &info, &fail) < 0)
        return site_fail(end, EX_OK_AND_STOP,
                         "Failed to determine identity set; try `whoami` command?  (%s)",
                         fail.err.text);
    json_get_list(info, "identity_set", &set, &err);
    for (size_t i = 0; set && i < json_object_array_length(set); i++) {
        const char *sub = json_str_or(json_object_array_get_idx(set, i), "sub", NULL);
        if (sub)
            json_object_array_add(s->own, json_object_new_string(sub));
    }
    if (json_object_array_length(s->own) == 0)
        return site_fail(end, EX_OK_AND_STOP,
                         "Failed to determine identity set; try `whoami` command?  (it is empty)");
    return 0;
}

/* ---- all of it ---- */

static struct api *sign_in(const struct site *s, const struct hello *h, struct site_end *end)
{
    struct err err = ERR_INIT;
    const struct hello_file *f = &h->files[TABLE_TOKENS];
    struct api_opts opts = {.environment = s->config->environment,
                            .local_compute_services = s->config->local_compute_services};
    struct api *api = api_create(&opts, &err);
    autojson struct json_object *tokens = NULL;
    if (api)
        tokens = json_read(text_of(f), f->text.len, INT_MAX, "the tokens", &err);
    if (tokens && api_tokens_import(api, tokens, &err) == 0)
        return api;
    api_destroy(api);
    site_fail(end, 1, "%s", err.text);
    return NULL;
}

int site_open(struct site *s, struct hello *h, struct site_end *end)
{
    memset(s, 0, sizeof(*s));
    memset(end, 0, sizeof(*end));
    if (open_config(s, h, end) < 0)
        return -1;
    decide_mapping(s, h);
    find_template(s, h);
    struct api *api = sign_in(s, h, end);
    if (!api)
        return -1;
    int rc = enrol(s, h, api, end);
    if (rc == 0 && !s->maps)
        rc = ask_identities(s, api, end);
    api_destroy(api);
    return rc;
}

void site_clear(struct site *s)
{
    config_free(s->config);
    json_object_put(s->own);
    json_object_put(s->parent_config);
    free(s->local_user);
    free(s->template_path);
    free(s->mapping_path);
    wire_queue_info_clear(&s->commands);
    wire_queue_info_clear(&s->heartbeats);
}
