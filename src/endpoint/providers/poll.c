/* Asking a batch system about jobs: in chunks, one command after the other, and with care before a
 * job is said to have ended.
 *
 * What an answer says of a job is true.  A job that a complete answer leaves out has ended only if
 * it was left out when asked for alone (some versions of qstat answer for one of several ids),
 * twice with some time between, and some time after its submission (accounting databases lag
 * behind). A scheduler that says "unknown job" is believed at once, but not about a job just
 * submitted. */
#include <string.h>

#include "endpoint/providers/batch.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"

#define CHUNK 50
#define ALONE_MAX 8 /* ids asked for alone in one poll; the others wait for the next */
#define PATIENCE_US LOOP_S(30)
#define REPHRASE_MAX 4

struct seen {
    uint64_t born_us;   /* submission, 0 = long ago */
    uint64_t absent_us; /* first complete answer without it, 0 = it was listed last time */
    char *job_name;     /* NULL = not submitted by us */
};

struct poll {
    struct provider *p;
    char **ids;
    struct asked asked; /* all of them */
    bool *absent;       /* a complete answer left it out ... */
    bool *alone;        /* ... that was about it alone, or about all jobs there are */
    size_t from, to;    /* the question under way */
    bool single;        /* second round: one id a question */
    unsigned singles, rephrased;
    struct job *jobs; /* what is reported in the end */
    size_t count;
    polled_f *cb;
    void *arg;
};

static void seen_free(void *arg)
{
    struct seen *s = arg;
    if (s != NULL)
        free(s->job_name);
    free(s);
}

void batch_forget_submitted(struct provider *p)
{
    map_destroy(batch_of(p)->seen, seen_free);
}

static struct seen *seen_of(struct provider *p, const char *id)
{
    struct seen *s = map_get(batch_of(p)->seen, id);
    if (s == NULL) {
        s = xcalloc(1, sizeof(*s));
        map_put(batch_of(p)->seen, id, s);
    }
    return s;
}

void batch_note_submitted(struct provider *p, const char *id, const char *job_name)
{
    struct seen *s = seen_of(p, id);
    s->born_us = loop_now_us(p->loop);
    free(s->job_name);
    s->job_name = xstrdup(job_name);
}

static void poll_free(struct poll *q)
{
    for (size_t i = 0; i < q->asked.n; i++)
        free(q->ids[i]);
    asked_free(&q->asked);
    free(q->ids);
    free(q->jobs);
    free(q->absent);
    free(q->alone);
    free(q);
}

/* Whether a job that was not listed, or said to be unknown, has ended. */
static bool has_ended(struct poll *q, size_t i)
{
    uint64_t now = loop_now_us(q->p->loop), patience = PATIENCE_US;
    struct seen *s = seen_of(q->p, q->ids[i]);
    if (q->p->poll_us / 2 < patience)
        patience = q->p->poll_us / 2;
    bool young = s->born_us != 0 && now - s->born_us < patience;
    if (q->asked.told[i].what == TOLD_GONE && !young)
        return true;
    if (s->absent_us == 0)
        s->absent_us = now;
    return q->alone[i] && !young && now - s->absent_us >= patience;
}

static void deliver(struct poll *q)
{
    for (size_t i = 0; i < q->count; i++)
        if (job_state_is_final(q->jobs[i].state))
            seen_free(map_del(batch_of(q->p)->seen, q->jobs[i].id));
    q->cb(q->arg, q->count > 0 ? q->jobs : NULL, q->count);
    poll_free(q);
}

static void fetched_cb(void *arg, const struct answer *a)
{
    if (a == NULL)
        poll_free(arg);
    else
        deliver(arg); /* without the outputs, when they could not be had */
}

/* The outputs of ended jobs come first: whoever hears of the end wants to show them. */
static void fetch_or_deliver(struct poll *q)
{
    const struct batch_kind *k = q->p->kind->batch;
    autobuf struct buf command = BUF_INIT;
    for (size_t i = 0; i < q->count && k->fetch_command != NULL; i++) {
        struct seen *s = seen_of(q->p, q->jobs[i].id);
        if (!job_state_is_final(q->jobs[i].state) || s->job_name == NULL)
            continue;
        k->fetch_command(&command, q->p, q->jobs[i].id, s->job_name);
        buf_char(&command, '\n');
    }
    if (command.len > 0)
        command_run(q->p, TO_ASK, command.data, NULL, fetched_cb, q);
    else
        deliver(q);
}

static void end(struct poll *q)
{
    for (size_t i = 0; i < q->asked.n; i++) {
        struct told *t = &q->asked.told[i];
        struct job job = {.id = q->ids[i], .state = t->state, .exit_code = -1, .note = t->note};
        if (t->what == TOLD_STATE) {
            job.exit_code = t->exit_code;
            seen_of(q->p, q->ids[i])->absent_us = 0;
        } else if ((t->what == TOLD_GONE || q->absent[i]) && has_ended(q, i)) {
            job.state = JOB_COMPLETED;
        } else {
            continue;
        }
        q->jobs[q->count++] = job;
    }
    fetch_or_deliver(q);
}

static size_t chunk(const struct provider *p)
{
    const char *key = p->kind->batch->chunk_option;
    int64_t n = key != NULL ? provider_int(p, key) : CHUNK;
    return p->kind->batch->lists_all ? SIZE_MAX : (size_t)(n > 0 ? n : CHUNK);
}

static void answered_cb(void *arg, const struct answer *a);

static void ask(struct poll *q)
{
    autobuf struct buf command = BUF_INIT;
    q->p->kind->batch->status_command(&command, q->p, (const char *const *)q->ids + q->from,
                                      q->to - q->from);
    command_run(q->p, TO_ASK, command.data, NULL, answered_cb, q);
}

/* The next question, or the end. */
static void next(struct poll *q)
{
    size_t size = chunk(q->p);
    if (!q->single && q->to < q->asked.n) {
        q->from = q->to;
        q->to = q->asked.n - q->from > size ? q->from + size : q->asked.n;
        ask(q);
        return;
    }
    if (!q->single) {
        q->single = true;
        q->to = 0;
    }
    for (size_t i = q->to; i < q->asked.n && q->singles < ALONE_MAX; i++)
        if (q->absent[i] && !q->alone[i] && q->asked.told[i].what == TOLD_NOTHING) {
            q->singles++;
            q->from = i;
            q->to = i + 1;
            ask(q);
            return;
        }
    end(q);
}

static void complain(const struct answer *a)
{
    static struct log_rate rate = LOG_RATE(3, 300);
    if (log_rate_ok(&rate))
        log_warning("the scheduler's status command gave no usable answer (%s, exit %d): %.300s",
                    a->timed_out ? "too slow" : "ended", a->exit_code, a->err);
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '\0';
}

static void answered_cb(void *arg, const struct answer *a)
{
    struct poll *q = arg;
    if (a == NULL) {
        poll_free(q);
        return;
    }
    const struct batch_kind *k = q->p->kind->batch;
    struct asked part = {
        .ids = q->asked.ids + q->from, .n = q->to - q->from, .told = q->asked.told + q->from};
    enum reading how = a->exit_code < 0 ? READ_NOTHING : k->read_status(q->p, a, &part);
    if (how == READ_ALL && part.understood == 0 && !is_blank(a->out))
        how = READ_NOTHING; /* a wrapper's complaint, a page of HTML, noise */
    else if (how == READ_ALL && a->cut)
        how = READ_SOME;
    if (how == READ_AGAIN && q->rephrased++ < REPHRASE_MAX) {
        ask(q);
        return;
    }
    for (size_t i = q->from; i < q->to && how == READ_ALL; i++)
        if (q->asked.told[i].what == TOLD_NOTHING) {
            q->absent[i] = true;
            q->alone[i] = k->lists_all || part.n == 1;
        }
    if (how == READ_NOTHING || how == READ_AGAIN) {
        complain(a);
        end(q); /* whoever does not answer now is not asked more */
        return;
    }
    next(q);
}

void batch_poll(struct provider *p, const char *const *ids, size_t n, polled_f *cb, void *arg)
{
    struct poll *q = xcalloc(1, sizeof(*q));
    *q = (struct poll){.p = p,
                       .ids = xcalloc(n + 1, sizeof(*q->ids)),
                       .jobs = xcalloc(n + 1, sizeof(*q->jobs)),
                       .absent = xcalloc(n + 1, sizeof(bool)),
                       .alone = xcalloc(n + 1, sizeof(bool)),
                       .cb = cb,
                       .arg = arg};
    for (size_t i = 0; i < n; i++)
        q->ids[i] = xstrdup(ids[i]);
    asked_init(&q->asked, (const char *const *)q->ids, n);
    next(q);
}
