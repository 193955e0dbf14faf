/* GridEngineProvider: qsub -terse, qstat without arguments, qdel. */
#include <string.h>

#include "endpoint/providers/batch.h"

static const struct option_spec options[] = {
    {"queue", OPT_TEXT, NULL},
    {"scheduler_options", OPT_LINES, "\"\""},
    {"walltime", OPT_DURATION, "\"00:10:00\""},
    {"cmd_timeout", OPT_INT, "60"},
    {NULL, OPT_ANY, NULL},
};

static void script(struct buf *out, struct provider *p, const struct batch_job *j)
{
    buf_fmt(out, "#!/bin/bash\n#$ -S /bin/bash\n#$ -o %s.stdout\n#$ -e %s.stderr\n#$ -cwd\n",
            j->path, j->path);
    buf_fmt(out, "#$ -l h_rt=%s\n", provider_text(p, "walltime"));
    batch_line(out, provider_text(p, "scheduler_options"));
    batch_tail(out, p, j, "");
}

static void submit_command(struct buf *out, struct provider *p, const struct batch_job *j)
{
    buf_str(out, "qsub ");
    if (provider_has(p, "queue")) {
        buf_str(out, "-q ");
        command_word(out, provider_text(p, "queue"));
        buf_char(out, ' ');
    }
    buf_str(out, "-terse ");
    command_word(out, j->path);
}

static bool read_id(struct provider *p, const char *answer, struct buf *id)
{
    return batch_some_line(answer, id, false);
}

static void status_command(struct buf *out, struct provider *p, const char *const *ids, size_t n)
{
    buf_str(out, "qstat");
}

static const struct state_word states[] = {
    {"qw", JOB_PENDING},    {"hqw", JOB_PENDING},  {"hrwq", JOB_PENDING},  {"hrqw", JOB_PENDING},
    {"rr", JOB_PENDING},    {"r", JOB_RUNNING},    {"hr", JOB_RUNNING},    {"s", JOB_FAILED},
    {"ts", JOB_FAILED},     {"t", JOB_FAILED},     {"eqw", JOB_FAILED},    {"ehqw", JOB_FAILED},
    {"ehrqw", JOB_FAILED},  {"d", JOB_COMPLETED},  {"dr", JOB_COMPLETED},  {"dt", JOB_COMPLETED},
    {"drt", JOB_COMPLETED}, {"ds", JOB_COMPLETED}, {"drs", JOB_COMPLETED}, {NULL, JOB_UNKNOWN},
};

/* job-ID  prior  name  user  state  submit/start ... */
static enum reading read_status(struct provider *p, const struct answer *a, struct asked *asked)
{
    if (a->exit_code != 0)
        return READ_NOTHING;
    asked_read_table(asked, a->out, 4, states);
    return READ_ALL;
}

static void cancel_command(struct buf *out, struct provider *p, const char *const *ids, size_t n)
{
    buf_str(out, "qdel ");
    command_words(out, ids, n, " ");
}

/* Our scripts set no -N, so a job is named after its script. */
static void cancel_old_command(struct buf *out, struct provider *p, const struct old_job *j)
{
    buf_str(out, "{ ! qstat -j ");
    command_word(out, j->name);
    buf_str(out, ".submit >/dev/null 2>&1 || qdel ");
    command_word(out, j->name);
    buf_str(out, ".submit; }");
}

static const struct batch_kind batch = {
    .script = script,
    .submit_command = submit_command,
    .read_id = read_id,
    .status_command = status_command,
    .read_status = read_status,
    .lists_all = true,
    .cancel_command = cancel_command,
    .cancel_old_command = cancel_old_command,
};

const struct provider_kind provider_grid_engine = {
    .type = "GridEngineProvider",
    .launcher = "SingleNodeLauncher",
    .poll_s = 60,
    .options = options,
    .loose = true,
    .far = true,
    .script = ".submit",
    .out = ".submit.stdout",
    .err = ".submit.stderr",
    .batch = &batch,
    .work = &batch_work,
};
