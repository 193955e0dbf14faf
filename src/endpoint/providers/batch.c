/* Submitting and cancelling; asking is in poll.c. */
#include "endpoint/providers/batch.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"

#define ID_MAX 200
#define CANCEL_TRIES 8
#define CANCEL_FIRST_US LOOP_S(5)
#define CANCEL_LAST_US LOOP_S(300)

/* ---- pieces of scripts ----------------------------------------------------------------------- */

void batch_line(struct buf *out, const char *text)
{
    size_t n = strlen(text);
    if (n == 0)
        return;
    buf_add(out, text, n);
    if (text[n - 1] != '\n')
        buf_char(out, '\n');
}

void batch_tail(struct buf *out, struct provider *p, const struct batch_job *j, const char *exports)
{
    buf_char(out, '\n');
    batch_line(out, provider_text(p, "worker_init"));
    buf_str(out, exports);
    buf_fmt(out, "\nexport JOBNAME=\"%s\"\n\n", j->name);
    batch_line(out, j->script);
}

void batch_directive(struct buf *out, const struct provider *p, const char *directive,
                     const char *key)
{
    if (*provider_text(p, key) != '\0')
        buf_fmt(out, "%s%s\n", directive, provider_text(p, key));
}

void batch_number(struct buf *out, struct json_object *value, int factor)
{
    double v = json_object_get_double(value) * factor;
    if (json_object_is_type(value, json_type_int))
        buf_fmt(out, "%.0f", v);
    else
        buf_fmt(out, v == floor(v) && fabs(v) < 1e15 ? "%.1f" : "%.12g", v);
}

bool batch_some_line(const char *answer, struct buf *out, bool last)
{
    bool found = false;
    while (*answer != '\0') {
        size_t n = strcspn(answer, "\n"), from = 0, to = n;
        while (from < to && isspace((unsigned char)answer[from]))
            from++;
        while (to > from && isspace((unsigned char)answer[to - 1]))
            to--;
        if (to > from && (last || !found)) {
            buf_clear(out);
            buf_add(out, answer + from, to - from);
            found = true;
        }
        answer += n + (answer[n] == '\n');
    }
    return found;
}

/* ---- submitting ------------------------------------------------------------------------------ */

struct submission {
    struct provider *p;
    char *job_name, *path, *command;
    submitted_f *cb;
    void *arg;
};

static void submission_free(struct submission *s)
{
    free(s->job_name);
    free(s->path);
    free(s->command);
    free(s);
}

static void submission_end(struct submission *s, const struct submitted *result)
{
    if (result->job_id != NULL)
        log_info("job=%s id=%s event=submitted", s->job_name, result->job_id);
    else
        log_error("%s", result->why);
    s->cb(s->arg, result);
    submission_free(s);
}

/* Ids go into later commands and into file names of people's minds: short and plain. */
static bool is_plain_id(const struct buf *id)
{
    if (id->len == 0 || id->len > ID_MAX || *id->data == '-')
        return false;
    for (size_t i = 0; i < id->len; i++)
        if (!isalnum((unsigned char)id->data[i]) && strchr("._-[]@:+", id->data[i]) == NULL)
            return false;
    return true;
}

static void no_id(struct buf *out, const struct submission *s, const struct answer *a)
{
    buf_fmt(out,
            "Executor %s failed to scale due to: Attempt to provision nodes did not return a job "
            "ID; Submit command '%s' ended with %d, stdout=%.2000s, stderr=%.2000s",
            s->p->label, s->command, a->exit_code, a->out, a->err);
}

/* A submit command that failed on its way to the scheduler or back: the job may be in the queue. */
static bool may_be_taken(const struct answer *a)
{
    static const char *const words[] = {
        "timed out",      "Timed out",
        "timeout",        "onnection reset",
        "Broken pipe",    "Zero Bytes",
        "end of file",    "End of file",
        "End of File",    "Communication failure",
        "Unexpected EOF", "receiving a message",
        "TLS handshake",  "nexpected message",
    };
    if (a->timed_out || a->exit_code <= 0)
        return true;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strstr(a->err, words[i]) != NULL)
            return true;
    return false;
}

static void submitted_cb(void *arg, const struct answer *a)
{
    struct submission *s = arg;
    autobuf struct buf id = BUF_INIT, why = BUF_INIT;
    if (a == NULL) {
        submission_free(s);
        return;
    }
    const struct batch_kind *k = s->p->kind->batch;
    if (a->exit_code == 0 && k->read_id(s->p, a->out, &id) && is_plain_id(&id)) {
        batch_note_submitted(s->p, id.data, s->job_name);
        submission_end(s, &(struct submitted){.job_id = id.data});
        return;
    }
    struct batch_job j = {.name = s->job_name, .path = s->path};
    if (a->timed_out)
        buf_fmt(&why, "Cannot launch job %s: Submit command '%s' gave no answer within %lld s",
                s->job_name, s->command, (long long)provider_int(s->p, "cmd_timeout"));
    else if (k->refusal != NULL)
        k->refusal(&why, s->p, &j, s->command, a);
    else
        no_id(&why, s, a);
    submission_end(s, &(struct submitted){.why = why.data, .maybe = may_be_taken(a)});
}

static void preview(struct provider *p, const char *job_name, const char *script,
                    struct submission_preview *out)
{
    const struct batch_kind *k = p->kind->batch;
    buf_fmt(&out->path, "%s/%s%s", p->script_dir, job_name, p->kind->script);
    struct batch_job j = {.name = job_name, .path = out->path.data, .script = script};
    if (k->second != NULL) {
        buf_fmt(&out->second_path, "%s/%s%s", p->script_dir, job_name, k->second_suffix);
        k->second(&out->second, p, &j);
    }
    k->script(&out->script, p, &j);
    k->submit_command(&out->command, p, &j);
}

static int write_files(const struct submission_preview *s, struct err *err)
{
    if (s->second_path.len > 0 &&
        fs_write(s->second_path.data, s->second.data, s->second.len, 0700, false, err) != 0)
        return -1;
    return fs_write(s->path.data, s->script.data, s->script.len, 0700, false, err);
}

static void submit(struct provider *p, const char *job_name, const char *script, submitted_f *cb,
                   void *arg)
{
    struct err err = ERR_INIT;
    const struct batch_kind *k = p->kind->batch;
    autobuf struct buf input = BUF_INIT;
    struct submission_preview files = {.path = BUF_INIT};
    preview(p, job_name, script, &files);
    int rc = write_files(&files, &err);
    struct submission *s = xcalloc(1, sizeof(*s));
    *s = (struct submission){.p = p,
                             .job_name = xstrdup(job_name),
                             .path = buf_take(&files.path),
                             .command = buf_take(&files.command),
                             .cb = cb,
                             .arg = arg};
    submission_preview_clear(&files);
    if (rc != 0) {
        submission_end(s, &(struct submitted){.why = err.text});
        return;
    }
    struct batch_job j = {.name = s->job_name, .path = s->path, .script = script};
    if (k->submit_input != NULL)
        k->submit_input(&input, p, &j);
    command_run(p, TO_SUBMIT, s->command, input.data, submitted_cb, s);
}

/* ---- cancelling: again and again, with pauses, until the scheduler obeys --------------------- */

struct cancellation {
    struct cancellation *next; /* of the same provider */
    struct provider *p;
    char *command;
    unsigned tries;
    struct loop_timer *timer;
    cancelled_f *cb;
    void *arg;
};

static void cancellation_free(struct cancellation *c)
{
    for (struct cancellation **at = &batch_of(c->p)->cancelling; *at != NULL; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    loop_timer_destroy(c->timer);
    free(c->command);
    free(c);
}

/* Complaints about jobs that have ended in the meantime are as good as obedience. */
static bool only_says_gone(const char *text)
{
    static const char *const words[] = {"Unknown Job",      "unknown job",    "has finished",
                                        "already finished", "Invalid job id", "does not exist",
                                        "not found",        "NotFound",       "find/remove"};
    bool any = false;
    while (*text != '\0') {
        autobuf struct buf line = BUF_INIT;
        size_t n = strcspn(text, "\n");
        bool known = false;
        buf_add(&line, text, n);
        text += n + (text[n] == '\n');
        if (line.len == 0 || strspn(line.data, " \t\r") == line.len)
            continue;
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && !known; i++)
            known = strstr(line.data, words[i]) != NULL;
        if (!known)
            return false;
        any = true;
    }
    return any;
}

static void cancelled_cb(void *arg, const struct answer *a)
{
    struct cancellation *c = arg;
    if (a == NULL) {
        cancellation_free(c);
        return;
    }
    bool gone = a->exit_code == 0 || (a->exit_code > 0 && only_says_gone(a->err));
    if (!gone && ++c->tries < CANCEL_TRIES) {
        log_warning("the scheduler did not cancel (exit %d), trying again: %s: %.300s",
                    a->exit_code, c->command, a->err);
        loop_timer_set(c->timer, backoff_us(c->tries, CANCEL_FIRST_US, CANCEL_LAST_US), 0);
        return;
    }
    if (!gone)
        log_error("giving up after %u tries, the batch job is left behind: %s: %.300s", c->tries,
                  c->command, a->err);
    cancelled_f *cb = c->cb;
    void *to = c->arg;
    cancellation_free(c);
    cb(to, gone);
}

static void again_cb(void *arg)
{
    struct cancellation *c = arg;
    command_run(c->p, TO_CANCEL, c->command, NULL, cancelled_cb, c);
}

static void start_cancellation(struct provider *p, struct buf *command, cancelled_f *cb, void *arg)
{
    struct cancellation *c = xcalloc(1, sizeof(*c));
    *c = (struct cancellation){.p = p, .command = buf_take(command), .cb = cb, .arg = arg};
    c->next = batch_of(p)->cancelling;
    batch_of(p)->cancelling = c;
    c->timer = loop_timer_create(p->loop, again_cb, c);
    again_cb(c);
}

static void cancel(struct provider *p, const char *const *ids, size_t n, cancelled_f *cb, void *arg)
{
    struct buf command = BUF_INIT;
    p->kind->batch->cancel_command(&command, p, ids, n);
    start_cancellation(p, &command, cb, arg);
}

static void cancel_old(struct provider *p, const struct old_job *jobs, size_t n, cancelled_f *cb,
                       void *arg)
{
    struct buf command = BUF_INIT;
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_str(&command, " && ");
        p->kind->batch->cancel_old_command(&command, p, &jobs[i]);
    }
    start_cancellation(p, &command, cb, arg);
}

static void *create(struct provider *p)
{
    struct batch *own = xcalloc(1, sizeof(*own));
    own->seen = map_create();
    return own;
}

static void destroy(struct provider *p)
{
    while (batch_of(p)->cancelling != NULL)
        cancellation_free(batch_of(p)->cancelling);
    batch_forget_submitted(p);
    free(batch_of(p));
}

const struct provider_work batch_work = {
    .create = create,
    .destroy = destroy,
    .preview = preview,
    .submit = submit,
    .poll = batch_poll,
    .cancel = cancel,
    .cancel_old = cancel_old,
};
