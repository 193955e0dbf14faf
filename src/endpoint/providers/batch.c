#include "endpoint/providers/batch.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/spawn.h"

/* ---- words of scripts and commands ----------------------------------------------------------- */

void batch_line(struct buf *out, const char *text)
{
    size_t n = strlen(text);
    if (n == 0)
        return;
    buf_add(out, text, n);
    if (text[n - 1] != '\n')
        buf_char(out, '\n');
}

void batch_ids(struct buf *out, const char *const *ids, size_t n, const char *between)
{
    for (size_t i = 0; i < n; i++)
        buf_fmt(out, "%s%s", i > 0 ? between : "", ids[i]);
}

bool batch_first_line(const char *answer, struct buf *out, bool last)
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

static struct spawn *run(struct provider *p, const char *command, spawn_f *cb, void *arg,
                         struct err *err)
{
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    log_debug("running: %s", command);
    return spawn_start(
        p->loop,
        &(struct spawn_opts){.argv = argv,
                             .output_max = 8 << 20,
                             .timeout_us = LOOP_S((uint64_t)provider_int(p, "cmd_timeout"))},
        cb, arg, err);
}

/* ---- submitting ------------------------------------------------------------------------------ */

struct submission {
    struct provider *p;
    const struct batch_kind *k;
    char *job_name, *command;
    submitted_f *cb;
    void *arg;
};

static void submission_end(struct submission *s, const char *id, const char *why)
{
    if (id == NULL)
        log_error("%s", why);
    s->cb(s->arg, id, why);
    free(s->job_name);
    free(s->command);
    free(s);
}

static void submitted_cb(void *arg, const struct spawn_result *r)
{
    struct submission *s = arg;
    autobuf struct buf id = BUF_INIT;
    if (r->exit_code == 0 && s->k->read_id(s->p, r->out, &id) && id.len > 0 && id.len < 200 &&
        strpbrk(id.data, " \t'\"`$;|&<>(){}\\") == NULL) {
        log_info("job=%s id=%s event=submitted", s->job_name, id.data);
        submission_end(s, id.data, NULL);
        return;
    }
    autofree char *why =
        r->timed_out
            ? xasprintf("Cannot launch job %s: Submit command '%s' gave no answer within %lld s",
                        s->job_name, s->command, (long long)provider_int(s->p, "cmd_timeout"))
            : xasprintf(
                  "Cannot launch job %s: Submit command '%s' failed; recode=%d, stdout=%.2000s, "
                  "stderr=%.2000s",
                  s->job_name, s->command, r->exit_code, r->out, r->errout);
    submission_end(s, NULL, why);
}

static int write_script(struct provider *p, const struct batch_kind *k, const char *job_name,
                        const char *path, const char *script, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    buf_str(&text, "#!/bin/bash\n\n");
    k->directives(&text, p, job_name, path);
    buf_char(&text, '\n');
    batch_line(&text, provider_text(p, "worker_init"));
    if (k->exports != NULL)
        k->exports(&text, p);
    buf_fmt(&text, "\nexport JOBNAME=\"%s\"\n\n%s", job_name, script);
    return fs_write(path, text.data, text.len, 0700, false, err);
}

void batch_submit(struct provider *p, const struct batch_kind *k, const char *job_name,
                  const char *script, submitted_f *cb, void *arg)
{
    struct err err = ERR_INIT;
    autofree char *path = xasprintf("%s/%s%s", p->script_dir, job_name, k->suffix);
    autobuf struct buf command = BUF_INIT;
    struct submission *s = xcalloc(1, sizeof(*s));
    k->submit_command(&command, p, path);
    *s = (struct submission){.p = p,
                             .k = k,
                             .job_name = xstrdup(job_name),
                             .command = buf_take(&command),
                             .cb = cb,
                             .arg = arg};
    if (write_script(p, k, job_name, path, script, &err) != 0 ||
        run(p, s->command, submitted_cb, s, &err) == NULL)
        submission_end(s, NULL, err.text);
}

/* ---- asking ---------------------------------------------------------------------------------- */

struct batch_query {
    struct provider *p;
    const struct batch_kind *k;
    char **ids;
    struct job *jobs; /* one for each id; id NULL until something was said of it */
    size_t n;
    polled_f *cb;
    void *arg;
};

static bool same_job(const char *asked, const char *told, size_t n)
{
    size_t len = strlen(asked);
    if (n == 0)
        return false;
    if (len <= n)
        return strncmp(asked, told, len) == 0 && (len == n || told[len] == '.');
    /* Shortened: "1234.pbs" for "1234.pbs-server.example.org". */
    return strncmp(asked, told, n) == 0 && memchr(told, '.', n) != NULL;
}

void batch_found(struct batch_query *q, const char *id, size_t id_len, enum job_state state)
{
    for (size_t i = 0; i < q->n; i++)
        if (same_job(q->ids[i], id, id_len)) {
            q->jobs[i] = (struct job){.id = q->ids[i], .state = state, .exit_code = -1};
            return;
        }
}

static void query_end(struct batch_query *q, bool answered)
{
    size_t said = 0;
    for (size_t i = 0; i < q->n && answered; i++) {
        if (q->jobs[i].id == NULL && q->k->absent_is_over)
            q->jobs[i] = (struct job){.id = q->ids[i], .state = JOB_COMPLETED, .exit_code = -1};
        if (q->jobs[i].id != NULL)
            q->jobs[said++] = q->jobs[i];
    }
    q->cb(q->arg, said > 0 ? q->jobs : NULL, said);
    for (size_t i = 0; i < q->n; i++)
        free(q->ids[i]);
    free(q->ids);
    free(q->jobs);
    free(q);
}

static void polled_cb(void *arg, const struct spawn_result *r)
{
    static struct log_rate rate = LOG_RATE(3, 300);
    struct batch_query *q = arg;
    bool good =
        r->exit_code == 0 || (q->k->also_answers != 0 && r->exit_code == q->k->also_answers);
    bool answered = good && q->k->read_status(q->p, r->out, q);
    if (!answered && log_rate_ok(&rate))
        log_warning("the scheduler's status command gave no usable answer (%s, exit %d): %.300s",
                    r->timed_out ? "too slow" : "ended", r->exit_code, r->errout);
    query_end(q, answered);
}

void batch_poll(struct provider *p, const struct batch_kind *k, const char *const *ids, size_t n,
                polled_f *cb, void *arg)
{
    struct err err = ERR_INIT;
    autobuf struct buf command = BUF_INIT;
    struct batch_query *q = xcalloc(1, sizeof(*q));
    *q = (struct batch_query){.p = p,
                              .k = k,
                              .ids = xcalloc(n + 1, sizeof(*q->ids)),
                              .jobs = xcalloc(n + 1, sizeof(*q->jobs)),
                              .n = n,
                              .cb = cb,
                              .arg = arg};
    for (size_t i = 0; i < n; i++)
        q->ids[i] = xstrdup(ids[i]);
    k->status_command(&command, p, ids, n);
    if (run(p, command.data, polled_cb, q, &err) == NULL) {
        log_warning("cannot ask the scheduler: %s", err.text);
        query_end(q, false);
    }
}

/* ---- cancelling ------------------------------------------------------------------------------ */

static void cancelled_cb(void *arg, const struct spawn_result *r)
{
    if (r->exit_code != 0)
        log_warning("the scheduler's cancel command failed (exit %d): %.300s", r->exit_code,
                    r->errout);
}

void batch_cancel(struct provider *p, const struct batch_kind *k, const char *const *ids, size_t n)
{
    struct err err = ERR_INIT;
    autobuf struct buf command = BUF_INIT;
    if (n == 0)
        return;
    k->cancel_command(&command, p, ids, n);
    if (run(p, command.data, cancelled_cb, NULL, &err) == NULL)
        log_warning("cannot cancel jobs: %s", err.text);
}
