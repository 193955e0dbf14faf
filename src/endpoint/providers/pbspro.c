/* PBSProProvider: qsub, qstat -F json, qdel. */
#include <string.h>

#include "endpoint/providers/batch.h"
#include "lib/base/alloc.h"

static const struct option_spec options[] = {
    {"account", OPT_ANY, NULL},
    {"queue", OPT_ANY, NULL},
    {"scheduler_options", OPT_ANY, "\"\""},
    {"select_options", OPT_ANY, "\"\""},
    {"cpus_per_node", OPT_ANY, "1"},
    {"walltime", OPT_WALLTIME, "\"00:20:00\""},
    {"cmd_timeout", OPT_INT, "120"},
    {NULL, OPT_ANY, NULL},
};

static void directives(struct buf *out, struct provider *p, const char *job, const char *path)
{
    const char *select = provider_text(p, "select_options");
    buf_fmt(out, "#PBS -S /bin/bash\n#PBS -N %s\n#PBS -m n\n#PBS -l walltime=%s\n", job,
            provider_text(p, "walltime"));
    buf_fmt(out, "#PBS -l select=%lld:ncpus=%s%s%s\n",
            (long long)provider_int(p, "nodes_per_block"), provider_text(p, "cpus_per_node"),
            *select != '\0' && *select != ':' ? ":" : "", select);
    buf_fmt(out, "#PBS -o %s.stdout\n#PBS -e %s.stderr\n", path, path);
    batch_line(out, provider_text(p, "scheduler_options"));
}

static void pbs_submit_command(struct buf *out, struct provider *p, const char *path)
{
    buf_str(out, "qsub ");
    if (provider_has(p, "queue"))
        buf_fmt(out, " -q %s", provider_text(p, "queue"));
    if (provider_has(p, "account"))
        buf_fmt(out, " -A %s", provider_text(p, "account"));
    buf_fmt(out, " %s", path);
}

static bool pbs_read_id(struct provider *p, const char *answer, struct buf *id)
{
    return batch_first_line(answer, id, true);
}

static void status_command(struct buf *out, struct provider *p, const char *const *ids, size_t n)
{
    buf_str(out, "qstat -x -f -F json ");
    batch_ids(out, ids, n, " ");
}

static enum job_state state_of(const char *word)
{
    switch (*word) {
    case 'B':
    case 'R':
        return JOB_RUNNING;
    case 'C':
    case 'E':
    case 'F':
    case 'X':
        return JOB_COMPLETED;
    case 'H':
    case 'S':
    case 'U':
        return JOB_HELD;
    case 'Q':
    case 'W':
    case 'T':
        return JOB_PENDING;
    default:
        return JOB_UNKNOWN;
    }
}

/* {"Jobs": {"<id>": {"job_state": "R"}}}; some versions write broken JSON, which is no answer. */
static bool read_status(struct provider *p, const char *answer, struct batch_query *q)
{
    autojson struct json_object *o = json_read(answer, strlen(answer), 8 << 20, "qstat", NULL);
    struct json_object *jobs = json_at(o, "Jobs");
    if (o == NULL || (jobs != NULL && !json_object_is_type(jobs, json_type_object)))
        return false;
    if (jobs == NULL)
        return true;
    json_object_object_foreach(jobs, id, job)
    {
        const char *word = json_str_or(job, "job_state", "");
        if (*word != '\0')
            batch_found(q, id, strlen(id), state_of(word));
    }
    return true;
}

static void pbs_cancel_command(struct buf *out, struct provider *p, const char *const *ids, size_t n)
{
    buf_str(out, "qdel ");
    batch_ids(out, ids, n, " ");
}

/* 153: one of several ids is unknown; the others are answered.  Whoever is unknown has left the
 * history, so it is over. */
static const struct batch_kind batch = {
    .suffix = "",
    .directives = directives,
    .submit_command = pbs_submit_command,
    .read_id = pbs_read_id,
    .status_command = status_command,
    .read_status = read_status,
    .cancel_command = pbs_cancel_command,
    .also_answers = 153,
    .absent_is_over = true,
};

static void submit(struct provider *p, const char *job, const char *script, submitted_f *cb,
                   void *arg)
{
    batch_submit(p, &batch, job, script, cb, arg);
}

static void poll_jobs(struct provider *p, const char *const *ids, size_t n, polled_f *cb, void *arg)
{
    batch_poll(p, &batch, ids, n, cb, arg);
}

static void cancel(struct provider *p, const char *const *ids, size_t n)
{
    batch_cancel(p, &batch, ids, n);
}

const struct provider_kind provider_pbspro = {
    .type = "PBSProProvider",
    .launcher = "SingleNodeLauncher",
    .poll_s = 60,
    .options = options,
    .submit = submit,
    .poll = poll_jobs,
    .cancel = cancel,
};
