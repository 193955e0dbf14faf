/* The functions of the crate in rust/ (rust/src/lib.rs), for lib/template and lib/schema only.
 *
 * Bytes that come out belong to the crate: sallyport_bytes_free(). */
#ifndef SALLYPORT_TEMPLATE_RUST_H
#define SALLYPORT_TEMPLATE_RUST_H

#include <stddef.h>
#include <stdint.h>

struct rust_bytes {
    uint8_t *data;
    size_t len;
    size_t cap;
};

struct rust_text {
    const uint8_t *data; /* NULL = absent */
    size_t len;
};

struct rust_request {
    struct rust_text name;
    struct rust_text text;
    struct rust_text dir;
    struct rust_text context; /* JSON */
    struct rust_text watched; /* JSON */
    size_t size_max;
    size_t output_max;
};

/* 0 with text and used (JSON list), or -1 with failure: {"kind","message","name","line"}. */
int sallyport_template_render(const struct rust_request *request, struct rust_bytes *text,
                              struct rust_bytes *used, struct rust_bytes *failure);
int sallyport_template_variables(const struct rust_request *request, struct rust_bytes *names,
                                 struct rust_bytes *failure);
int sallyport_schema_check(const struct rust_text *schema, const struct rust_text *instance,
                           struct rust_bytes *failure);
void sallyport_bytes_free(struct rust_bytes *b);

#endif
