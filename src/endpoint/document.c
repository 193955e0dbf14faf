#include "endpoint/document.h"

#include <limits.h>

static int read_fd(struct json_object *o, const char *key, int *out, struct err *err)
{
    int64_t n;
    *out = -1;
    if (json_at(o, key) == NULL)
        return 0;
    if (json_get_int(o, key, &n, err) != 0)
        return -1;
    if (n < 0 || n > INT_MAX)
        return err_set(err, "%s is not a file descriptor: %lld", key, (long long)n);
    *out = n == 0 ? -1 : (int)n; /* 0 is this document itself: "none" */
    return 0;
}

static int read_members(struct document *d, struct err *err)
{
    struct json_object *o = d->tree;
    if (json_get_obj(o, "ep_info", &d->ep_info, err) != 0 ||
        json_get_str(o, "config", &d->config, err) != 0 ||
        read_fd(o, "mem_fd", &d->mem_fd, err) != 0 ||
        read_fd(o, "audit_fd", &d->audit_fd, err) != 0)
        return -1;
    if (json_at(o, "amqp_creds") != NULL && json_get_obj(o, "amqp_creds", &d->creds, err) != 0)
        return -1;
    if (json_at(o, "enckey") != NULL && json_get_str(o, "enckey", &d->enckey, err) != 0)
        return -1;
    if (json_at(o, "survives_manager") != NULL &&
        json_get_bool(o, "survives_manager", &d->survives_manager, err) != 0)
        return -1;
    d->has_allowed = json_object_object_get_ex(o, "allowed_functions", &d->allowed);
    if (d->allowed != NULL && json_get_list(o, "allowed_functions", &d->allowed, err) != 0)
        return -1;
    return 0;
}

int document_read(const char *text, size_t n, struct document *out, struct err *err)
{
    *out = (struct document){.mem_fd = -1, .audit_fd = -1};
    out->tree = json_read(text, n, DOCUMENT_MAX, "the document on standard input", err);
    if (out->tree == NULL)
        return -1;
    if (!json_object_is_type(out->tree, json_type_object))
        err_set(err, "the document on standard input is %s, not an object", json_kind(out->tree));
    else if (read_members(out, err) == 0)
        return 0;
    document_clear(out);
    return -1;
}

void document_clear(struct document *d)
{
    json_object_put(d->tree);
    *d = (struct document){.mem_fd = -1, .audit_fd = -1};
}
