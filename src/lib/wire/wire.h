/* Message bodies between service, manager and user endpoint.
 *
 * body = byte 0x01, then UTF-8 JSON {"message_type":TYPE,"data":{...}} (spec: amqp.md section 4).
 * Bodies are written as text straight into a buffer, and read by walking over them: a result's
 * value of 10 MB is found, not decoded.  Unknown fields are ignored, missing ones are errors. */
#ifndef SALLYPORT_WIRE_H
#define SALLYPORT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/uuid.h"

#define WIRE_VERSION 0x01
/* Largest value of a result, in characters of the serialised text. */
#define WIRE_RESULT_MAX (10u << 20)

/* A piece of the body, as JSON text: strings with their quotes.  p is NULL when the member is
 * absent; a JSON null is the four characters. */
struct wire_span {
    const char *p;
    size_t n;
};
bool wire_span_is_null(struct wire_span s); /* absent or null */
/* Decodes a JSON string and appends it; -1 when the span is not a string. */
int wire_span_string(struct wire_span s, struct buf *out, struct err *err);
/* Parses the span; NULL with err.  (An absent or null span gives NULL with err->text empty.) */
struct json_object *wire_span_json(struct wire_span s, const char *what, struct err *err);

/* The envelope: its type (cut at 63 characters) and the span of its data object. */
struct wire_message {
    char type[64];
    struct wire_span data;
};
int wire_open(const void *body, size_t n, struct wire_message *out, struct err *err);

/* Task: service -> user endpoint. */
void wire_pack_task(struct buf *out, const char *task_id, const char *task_buffer, size_t n);

/* Result: user endpoint -> service -> SDK. */
struct wire_result {
    char task_id[UUID_TEXT];        /* canonical */
    struct wire_span data;          /* a JSON string */
    struct wire_span details;       /* object or null */
    struct wire_span error_details; /* object or null */
    struct wire_span task_statuses; /* list or null */
    bool is_error;                  /* error_details is an object */
};
/* Spans point into body. */
int wire_read_result(const void *body, size_t n, struct wire_result *out, struct err *err);

/* A failed result written by one of our processes. */
struct wire_failure {
    const char *task_id;
    const char *text;            /* "data": what the user reads */
    const char *code;            /* e.g. WIRE_CODE_REMOTE */
    const char *user_message;    /* NULL = that of WIRE_CODE_REMOTE */
    struct json_object *details; /* NULL = null */
    const char *statuses;        /* JSON text of task_statuses; NULL = null */
};
#define WIRE_CODE_REMOTE "RemoteExecutionError"
#define WIRE_CODE_NOT_ALLOWED "FUNCTION_NOT_ALLOWED"
#define WIRE_CODE_TOO_LARGE "MaxResultSizeExceeded"
#define WIRE_CODE_COULD_NOT "CouldNotExecuteUserTaskError"
void wire_pack_failure(struct buf *out, const struct wire_failure *f);
/* One transition {"timestamp":ns,"state":state,"actor":actor} as JSON text, for lists of them. */
void wire_add_transition(struct buf *out, int64_t unix_ns, const char *state, const char *actor);

/* Status report: user endpoint or manager -> service.  task_statuses NULL = {}. */
void wire_pack_status(struct buf *out, const char *endpoint_id, struct json_object *global_state,
                      struct json_object *task_statuses);
/* Same, global_state {"error": text, "heartbeat_period": 3}: a user endpoint that did not start. */
void wire_pack_start_failure(struct buf *out, const char *endpoint_id, const char *text);
struct wire_status {
    char endpoint_id[UUID_TEXT];
    struct json_object *global_state;  /* never NULL on success */
    struct json_object *task_statuses; /* may be NULL */
};
int wire_read_status(const void *body, size_t n, struct wire_status *out, struct err *err);
void wire_status_clear(struct wire_status *s);

#endif
