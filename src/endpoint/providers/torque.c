/* TorqueProvider: qsub, qstat's table, qdel; also Slurm's wrappers of these names. */
#include <string.h>

#include "endpoint/providers/pbs.h"

static const struct option_spec options[] = {
    {"account", OPT_TEXT, NULL},
    {"queue", OPT_TEXT, NULL},
    {"scheduler_options", OPT_LINES, "\"\""},
    {"walltime", OPT_DURATION, "\"00:20:00\""},
    {"cmd_timeout", OPT_INT, "120"},
    {NULL, OPT_ANY, NULL},
};

static void script(struct buf *out, struct provider *p, const struct batch_job *j)
{
    buf_str(out, "#!/bin/bash\n\n");
    batch_line(out, provider_text(p, "scheduler_options"));
    buf_fmt(out, "#PBS -S /bin/bash\n#PBS -N %s\n#PBS -m n\n#PBS -l walltime=%s\n", j->name,
            provider_text(p, "walltime"));
    buf_fmt(out, "#PBS -l nodes=%lld:ppn=1\n#PBS -o %s.stdout\n#PBS -e %s.stderr\n",
            (long long)provider_int(p, "nodes_per_block"), j->path, j->path);
    batch_tail(out, p, j, "");
}

static void status_command(struct buf *out, struct provider *p, const char *const *ids, size_t n)
{
    buf_str(out, "qstat ");
    command_words(out, ids, n, " ");
}

static enum reading read_status(struct provider *p, const struct answer *a, struct asked *asked)
{
    pbs_read_table(a->out, asked);
    pbs_read_gone(a->err, asked);
    if (a->exit_code == 0)
        return READ_ALL;
    if (a->exit_code != 153 && a->exit_code != 35)
        return READ_NOTHING;
    /* Slurm's wrapper says nothing but 153. */
    if (asked->n == 1 && *a->out == '\0' && *a->err == '\0')
        asked_gone(asked, asked->ids[0], strlen(asked->ids[0]));
    /* With several ids, those that are left out are asked for alone. */
    return *a->err == '\0' ? READ_ALL : READ_SOME;
}

static const struct batch_kind batch = {
    .script = script,
    .submit_command = pbs_submit_command,
    .read_id = pbs_read_id,
    .status_command = status_command,
    .read_status = read_status,
    .cancel_command = pbs_cancel_command,
    .cancel_old_command = pbs_cancel_old_command,
};

const struct provider_kind provider_torque = {
    .type = "TorqueProvider",
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
