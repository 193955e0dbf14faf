/* See template.h. */
#include "lib/template/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/template/rust.h"

static struct rust_text text_of(const char *s)
{
    return (struct rust_text){.data = (const uint8_t *)s, .len = s != NULL ? strlen(s) : 0};
}

static struct rust_text bytes_of(const struct buf *b)
{
    return (struct rust_text){.data = (const uint8_t *)b->data, .len = b->len};
}

static int fail(struct template_error *err, const char *kind, const char *message)
{
    snprintf(err->kind, sizeof(err->kind), "%s", kind);
    err->message = xstrdup(message);
    return -1;
}

static struct json_object *read_back(const struct rust_bytes *b)
{
    return json_read((const char *)b->data, b->len, b->len + 1, "the template engine", NULL);
}

static int fail_with(struct template_error *err, const struct rust_bytes *failure)
{
    autojson struct json_object *o = failure->data != NULL ? read_back(failure) : NULL;
    fail(err, json_str_or(o, "kind", "internal"),
         json_str_or(o, "message", "the template engine gave no reason"));
    int64_t line = 0;
    if (o != NULL && json_get_int(o, "line", &line, NULL) == 0)
        err->line = (int)line;
    err->name = xstrdup(json_str_or(o, "name", NULL));
    return -1;
}

/* Fills the request but for its JSON; -1 when the template is too large. */
static int begin(const struct template_input *in, struct rust_request *r,
                 struct template_error *err)
{
    memset(err, 0, sizeof(*err));
    if (in->len > TEMPLATE_SIZE_MAX) {
        autofree char *message = xasprintf("the template has %zu bytes; at most %u are accepted",
                                           in->len, TEMPLATE_SIZE_MAX);
        return fail(err, "limit", message);
    }
    *r = (struct rust_request){
        .name = text_of(in->name),
        .text = {.data = (const uint8_t *)in->text, .len = in->len},
        .dir = text_of(in->dir),
        .size_max = TEMPLATE_SIZE_MAX,
        .output_max = TEMPLATE_OUTPUT_MAX,
    };
    return 0;
}

int template_render(const struct template_input *in, struct buf *out, struct json_object **used,
                    struct template_error *err)
{
    autobuf struct buf context = BUF_INIT;
    autobuf struct buf watched = BUF_INIT;
    struct rust_bytes text = {0}, names = {0}, failure = {0};
    struct rust_request r;

    if (used != NULL)
        *used = NULL;
    if (begin(in, &r, err) < 0)
        return -1;
    if (in->context != NULL) {
        json_write(&context, in->context);
        r.context = bytes_of(&context);
    }
    if (in->watched != NULL) {
        json_write(&watched, in->watched);
        r.watched = bytes_of(&watched);
    }
    int rc = sallyport_template_render(&r, &text, &names, &failure);
    if (rc == 0) {
        buf_add(out, text.data, text.len);
        if (used != NULL)
            *used = read_back(&names);
    } else {
        fail_with(err, &failure);
    }
    sallyport_bytes_free(&text);
    sallyport_bytes_free(&names);
    sallyport_bytes_free(&failure);
    return rc;
}

struct json_object *template_variables(const struct template_input *in, struct template_error *err)
{
    struct rust_bytes names = {0}, failure = {0};
    struct json_object *list = NULL;
    struct rust_request r;

    if (begin(in, &r, err) < 0)
        return NULL;
    if (sallyport_template_variables(&r, &names, &failure) == 0)
        list = read_back(&names);
    else
        fail_with(err, &failure);
    sallyport_bytes_free(&names);
    sallyport_bytes_free(&failure);
    return list;
}

void template_error_free(struct template_error *err)
{
    free(err->message);
    free(err->name);
    memset(err, 0, sizeof(*err));
}
