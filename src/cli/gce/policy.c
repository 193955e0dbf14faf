/* See policy.h. */
#include "cli/gce/policy.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/gce/prompt.h"
#include "cli/gce/remote.h"
#include "lib/base/alloc.h"

static bool differs(const struct args *a, const char *name, const char *otherwise)
{
    const char *value = args_get(a, name);
    return value && strcmp(value, otherwise) != 0;
}

bool policy_is_wanted(const struct args *a)
{
    return args_has(a, "--auth-policy-project-id") || args_has(a, "--allowed-domains") ||
           args_has(a, "--excluded-domains") || args_has(a, "--auth-timeout") ||
           differs(a, "--auth-policy-display-name", POLICY_DISPLAY_NAME) ||
           differs(a, "--auth-policy-description", POLICY_DESCRIPTION);
}

/* "a, b" as a list; nothing for an empty text. */
static struct json_object *split(const char *text)
{
    struct json_object *list = json_object_new_array();
    autofree char *copy = xstrdup(text);
    char *rest = NULL;
    for (char *p = strtok_r(copy, ",", &rest); p; p = strtok_r(NULL, ",", &rest)) {
        p += strspn(p, " \t");
        size_t n = strlen(p);
        while (n > 0 && isspace((unsigned char)p[n - 1]))
            p[--n] = '\0';
        if (n)
            json_object_array_add(list, json_object_new_string(p));
    }
    return list;
}

/* 0 and the body; -1 = quit or end of input. */
static int ask_project(struct json_object **body)
{
    static const struct {
        const char *key;
        const char *prompt;
        bool is_list;
    } questions[] = {
        {"display_name", "Enter a name for this project: ", false},
        {"contact_email", "Enter the contact email for this project: ", false},
        {"admin_ids", "Enter a comma separated list of admin IDs for this project: ", true},
        {"admin_group_ids", "Enter a comma separated list of group IDs as project admins: ", true},
    };
    for (;;) {
        struct json_object *project = json_object_new_object();
        for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
            const char *text = prompt_line(questions[i].prompt);
            if (!text) {
                json_object_put(project);
                return -1;
            }
            json_add(project, questions[i].key,
                     questions[i].is_list ? split(text) : json_object_new_string(text));
        }
        const char *answer = prompt_line("Create this auth project? [Y]es, [N]o, [Q]uit: ");
        char c = answer ? (char)tolower((unsigned char)answer[0]) : 'q';
        if (c == 'y') {
            *body = json_object_new_object();
            json_add(*body, "project", project);
            return 0;
        }
        json_object_put(project);
        if (c == 'q')
            return -1;
    }
}

static int create_project(char **id)
{
    struct remote_result r;
    autojson struct json_object *body = NULL;
    printf("Creating a new auth project.\n");
    if (ask_project(&body) < 0) {
        printf("Canceled.\n");
        return -1;
    }
    printf("Creating project...\n");
    remote_call(NULL, "project-create", NULL, body, &r);
    int rc = 0;
    if (r.ok)
        *id = xstrdup(json_object_get_string(r.answer));
    else
        rc = fail("Unable to create auth project: [%s]", r.body[0] ? r.body : r.message);
    remote_free(&r);
    return rc;
}

/* One of the projects shown, by number; a blank answer makes a new one. */
static int choose_project(char **id)
{
    struct remote_result r;
    struct json_object *list = NULL;
    remote_call(NULL, "projects", NULL, NULL, &r);
    if (!r.ok || json_get_list(r.answer, "projects", &list, NULL) < 0) {
        int rc = remote_fail(&r);
        remote_free(&r);
        return rc;
    }
    size_t n = json_object_array_length(list);
    if (n > 0)
        printf("Please select a project to contain new auth policy (blank to create a new "
               "project):\n");
    for (size_t i = 0; i < n; i++) {
        struct json_object *p = json_object_array_get_idx(list, i);
        printf("%zu) id: %s, name: %s\n", i + 1, json_str_or(p, "id", ""),
               json_str_or(p, "display_name", ""));
    }
    while (n > 0 && !*id) {
        const char *answer = prompt_line("Select a project: ");
        long k = answer ? strtol(answer, NULL, 10) : 0;
        if (!answer || tolower((unsigned char)*answer) == 'q') {
            printf("Canceled.\n");
            remote_free(&r);
            return -1;
        }
        if (!*answer)
            break;
        if (k >= 1 && (size_t)k <= n)
            *id = xstrdup(json_str_or(json_object_array_get_idx(list, (size_t)k - 1), "id", ""));
    }
    remote_free(&r);
    return *id ? 0 : create_project(id);
}

static struct json_object *describe(const struct args *a, const char *project, bool ha)
{
    struct json_object *body = json_object_new_object();
    struct json_object *p = json_object_new_object();
    const char *name = args_get(a, "--auth-policy-display-name");
    const char *text = args_get(a, "--auth-policy-description");
    const char *timeout = args_get(a, "--auth-timeout");
    json_add_str(p, "project_id", project);
    json_add_str(p, "display_name", name ? name : POLICY_DISPLAY_NAME);
    json_add_str(p, "description", text ? text : POLICY_DESCRIPTION);
    if (ha)
        json_add_bool(p, "high_assurance", true);
    if (timeout)
        json_add_int(p, "authentication_assurance_timeout", atoll(timeout));
    if (args_has(a, "--auth-policy-mfa-required"))
        json_add_bool(p, "required_mfa", true);
    if (args_has(a, "--allowed-domains"))
        json_add(p, "domain_constraints_include", split(args_get(a, "--allowed-domains")));
    if (args_has(a, "--excluded-domains"))
        json_add(p, "domain_constraints_exclude", split(args_get(a, "--excluded-domains")));
    json_add(body, "policy", p);
    return body;
}

int policy_create(const struct args *a, bool high_assurance, char **id)
{
    struct remote_result r;
    autofree char *project = xstrdup(args_get(a, "--auth-policy-project-id"));
    int rc = remote_signin(NULL);
    if (rc == 0 && !project)
        rc = choose_project(&project);
    if (rc != 0)
        return rc;
    autojson struct json_object *body = describe(a, project, high_assurance);
    remote_call(NULL, "policy-create", NULL, body, &r);
    if (r.ok)
        *id = xstrdup(json_object_get_string(r.answer));
    else
        rc = fail("Unable to create authentication policy: [%s]", r.body[0] ? r.body : r.message);
    remote_free(&r);
    return rc;
}
