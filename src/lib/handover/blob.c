/* See blob.h. */
#include "lib/handover/blob.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"

bool blob_name_is_good(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-";
    size_t n = strlen(name);
    return n > 0 && n <= BLOB_NAME_MAX && name[0] != '-' && name[0] != '.' &&
           strspn(name, good) == n;
}

/* The member, NULL when absent; -1 when it is of another type. */
static int member(struct blob *b, const char *key, json_type type, struct json_object **out,
                  struct err *err)
{
    struct json_object *o = NULL;
    *out = NULL;
    if (!json_object_object_get_ex(b->tree, key, &o) || o == NULL)
        return 0;
    if (!json_object_is_type(o, type))
        return err_set(err, "start request: %s is %s", key, json_kind(o));
    *out = o;
    return 0;
}

static int text(struct blob *b, const char *key, const char **out, struct err *err)
{
    struct json_object *o;
    *out = NULL;
    if (member(b, key, json_type_string, &o, err) < 0)
        return -1;
    if (o == NULL)
        return 0;
    *out = json_object_get_string(o);
    if (strlen(*out) != (size_t)json_object_get_string_len(o))
        return err_set(err, "start request: %s contains a NUL character", key);
    return 0;
}

static int flag(struct blob *b, const char *key, bool *out, struct err *err)
{
    struct json_object *o;
    if (member(b, key, json_type_boolean, &o, err) < 0)
        return -1;
    *out = o != NULL && json_object_get_boolean(o);
    return 0;
}

static int arguments(struct blob *b, struct err *err)
{
    struct json_object *list;
    if (json_get_list(b->tree, "argv", &list, err) < 0)
        return -1;
    b->argc = json_object_array_length(list);
    if (b->argc == 0 || b->argc > BLOB_ARGS_MAX)
        return err_set(err, "start request: argv has %zu members; 1 to %d are accepted", b->argc,
                       BLOB_ARGS_MAX);
    b->argv = xcalloc(b->argc + 1, sizeof(*b->argv));
    for (size_t i = 0; i < b->argc; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        if (!json_object_is_type(o, json_type_string) ||
            strlen(json_object_get_string(o)) != (size_t)json_object_get_string_len(o))
            return err_set(err, "start request: argument %zu is not a text without NUL", i);
        b->argv[i] = json_object_get_string(o);
    }
    return 0;
}

static int mask(struct blob *b, struct err *err)
{
    struct json_object *o;
    b->umask = 077;
    if (member(b, "umask", json_type_int, &o, err) < 0)
        return -1;
    if (o == NULL)
        return 0;
    int64_t value = json_object_get_int64(o);
    if (value < 0 || value > 0777)
        return err_set(err, "start request: umask is out of range");
    b->umask = (mode_t)value;
    return 0;
}

static int fill(struct blob *b, struct err *err)
{
    if (json_get_str(b->tree, "name", &b->name, err) < 0 || arguments(b, err) < 0 ||
        json_get_obj(b->tree, "amqp_creds", &b->amqp_creds, err) < 0 ||
        json_get_str(b->tree, "account", &b->account, err) < 0 ||
        json_get_str(b->tree, "enckey", &b->enckey, err) < 0)
        return err_prefix(err, "start request");
    if (!blob_name_is_good(b->name))
        return err_set(err, "start request: Invalid endpoint name");
    if (member(b, "ep_info", json_type_object, &b->ep_info, err) < 0 ||
        member(b, "user_opts", json_type_object, &b->user_opts, err) < 0 ||
        member(b, "user_runtime", json_type_object, &b->user_runtime, err) < 0 ||
        member(b, "allowed_functions", json_type_array, &b->allowed_functions, err) < 0 ||
        member(b, "parent_config", json_type_object, &b->parent_config, err) < 0)
        return -1;
    if (text(b, "globus_id", &b->globus_id, err) < 0 ||
        text(b, "parent_config_source", &b->parent_config_source, err) < 0 ||
        text(b, "template_path", &b->template_path, err) < 0 ||
        text(b, "user_endpoint_executable", &b->user_endpoint_executable, err) < 0 ||
        text(b, "correlation_id", &b->correlation_id, err) < 0)
        return -1;
    if (flag(b, "seed_style", &b->seed_style, err) < 0 ||
        flag(b, "high_assurance", &b->high_assurance, err) < 0 ||
        flag(b, "privileged", &b->privileged, err) < 0 || flag(b, "audit", &b->audit, err) < 0 ||
        flag(b, "survives_manager", &b->survives_manager, err) < 0 ||
        flag(b, "pam_environment", &b->pam_environment, err) < 0)
        return -1;
    return mask(b, err);
}

struct blob *blob_parse(const char *in, size_t len, struct err *err)
{
    struct blob *b = xcalloc(1, sizeof(*b));
    b->tree = json_read(in, len, BLOB_SIZE_MAX, "start request", err);
    if (b->tree != NULL && !json_object_is_type(b->tree, json_type_object))
        err_set(err, "start request: it is %s, not an object", json_kind(b->tree));
    else if (b->tree != NULL && fill(b, err) == 0)
        return b;
    blob_free(b);
    return NULL;
}

struct blob *blob_read(int fd, struct err *err)
{
    struct buf bytes = BUF_INIT;
    struct blob *b = NULL;
    if (lseek(fd, 0, SEEK_SET) < 0)
        err_errno(err, "start request");
    else if (fs_read_fd(fd, BLOB_SIZE_MAX, "start request", &bytes, err) == 0)
        b = blob_parse(bytes.data != NULL ? bytes.data : "", bytes.len, err);
    if (bytes.data != NULL)
        explicit_bzero(bytes.data, bytes.cap);
    buf_free(&bytes);
    return b;
}

void blob_free(struct blob *b)
{
    if (b == NULL)
        return;
    json_object_put(b->tree);
    free(b->argv);
    free(b);
}
