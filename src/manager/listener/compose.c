/* See compose.h. */
#include "manager/listener/compose.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/fernet/fernet.h"
#include "lib/handover/blob.h"
#include "manager/table.h"

static void wipe(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    buf_free(b);
}

int compose_credentials(const char *key, struct json_object *amqp_creds, struct err *err)
{
    struct buf clear = BUF_INIT, token = BUF_INIT;
    int fd = -1;
    autojson struct json_object *doc = json_object_new_object();
    json_add(doc, "amqp_creds", json_object_get(amqp_creds));
    json_write_ascii(&clear, doc);
    if (fernet_encrypt(key, clear.data, clear.len, &token, err) == 0) {
        if (token.len > TABLE_CREDENTIALS_MAX)
            err_set(err, "amqp_creds are larger than the %u bytes that are accepted",
                    TABLE_CREDENTIALS_MAX);
        else
            fd = fs_memfd("credentials", token.data, token.len, true, err);
    }
    wipe(&clear);
    wipe(&token);
    return fd;
}

static struct json_object *compose_argv(const struct command *c)
{
    bool old = command_is_from_old_sdk(c);
    struct json_object *argv = json_object_new_array();
    const char *const head[] = {"globus-compute-endpoint", old ? "start" : "_start-user-endpoint",
                                c->name};
    for (size_t i = 0; i < 3; i++)
        json_object_array_add(argv, json_object_new_string(head[i]));
    for (size_t i = 0; c->args && i < json_object_array_length(c->args); i++)
        json_object_array_add(argv, json_object_get(json_object_array_get_idx(c->args, i)));
    if (old)
        json_object_array_add(argv, json_object_new_string("--die-with-parent"));
    return argv;
}

void compose_command_line(const struct command *c, char *out, size_t n)
{
    autojson struct json_object *argv = compose_argv(c);
    autobuf struct buf b = BUF_INIT;
    for (size_t i = 0; i < json_object_array_length(argv); i++) {
        buf_str(&b, i ? " " : "");
        command_word(&b, json_object_get_string(json_object_array_get_idx(argv, i)));
    }
    snprintf(out, n, "%s", b.data);
}

static void add_if(struct json_object *o, const char *key, struct json_object *value)
{
    if (value)
        json_add(o, key, json_object_get(value));
}

static struct json_object *ep_info(const struct compose_person *p)
{
    struct json_object *info = json_object_new_object();
    if (!p->candidates)
        return info;
    json_add(info, "globus_candidate_identities", json_object_get(p->candidates));
    json_add_str(info, "globus_matched_identity", p->matched_identity);
    return info;
}

static struct json_object *document(const struct site *s, const struct command *c,
                                    const struct compose_person *p)
{
    const struct config *config = s->config;
    struct json_object *o = json_object_new_object();
    json_add_str(o, "name", c->name);
    json_add(o, "argv", compose_argv(c));
    json_add_str(o, "account", p->account);
    json_add(o, "amqp_creds", json_object_get(c->amqp_creds));
    json_add_str(o, "enckey", p->key);
    json_add(o, "ep_info", ep_info(p));
    if (p->matched_identity)
        json_add_str(o, "globus_id", p->matched_identity);
    add_if(o, "user_opts", c->user_opts);
    add_if(o, "user_runtime", c->user_runtime);
    add_if(o, "allowed_functions", config->allowed_functions);
    add_if(o, "parent_config", s->parent_config);
    json_add_str(o, "parent_config_source", config->source);
    if (s->template_path)
        json_add_str(o, "template_path", s->template_path);
    if (config->user_endpoint_executable)
        json_add_str(o, "user_endpoint_executable", config->user_endpoint_executable);
    json_add_bool(o, "seed_style", config->seed_style);
    json_add_bool(o, "high_assurance", config->high_assurance);
    json_add_bool(o, "privileged", s->privileged);
    json_add_bool(o, "audit", config->audit_log_path != NULL);
    json_add_bool(o, "survives_manager", config->survives_manager);
    json_add_bool(o, "pam_environment", config->pam_enable && config->pam_environment);
    json_add_str(o, "correlation_id", c->correlation);
    return o;
}

int compose_blob(const struct site *s, const struct command *c, const struct compose_person *p,
                 struct err *err)
{
    struct buf text = BUF_INIT;
    int fd = -1;
    autojson struct json_object *o = document(s, c, p);
    json_write(&text, o);
    if (text.len > TABLE_BLOB_MAX)
        err_set(err, "the start request is larger than the %u bytes that are accepted",
                TABLE_BLOB_MAX);
    else
        fd = fs_memfd("start request", text.data, text.len, true, err);
    wipe(&text);
    return fd;
}
