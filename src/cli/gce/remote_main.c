/* libexec/sallyport/remote FD VERB [ARG]: one call to Auth or Compute; the result as JSON on FD.
 * Started by globus-compute-endpoint only (remote.h has the shape of the result).
 *
 *     signed-in            answer: true or false, no network
 *     login [seed]         the sign-in of a person on stdin and stdout
 *     tokens FD2           renews, and writes what lib/api exports (secrets) to FD2
 *     logout               revokes and forgets
 *     userinfo | identities IDS | projects
 *     project-create | policy-create     the body comes on stdin
 *     status ID | lock ID | delete ID | endpoints ROLE | version
 *     clock                answer: seconds that our clock is ahead of the service's */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/api/api.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"

#define BODY_MAX (1u << 20)

struct call {
    struct api *api;
    const char *arg;
    struct json_object *answer;
    struct api_fail fail;
};

static int do_signed_in(struct call *c)
{
    c->answer = json_object_new_boolean(api_signed_in(c->api));
    return 0;
}

static int do_login(struct call *c)
{
    return api_login(c->api, stdin, stdout, &c->fail);
}

static int do_tokens(struct call *c)
{
    autobuf struct buf text = BUF_INIT;
    if (!api_signed_in(c->api)) {
        c->fail.kind = API_SIGNIN;
        return err_set(&c->fail.err, "no credentials are stored");
    }
    if (api_tokens_ensure(c->api, &c->fail) < 0)
        return -1;
    autojson struct json_object *tokens = api_tokens_export(c->api);
    json_write(&text, tokens);
    int rc = fs_write_all(atoi(c->arg), text.data, text.len);
    explicit_bzero(text.data, text.len);
    if (rc < 0) {
        c->fail.kind = API_ANSWER;
        return err_errno(&c->fail.err, "the tokens can't be handed over");
    }
    return 0;
}

static int do_logout(struct call *c)
{
    return api_logout(c->api, &c->fail);
}

static int do_userinfo(struct call *c)
{
    return api_userinfo(c->api, &c->answer, &c->fail);
}

static int do_identities(struct call *c)
{
    return api_identities(c->api, c->arg, &c->answer, &c->fail);
}

static int do_projects(struct call *c)
{
    return api_projects(c->api, &c->answer, &c->fail);
}

typedef int create_f(struct api *a, struct json_object *body, char **id, struct api_fail *fail);

static int create(struct call *c, create_f *how)
{
    autobuf struct buf text = BUF_INIT;
    autofree char *id = NULL;
    autojson struct json_object *body = NULL;
    if (fs_read_fd(STDIN_FILENO, BODY_MAX, "body", &text, &c->fail.err) == 0)
        body = json_read(text.data, text.len, BODY_MAX, "body", &c->fail.err);
    if (!body || how(c->api, body, &id, &c->fail) < 0)
        return -1;
    c->answer = json_object_new_string(id);
    return 0;
}

static int do_project_create(struct call *c)
{
    return create(c, api_project_create);
}

static int do_policy_create(struct call *c)
{
    return create(c, api_policy_create);
}

static int do_status(struct call *c)
{
    return api_endpoint_status(c->api, c->arg, &c->answer, &c->fail);
}

static int do_lock(struct call *c)
{
    return api_endpoint_lock(c->api, c->arg, &c->answer, &c->fail);
}

static int do_delete(struct call *c)
{
    return api_endpoint_delete(c->api, c->arg, &c->fail);
}

static int do_endpoints(struct call *c)
{
    return api_endpoints(c->api, c->arg, &c->answer, &c->fail);
}

static int do_version(struct call *c)
{
    return api_version(c->api, &c->answer, &c->fail);
}

static int do_clock(struct call *c)
{
    double skew_s;
    if (api_clock(c->api, &skew_s, &c->fail) < 0)
        return -1;
    c->answer = json_object_new_double(skew_s);
    return 0;
}

static const struct {
    const char *verb;
    int (*run)(struct call *c);
    bool wants_arg;
} verbs[] = {
    {"signed-in", do_signed_in, false},
    {"login", do_login, false},
    {"tokens", do_tokens, true},
    {"logout", do_logout, false},
    {"userinfo", do_userinfo, false},
    {"identities", do_identities, true},
    {"projects", do_projects, false},
    {"project-create", do_project_create, false},
    {"policy-create", do_policy_create, false},
    {"status", do_status, true},
    {"lock", do_lock, true},
    {"delete", do_delete, true},
    {"endpoints", do_endpoints, true},
    {"version", do_version, false},
    {"clock", do_clock, false},
};

static const char *kind_text(const struct api_fail *fail)
{
    static const char *const texts[] = {
        [API_NONE] = "usage",      [API_NETWORK] = "network", [API_AUTH] = "auth",
        [API_COMPUTE] = "compute", [API_SIGNIN] = "signin",   [API_ANSWER] = "answer",
    };
    if (fail->kind == API_SIGNIN && strcmp(fail->err.text, "Aborted!") == 0)
        return "aborted";
    return texts[fail->kind];
}

static int report(int fd, int rc, struct call *c)
{
    autobuf struct buf text = BUF_INIT;
    autojson struct json_object *doc = json_object_new_object();
    json_add_bool(doc, "ok", rc == 0);
    if (rc == 0) {
        json_add(doc, "answer", c->answer);
    } else {
        json_add_str(doc, "kind", kind_text(&c->fail));
        json_add_int(doc, "status", c->fail.status);
        json_add_str(doc, "body", c->fail.body);
        json_add_str(doc, "message", c->fail.err.text);
    }
    json_write(&text, doc);
    return fs_write_all(fd, text.data, text.len) == 0 && rc == 0 ? 0 : 1;
}

static int run(struct call *c, const char *verb)
{
    const char *base = getenv("GLOBUS_COMPUTE_USER_DIR");
    struct api_opts opts = {.environment = getenv("SALLYPORT_COMPUTE_ENVIRONMENT")};
    c->api = api_create(&opts, &c->fail.err);
    if (!c->api)
        return -1;
    api_prompt_style(c->api, c->arg && strcmp(c->arg, "seed") == 0);
    if (api_store_open(c->api, base ? base : ".", &c->fail.err) < 0)
        return -1;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verbs[i].verb, verb) == 0 && (c->arg || !verbs[i].wants_arg))
            return verbs[i].run(c);
    return err_set(&c->fail.err, "unknown call %s", verb);
}

int main(int argc, char **argv)
{
    struct call c = {.arg = argc > 3 ? argv[3] : NULL};
    if (argc < 3) {
        fprintf(stderr, "usage: remote FD VERB [ARG]   (run by globus-compute-endpoint)\n");
        return 2;
    }
    int rc = report(atoi(argv[1]), run(&c, argv[2]), &c);
    api_destroy(c.api);
    return rc;
}
