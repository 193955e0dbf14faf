/* See command.h.  The sentences are the original's: administrators search for them. */
#include "manager/listener/command.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/alloc.h"
#include "lib/base/uuid.h"
#include "lib/handover/blob.h"

#define ARG_MAX_BYTES 4096
#define DETAIL_MAX 4096 /* of kwargs in the log */
#define OLD_SDK_BELOW 41000

void command_fault_clear(struct command_fault *f)
{
    buf_free(&f->log);
    buf_free(&f->notice);
}

void command_word(struct buf *out, const char *s)
{
    size_t n = strnlen(s, COMMAND_WORD_MAX + 1);
    size_t end = n > COMMAND_WORD_MAX ? COMMAND_WORD_MAX : n;
    for (size_t i = 0; i < end; i++)
        buf_char(out, iscntrl((unsigned char)s[i]) ? '?' : s[i]);
    if (n > COMMAND_WORD_MAX)
        buf_str(out, "...");
}

/* A value as Python would print it, near enough: text as it is, else JSON. */
static char *as_word(struct json_object *v)
{
    struct buf b = BUF_INIT;
    autobuf struct buf text = BUF_INIT;
    if (json_object_is_type(v, json_type_string)) {
        command_word(&b, json_object_get_string(v));
        return buf_take(&b);
    }
    if (!v)
        return xstrdup("None");
    json_write(&text, v);
    command_word(&b, text.data);
    return buf_take(&b);
}

static const char *text_at(struct json_object *o, const char *key)
{
    struct json_object *v = NULL;
    if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &v) ||
        !json_object_is_type(v, json_type_string))
        return NULL;
    const char *s = json_object_get_string(v);
    return strlen(s) == (size_t)json_object_get_string_len(v) ? s : NULL;
}

static struct json_object *typed_at(struct json_object *o, const char *key, enum json_type type)
{
    struct json_object *v = NULL;
    if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &v) ||
        !json_object_is_type(v, type))
        return NULL;
    return v;
}

static void read_route(struct command *c)
{
    const char *id = text_at(c->amqp_creds, "endpoint_id");
    struct json_object *info = typed_at(c->amqp_creds, "heartbeat_queue_info", json_type_object);
    struct json_object *how = typed_at(info, "queue_publish_kwargs", json_type_object);
    const char *url = text_at(info, "connection_url");
    c->route.exchange = text_at(how, "exchange");
    c->route.routing_key = text_at(how, "routing_key");
    char canonical[UUID_TEXT];
    if (id && uuid_parse(id, canonical))
        c->route.endpoint_id = xstrdup(canonical);
    if (url && c->route.exchange && c->route.routing_key && c->route.endpoint_id)
        c->route.url = url;
}

static void read_correlation(struct command *c, const char *header)
{
    struct buf b = BUF_INIT;
    const char *id = header ? header : text_at(c->kwargs, "request_id");
    if (!id)
        id = c->route.endpoint_id ? c->route.endpoint_id : "-";
    command_word(&b, id);
    c->correlation = buf_take(&b);
}

static void read_fields(struct command *c, const struct command_message *m)
{
    struct json_object *v = NULL;
    json_object_object_get_ex(c->tree, "globus_effective_identity", &v);
    c->identity = as_word(v);
    v = NULL;
    json_object_object_get_ex(c->tree, "globus_username", &v);
    c->username = as_word(v);
    json_object_object_get_ex(c->tree, "globus_identity_set", &c->identities);
    v = NULL;
    json_object_object_get_ex(c->tree, "command", &v);
    c->verb = as_word(v);
    json_object_object_get_ex(c->tree, "args", &c->args);
    c->kwargs = typed_at(c->tree, "kwargs", json_type_object);
    c->name = text_at(c->kwargs, "name");
    c->amqp_creds = typed_at(c->kwargs, "amqp_creds", json_type_object);
    c->user_opts = typed_at(c->kwargs, "user_opts", json_type_object);
    c->user_runtime = typed_at(c->kwargs, "user_runtime", json_type_object);
    read_route(c);
    read_correlation(c, m->request_id);
    c->timestamp = m->timestamp;
}

static struct command *unreadable(struct command_fault *f, const char *type, const char *text)
{
    f->level = LOG_L_ERROR;
    buf_fmt(&f->log, "Unable to deserialize Globus Compute services command.  (%s) %s", type, text);
    return NULL;
}

/* 1234567 -> "1,234,567" */
static void with_commas(struct buf *b, int64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%lld", (long long)(n < 0 ? -n : n));
    if (n < 0)
        buf_char(b, '-');
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            buf_char(b, ',');
        buf_char(b, digits[i]);
    }
}

static void stamp_line(struct buf *b, const char *label, int64_t unix_s)
{
    struct tm tm;
    char text[64] = "?";
    time_t t = (time_t)unix_s;
    if (localtime_r(&t, &tm))
        strftime(text, sizeof(text), "%c", &tm);
    buf_fmt(b, "\n  %s", label);
    with_commas(b, unix_s);
    buf_fmt(b, " (%s)", text);
}

static bool is_in_window(const struct command *c, int64_t now_s, struct command_fault *f)
{
    int64_t d = now_s > c->timestamp ? now_s - c->timestamp : c->timestamp - now_s;
    if (d <= COMMAND_WINDOW_S)
        return true;
    f->level = LOG_L_WARNING;
    buf_str(&f->log, "Ignoring command from server\nCommand too old or skew between system clocks "
                     "is too large.");
    stamp_line(&f->log, "Command timestamp:  ", c->timestamp);
    stamp_line(&f->log, "Endpoint timestamp: ", now_s);
    buf_add(&f->notice, f->log.data, f->log.len);
    return false;
}

static bool has_keys(const struct command *c, struct command_fault *f)
{
    static const char *const keys[] = {"globus_effective_identity", "globus_identity_set",
                                       "globus_username"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (json_object_object_get_ex(c->tree, keys[i], NULL))
            continue;
        f->level = LOG_L_ERROR;
        buf_fmt(&f->log, "Invalid server command.  (KeyError) '%s'", keys[i]);
        buf_add(&f->notice, f->log.data, f->log.len);
        return false;
    }
    return true;
}

struct command *command_read(const struct command_message *m, int64_t now_s,
                             struct command_fault *fault)
{
    struct err err = ERR_INIT;
    if (strcmp(m->content_type, "application/json") != 0)
        return unreadable(fault, "ValueError", "Invalid message type; expecting JSON");
    /* The broker's field has 64 bits; what is no time of this era is no time. */
    if (m->timestamp < 0 || m->timestamp > (int64_t)1 << 40)
        return unreadable(fault, "TypeError", "the message has no timestamp");
    struct json_object *tree = json_read(m->body, m->body_len, COMMAND_SIZE_MAX, "command", &err);
    if (!tree)
        return unreadable(fault, "JSONDecodeError", err.text);
    if (!json_object_is_type(tree, json_type_object)) {
        autofree char *text = xasprintf("command is %s, wanted an object", json_kind(tree));
        json_object_put(tree);
        return unreadable(fault, "AttributeError", text);
    }
    struct command *c = xcalloc(1, sizeof(*c));
    c->refs = 1;
    c->tree = tree;
    read_fields(c, m);
    if (is_in_window(c, now_s, fault))
        has_keys(c, fault);
    return c;
}

int command_check_grant(const struct command *c, const struct command_message *m,
                        const char *public_key, const char *endpoint_id, int64_t now_s,
                        char nonce[GRANT_NONCE_TEXT], struct command_fault *f)
{
    struct err err = ERR_INIT;
    const struct grant wanted = {.endpoint_id = endpoint_id,
                                 .identity = c->identity,
                                 .user_endpoint_id = c->route.endpoint_id,
                                 .body = m->body,
                                 .body_len = m->body_len};
    if (grant_verify(public_key, m->grant, &wanted, now_s, nonce, &err) == 0)
        return 0;
    f->level = LOG_L_WARNING;
    buf_fmt(&f->log,
            "Ignoring command from server\n  This endpoint accepts signed start commands "
            "only: %s",
            err.text);
    command_id_lines(c, &f->log);
    buf_add(&f->notice, f->log.data, f->log.len);
    return -1;
}

struct command *command_keep(struct command *c)
{
    c->refs++;
    return c;
}

void command_drop(struct command *c)
{
    if (!c || --c->refs > 0)
        return;
    json_object_put(c->tree);
    free(c->identity);
    free(c->username);
    free(c->verb);
    free(c->route.endpoint_id);
    free(c->correlation);
    free(c);
}

void command_id_lines(const struct command *c, struct buf *out)
{
    buf_fmt(out, "\n  Globus effective identity: %s\n  Globus username: %s", c->identity,
            c->username);
}

void command_opaque(const char *type, struct buf *out)
{
    buf_fmt(out,
            "(%s) unexpected error; this is due to either an endpoint misconfiguration or a "
            "programming error.  Please contact the administrator of this endpoint.",
            type);
}

static int invalid(struct command_fault *f, const char *what, const char *word)
{
    f->level = LOG_L_ERROR;
    buf_fmt(&f->log, "(InvalidCommandError) %s", what);
    if (word)
        command_word(&f->log, word);
    command_opaque("InvalidCommandError", &f->notice);
    return -1;
}

static void detail(struct buf *b, struct json_object *v)
{
    autobuf struct buf text = BUF_INIT;
    if (!v)
        buf_str(&text, "None");
    else
        json_write_ascii(&text, v);
    autofree char *masked = log_mask(text.data);
    size_t n = strlen(masked);
    buf_add(b, masked, n < DETAIL_MAX ? n : DETAIL_MAX);
    if (n > DETAIL_MAX)
        buf_str(b, "...");
}

void command_general_fault(const struct command *c, const char *why, struct command_fault *f)
{
    f->level = LOG_L_ERROR;
    buf_fmt(&f->log, "Unable to execute command: %s  (%s)\n    args: ", c->verb, why);
    detail(&f->log, c->args);
    buf_str(&f->log, "\n  kwargs: ");
    detail(&f->log, c->kwargs);
    buf_str(&f->notice, "General or unknown failure starting user endpoint");
}

static bool args_are_good(struct json_object *args)
{
    if (!args)
        return true;
    if (!json_object_is_type(args, json_type_array) ||
        json_object_array_length(args) > COMMAND_ARGS_MAX)
        return false;
    for (size_t i = 0; i < json_object_array_length(args); i++) {
        struct json_object *v = json_object_array_get_idx(args, i);
        if (!json_object_is_type(v, json_type_string) ||
            json_object_get_string_len(v) > ARG_MAX_BYTES ||
            strlen(json_object_get_string(v)) != (size_t)json_object_get_string_len(v))
            return false;
    }
    return true;
}

static bool has_name(const struct command *c)
{
    struct json_object *v = NULL;
    if (!c->kwargs || !json_object_object_get_ex(c->kwargs, "name", &v) || !v)
        return false;
    return !json_object_is_type(v, json_type_string) || json_object_get_string_len(v) > 0;
}

int command_check(const struct command *c, struct command_fault *f)
{
    if (strcmp(c->verb, "cmd_start_endpoint") != 0)
        return invalid(f, "Unknown or invalid command: ", c->verb);
    if (!has_name(c))
        return invalid(f, "Missing endpoint name", NULL);
    if (!c->name)
        return invalid(f, "Invalid endpoint name: it is not a plain text", NULL);
    if (!blob_name_is_good(c->name))
        return invalid(f, "Invalid endpoint name: ", c->name);
    if (!args_are_good(c->args))
        return invalid(f, "Invalid endpoint name or arguments: args must be a list of texts", NULL);
    if (!c->amqp_creds) {
        command_general_fault(c, "kwargs.amqp_creds is missing", f);
        return -1;
    }
    return 0;
}

bool command_is_from_old_sdk(const struct command *c)
{
    const char *text = text_at(c->user_runtime, "globus_compute_sdk_version");
    long part[3] = {0};
    if (!text || !isdigit((unsigned char)*text))
        return false;
    for (int i = 0; i < 3; i++) {
        char *end;
        part[i] = strtol(text, &end, 10);
        if (part[i] > 1000)
            part[i] = 1000;
        if (*end != '.' || !isdigit((unsigned char)end[1]))
            break;
        text = end + 1;
    }
    return part[0] * 10000 + part[1] * 100 + part[2] < OLD_SDK_BELOW;
}
