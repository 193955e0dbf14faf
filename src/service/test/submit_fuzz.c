/* Bodies of submits, both forms, through the code that checks them; the rest is pretended. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/api/submit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct json_object *body;
static bool refused;

struct json_object *call_json(struct call *c)
{
    (void)c;
    return body;
}

void call_error(struct call *c, int status, const char *code, const char *fmt, ...)
{
    char text[4096];
    va_list ap;
    (void)c;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (refused || status < 400 || status > 499 || !code[0])
        abort();
    refused = true;
}

/* Of submit_v2.c. */
void call_begin(struct req *r, call_f *then)
{
    struct call *c = calloc(1, sizeof(*c));
    (void)r;
    then(c);
    c->free_state(c->state);
    free(c);
}

void submit_go(struct call *c)
{
    struct submit *s = c->state;
    if (refused || s->n_tasks == 0)
        abort();
}

void submit_free(void *arg)
{
    struct submit *s = arg;
    free(s->functions);
    free(s->tasks);
    free(s->opts);
    free(s);
}

void reply_json(struct req *r, int status, struct json_object *o)
{
    (void)r;
    (void)status;
    json_object_put(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct submit *s = calloc(1, sizeof(*s));
    body = json_read((const char *)data, size, 1 << 20, "body", NULL);
    refused = false;
    if (json_object_is_type(body, json_type_object)) {
        bool ok = submit_read(NULL, s);
        if (ok == refused)
            abort();
        refused = false;
        on_submit_v2(NULL);
    }
    submit_free(s);
    json_object_put(body);
    return 0;
}
