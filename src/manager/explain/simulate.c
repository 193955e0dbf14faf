/* A start request that starts nothing: the mapping, the account, the limits, what prepare makes of
 * the request (prepare.c), and the batch script that the user endpoint would submit (script.c). */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/render/render.h"
#include "lib/template/template.h"
#include "manager/explain/explain.h"

static struct json_object *limits(const struct config *c)
{
    struct json_object *o = json_object_new_object();
    json_add_int(o, "max_user_endpoints", c->max_user_endpoints);
    json_add_int(o, "max_user_endpoints_per_user", c->max_user_endpoints_per_user);
    json_add_int(o, "max_starts_per_user_per_minute", c->max_starts_per_user_per_minute);
    json_add_int(o, "minimum_free_memory_mib", c->minimum_free_memory_mib);
    json_add_int(o, "options_bytes", RENDER_OPTIONS_MAX);
    json_add_int(o, "template_bytes", TEMPLATE_SIZE_MAX);
    json_add_bool(o, "no_new_privs", c->no_new_privs && !c->pam_enable);
    json_add_str(o, "pam_service", c->pam_enable ? c->pam_service_name : NULL);
    return o;
}

static void print_start(struct json_object *o)
{
    if (!json_str_or(o, "config", NULL)) {
        int64_t code = 0;
        json_get_int(o, "code", &code, NULL);
        printf("It would not start: exit code %d; %s\n", (int)code,
               json_str_or(o, "user_text", "?"));
        if (*json_str_or(o, "admin_text", ""))
            printf("  for the administrator: %s\n", json_str_or(o, "admin_text", ""));
        return;
    }
    printf("Environment:\n");
    json_object_object_foreach(json_at(o, "environment"), name, value)
        printf("  %s=%s\n", name, json_object_get_string(value));
    printf("Program: %s\n", json_str_or(o, "program", "NOT FOUND on the PATH above"));
    printf("Configuration:\n%s\n", json_str_or(o, "config", ""));
    print_submission(stdout, json_at(o, "submission"));
}

/* 0 when it would start. */
static int look(struct explain *x, struct json_object *answer, const char *name, struct err *err)
{
    if (explain_prepare(x, answer, name, err) < 0)
        return -1;
    struct json_object *start = json_at(answer, "start");
    if (!json_str_or(start, "config", NULL))
        return 0;
    struct json_object *submission = explain_script(name, start, err);
    if (!submission)
        return -1;
    json_add(start, "submission", submission);
    return 0;
}

static void print(struct json_object *answer, bool accepted)
{
    print_mapping(stdout, answer);
    if (json_at(answer, "account"))
        print_account(stdout, json_at(answer, "account"));
    print_limits(stdout, json_at(answer, "limits"));
    if (accepted)
        print_start(json_at(answer, "start"));
}

int explain_simulate(struct explain *x)
{
    struct err err = ERR_INIT;
    bool accepted = false;
    if (!x->config)
        return explain_fail(x, "no endpoint is given");
    if (explain_read_identities(x, &err) < 0)
        return explain_fail(x, err.text);
    autojson struct json_object *answer = explain_mapping(x, &err);
    if (!answer)
        return explain_fail(x, err.text);
    const char *name = json_str_or(answer, "username", NULL);
    if (name) {
        json_add(answer, "account", explain_account(x, name));
        json_get_bool(answer, "account.accepted", &accepted, NULL);
    }
    json_add(answer, "limits", limits(x->config));
    if (accepted && look(x, answer, name, &err) < 0)
        return explain_fail(x, err.text);
    if (x->json)
        print_json(stdout, answer);
    else if (json_str_or(answer, "error", NULL))
        return explain_fail(x, json_str_or(answer, "error", ""));
    else
        print(answer, accepted);
    return json_str_or(answer, "start.submission.script", NULL) ? 0 : 1;
}
