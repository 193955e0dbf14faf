/* CobaltProvider, which later releases of the original no longer have: qsub -n -t, qstat, qdel. */
#include <string.h>

#include "endpoint/providers/batch.h"

static const struct option_spec options[] = {
    {"account", OPT_TEXT, NULL},
    {"queue", OPT_TEXT, NULL},
    {"scheduler_options", OPT_LINES, "\"\""},
    {"init_blocks", OPT_INT, "0"},
    {"walltime", OPT_WALLTIME, "\"00:10:00\""},
    {"cmd_timeout", OPT_INT, "10"},
    {NULL, OPT_ANY, NULL},
};

static void script(struct buf *out, struct provider *p, const struct batch_job *j)
{
    buf_str(out, "#!/bin/bash -el\n");
    batch_line(out, provider_text(p, "scheduler_options"));
    buf_char(out, '\n');
    batch_line(out, provider_text(p, "worker_init"));
    buf_fmt(out,
            "\necho \"Starting Cobalt job script\"\n\necho \"----Cobalt Nodefile: -----\"\n"
            "cat $COBALT_NODEFILE\necho \"--------------------------\"\n\n"
            "export JOBNAME=\"%s\"\n\n",
            j->name);
    batch_line(out, j->script);
    buf_str(out, "\necho \"End of Cobalt job\"\n");
}

/* The scheduler's own names for the outputs are <script>.output and .error: it is told ours. */
static void submit_command(struct buf *out, struct provider *p, const struct batch_job *j)
{
    buf_fmt(out, "qsub -n %s", provider_text(p, "nodes_per_block"));
    if (provider_has(p, "queue")) {
        buf_str(out, " -q ");
        command_word(out, provider_text(p, "queue"));
    }
    buf_fmt(out, " -t %lld",
            (long long)walltime_minutes(json_object_object_get(p->options, "walltime")));
    if (provider_has(p, "account")) {
        buf_str(out, " -A ");
        command_word(out, provider_text(p, "account"));
    }
    buf_str(out, " -o ");
    command_word(out, j->path);
    buf_str(out, ".stdout -e ");
    command_word(out, j->path);
    buf_str(out, ".stderr --jobname ");
    command_word(out, j->name);
    buf_char(out, ' ');
    command_word(out, j->path);
}

static bool read_id(struct provider *p, const char *answer, struct buf *id)
{
    return batch_some_line(answer, id, true);
}

static void status_command(struct buf *out, struct provider *p, const char *const *ids, size_t n)
{
    buf_str(out, "qstat -u $USER");
}

static const struct state_word states[] = {
    {"queued", JOB_PENDING},    {"starting", JOB_PENDING},  {"running", JOB_RUNNING},
    {"exiting", JOB_COMPLETED}, {"killing", JOB_COMPLETED}, {"user_hold", JOB_HELD},
    {"admin_hold", JOB_HELD},   {"dep_hold", JOB_HELD},     {"maxrun_hold", JOB_HELD},
    {NULL, JOB_UNKNOWN},
};

/* JobID  User  WallTime  Nodes  State  Location, under a rule of "=" */
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

static void cancel_old_command(struct buf *out, struct provider *p, const struct old_job *j)
{
    buf_str(out,
            "{ ids=$(qstat -u $USER --header JobID:JobName) && ids=$(echo \"$ids\" | awk -v n=");
    command_word(out, j->name);
    buf_str(out, " '$2 == n { print $1 }') && { [ -z \"$ids\" ] || qdel $ids; }; }");
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

const struct provider_kind provider_cobalt = {
    .type = "CobaltProvider",
    .launcher = "AprunLauncher",
    .poll_s = 60,
    .options = options,
    .loose = true,
    .far = true,
    .name_prefix = "parsl.",
    .script = ".submit",
    .out = ".submit.stdout",
    .err = ".submit.stderr",
    .batch = &batch,
    .work = &batch_work,
};
