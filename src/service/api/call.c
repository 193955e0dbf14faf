/* One request on its way: who asks, what was found, how it ends. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "service/api/private.h"

bool caller_is(const struct caller *who, const char *identity)
{
    if (strcmp(who->sub, identity) == 0)
        return true;
    size_t n = who->identity_set ? json_object_array_length(who->identity_set) : 0;
    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_array_get_idx(who->identity_set, i);
        const char *sub = json_str_or(o, "sub", NULL);
        if (sub && strcmp(sub, identity) == 0)
            return true;
    }
    return false;
}

static void call_free(void *arg)
{
    struct call *c = arg;
    if (c->free_state)
        c->free_state(c->state);
    free(c->caller.username);
    json_object_put(c->caller.identity_set);
    json_object_put(c->caller.session);
    free(c->message);
    free(c);
}

void call_end(struct call *c)
{
    req_unref(c->req);
    call_free(c);
}

void call_reply(struct call *c, int status, struct json_object *body)
{
    reply_json(c->req, status, body);
    call_end(c);
}

static void send_retry(struct call *c)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", c->retry_s ? c->retry_s : 1);
    reply_header(c->req, "Retry-After", text);
}

static void send_error(struct call *c)
{
    if (c->status == 429 || c->status == 503)
        send_retry(c);
    reply_error(c->req, c->status, c->code, "%s", c->message);
    call_end(c);
}

static void set_error(struct call *c, int status, const char *code, const char *fmt, va_list ap)
{
    free(c->message);
    c->message = NULL;
    if (vasprintf(&c->message, fmt, ap) < 0)
        abort();
    c->status = status;
    c->code = code;
}

void call_error(struct call *c, int status, const char *code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_error(c, status, code, fmt, ap);
    va_end(ap);
    send_error(c);
}

void call_no_broker(struct call *c, const struct err *err)
{
    static struct log_rate rate = LOG_RATE(5, 60);
    if (log_rate_ok(&rate))
        log_warning("request=%s event=no-broker: %s", req_id(c->req), err->text);
    call_error(c, 503, "BROKER_UNAVAILABLE",
               "The service can't reach its message broker at the moment; please try again");
}

void call_limited(struct call *c, const char *what, unsigned wait_s)
{
    c->api->counters.limited++;
    c->retry_s = wait_s;
    call_error(c, 429, "RATE_LIMIT_EXCEEDED", "There are too many %s of yours; please wait %u s",
               what, wait_s);
}

int call_refuse(struct call *c, int status, const char *code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_error(c, status, code, fmt, ap);
    va_end(ap);
    return 0;
}

static void job_done(void *arg, int rc, const struct err *err)
{
    static struct log_rate rate = LOG_RATE(10, 60);
    struct call *c = arg;
    if (rc < 0) {
        if (log_rate_ok(&rate))
            log_error("request=%s %s %s: %s", req_id(c->req), req_method(c->req), req_path(c->req),
                      err->text);
        if (err->code == ENOSPC)
            call_error(c, 503, "STORAGE_FULL",
                       "The service's disk is full; nothing was accepted; please try again when "
                       "its administrator has made room");
        else
            call_error(c, 503, "LEDGER_UNAVAILABLE",
                       "The service can't reach its ledger at the moment; please try again");
    } else if (c->status) {
        send_error(c);
    } else {
        c->next(c);
    }
}

void call_job(struct call *c, bool write, store_job_f *job, call_f *next)
{
    c->next = next;
    c->status = 0;
    if (write)
        store_write(c->api->store, job, job_done, c);
    else
        store_read(c->api->store, job, job_done, c);
}

bool call_id(struct call *c, char out[UUID_TEXT])
{
    const char *id = req_param(c->req, "id");
    if (id && uuid_parse(id, out))
        return true;
    call_error(c, 400, "INVALID_UUID", "%.60s is not a UUID", id ? id : "");
    return false;
}

struct json_object *call_json(struct call *c)
{
    struct json_object *o = req_json(c->req);
    if (!o)
        call_end(c);
    return o;
}

/* The token is good: from here on the call lives by itself. */
static void admitted(struct req *r, const struct auth_who *who)
{
    struct call *c = req_data(r);
    call_f *then = c->next;
    struct call *own = xmemdup(c, sizeof(*c));
    req_set_data(r, NULL, NULL);
    own->req = req_ref(r);
    strcpy(own->caller.sub, who->sub);
    own->caller.username = xstrdup(who->username);
    own->caller.identity_set = json_object_get(who->identity_set);
    own->caller.session = json_object_get(who->session);
    own->caller.is_admin = who->is_admin;
    unsigned wait = limits_take(own->api->limits, who->sub, false, 1);
    if (wait) {
        call_limited(own, "requests", wait);
        return;
    }
    then(own);
}

void call_begin(struct req *r, call_f *then)
{
    struct call *c = xcalloc(1, sizeof(*c));
    c->api = req_arg(r);
    c->next = then;
    req_set_data(r, c, call_free);
    auth_compute(c->api->auth, r, admitted);
}
