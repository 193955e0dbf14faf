#include "endpoint/failure.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/wire/wire.h"

#define TEXT_MAX (1u << 20)

static void frame(struct buf *out, char sign)
{
    for (int i = 0; i < 68; i++)
        buf_char(out, sign);
}

/* A long text is cut in the middle: its last line counts. */
static void add_traceback(struct buf *out, const char *text)
{
    size_t n = strlen(text);
    buf_str(out, "Traceback (most recent call last):\n");
    if (n <= TEXT_MAX)
        buf_str(out, text);
    else
        buf_fmt(out, "%.*s\n...\n%s", (int)(TEXT_MAX / 2), text, text + n - TEXT_MAX / 2);
    if (n == 0 || text[n - 1] != '\n')
        buf_char(out, '\n');
}

void failure_add(struct failure *f, const char *text)
{
    if (f->count >= FAILURE_ATTEMPTS_MAX) { /* the first ones say enough */
        free(f->attempts[--f->count]);
    }
    f->attempts = xrealloc(f->attempts, (f->count + 1) * sizeof(*f->attempts));
    f->attempts[f->count++] = xstrdup(text);
}

void failure_clear(struct failure *f)
{
    for (unsigned i = 0; i < f->count; i++)
        free(f->attempts[i]);
    free(f->attempts);
    *f = (struct failure){NULL, 0};
}

static void add_attempt(struct buf *out, const struct failure *f, unsigned i)
{
    if (i > 0)
        buf_char(out, '\n');
    frame(out, '+');
    buf_char(out, '\n');
    if (f->count > 1 && i + 1 < f->count)
        buf_fmt(out, "Traceback from attempt: %u\n", i);
    else if (f->count > 1)
        buf_str(out, "Traceback from attempt: final attempt\n");
    add_traceback(out, f->attempts[i]);
    frame(out, '-');
}

void failure_pack(struct buf *out, const char *task_id, const struct failure *f, int64_t began_ns)
{
    autobuf struct buf text = BUF_INIT, states = BUF_INIT;
    for (unsigned i = 0; i < f->count; i++)
        add_attempt(&text, f, i);
    buf_char(&states, '[');
    wire_add_transition(&states, began_ns, "waiting-for-launch", "interchange");
    buf_char(&states, ',');
    wire_add_transition(&states, clock_unix_ns(), "execution-end", "interchange");
    buf_char(&states, ']');
    wire_pack_failure(out, &(struct wire_failure){.task_id = task_id,
                                                  .text = text.data != NULL ? text.data : "",
                                                  .code = WIRE_CODE_REMOTE,
                                                  .statuses = states.data});
}

void failure_pack_refused(struct buf *out, const char *task_id, const char *text)
{
    autofree char *said = xasprintf("Failed to start task: %s", text);
    wire_pack_failure(
        out, &(struct wire_failure){
                 .task_id = task_id, .text = said, .code = WIRE_CODE_REMOTE, .statuses = "[]"});
}

void failure_pack_forbidden(struct buf *out, const char *task_id, const char *function_id,
                            const char *endpoint_id)
{
    autojson struct json_object *details = json_object_new_object();
    autofree char *said =
        xasprintf("Function %s not permitted on endpoint %s", function_id, endpoint_id);
    json_add_str(details, "fid", function_id);
    json_add_str(details, "eid", endpoint_id);
    wire_pack_failure(out, &(struct wire_failure){.task_id = task_id,
                                                  .text = said,
                                                  .code = WIRE_CODE_NOT_ALLOWED,
                                                  .user_message = said,
                                                  .details = details});
}
