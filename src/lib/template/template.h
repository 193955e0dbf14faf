/* Jinja2 templates, rendered by the Rust crate in rust/ (minijinja) behind this header.
 *
 * The engine is strict about undefined names, counts its steps (fuel), caps its output, opens no
 * file but those below `dir`, and can't take the process down: a panic is an error like any other.
 * Only processes that have no privilege left call it. */
#ifndef SALLYPORT_TEMPLATE_TEMPLATE_H
#define SALLYPORT_TEMPLATE_TEMPLATE_H

#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"

#define TEMPLATE_SIZE_MAX (1u << 20) /* bytes of a template, and of each that it includes */
#define TEMPLATE_OUTPUT_MAX (8u << 20)

struct template_input {
    const char *name; /* shown in errors */
    const char *text;
    size_t len;
    const char *dir;             /* where include, import and extends look; NULL: they fail */
    struct json_object *context; /* variables: an object; {"!float": "inf"} is a float */
    struct json_object *watched; /* list of variable names whose use is reported, or NULL */
};

struct template_error {
    char kind[32]; /* undefined security syntax template-not-found type arithmetic limit internal */
    char *message; /* one sentence in Jinja2's words, never with values */
    char *name;    /* template that it happened in, or NULL */
    int line;      /* 0 = unknown */
};

/* 0 with the text appended to out; -1 with the error filled.  used (may be NULL) gets the list of
 * the watched names that were looked into. */
int template_render(const struct template_input *in, struct buf *out, struct json_object **used,
                    struct template_error *err);
/* Names that the template reads and does not set itself, "a.b" for a known attribute; a list. */
struct json_object *template_variables(const struct template_input *in, struct template_error *err);
void template_error_free(struct template_error *err);

#endif
