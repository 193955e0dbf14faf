/* What one delivery means (spec: user-endpoint.md section 7), without any doing.
 *
 * The body is not looked into: it goes to the worker as it came, and the worker says what is wrong
 * with it. */
#ifndef SALLYPORT_ENDPOINT_INTAKE_H
#define SALLYPORT_ENDPOINT_INTAKE_H

#include "endpoint/task.h"
#include "lib/base/err.h"

enum intake_verdict {
    INTAKE_TASK,   /* *task is new and has taken the message */
    INTAKE_FAIL,   /* id is known: answer "Failed to start task: <err>", then acknowledge */
    INTAKE_REJECT, /* nobody to answer: log and reject */
};

/* The headers as they came; NULL = absent. */
struct intake_headers {
    const char *task_id, *function_id, *resource_specification;
};

/* The decision alone, for tests: id and function_id are filled with canonical text, *spec with a
 * new object or NULL. */
enum intake_verdict intake_judge(const struct intake_headers *h, char id[UUID_TEXT],
                                 char function_id[UUID_TEXT], struct json_object **spec,
                                 struct err *err);
/* id is "" after INTAKE_REJECT.  The message stays the caller's unless the verdict is INTAKE_TASK.
 */
enum intake_verdict intake_read(struct amqp_message *m, struct task **task, char id[UUID_TEXT],
                                struct err *err);

#endif
