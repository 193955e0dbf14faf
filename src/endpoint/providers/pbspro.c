/* PBSProProvider: qsub, qstat -x -f -F json, qdel. */
#include <string.h>

#include "endpoint/providers/pbs.h"

/* How qstat is asked: with history and as JSON, until an answer shows that the server keeps no
 * history, or that its JSON is broken (some versions don't escape what users wrote). */
enum mode { NO_HISTORY = 1, NO_JSON = 2 };

static const struct option_spec options[] = {
    {"account", OPT_TEXT, NULL},
    {"queue", OPT_TEXT, NULL},
    {"scheduler_options", OPT_LINES, "\"\""},
    {"select_options", OPT_TEXT, "\"\""},
    {"cpus_per_node", OPT_TEXT, "1"},
    {"walltime", OPT_DURATION, "\"00:20:00\""},
    {"cmd_timeout", OPT_INT, "120"},
    {NULL, OPT_ANY, NULL},
};

static void script(struct buf *out, struct provider *p, const struct batch_job *j)
{
    const char *select = provider_text(p, "select_options");
    buf_fmt(out, "#!/bin/bash\n\n#PBS -S /bin/bash\n#PBS -N %s\n#PBS -m n\n", j->name);
    buf_fmt(out, "#PBS -l walltime=%s\n#PBS -l select=%lld:ncpus=%s%s%s\n",
            provider_text(p, "walltime"), (long long)provider_int(p, "nodes_per_block"),
            provider_text(p, "cpus_per_node"), *select != '\0' && *select != ':' ? ":" : "",
            select);
    buf_fmt(out, "#PBS -o %s.stdout\n#PBS -e %s.stderr\n", j->path, j->path);
    batch_line(out, provider_text(p, "scheduler_options"));
    batch_tail(out, p, j, "");
}

static void refusal(struct buf *out, struct provider *p, const struct batch_job *j,
                    const char *command, const struct answer *a)
{
    buf_fmt(out,
            "Cannot launch job %s: Submit command '%s' failed; recode=None, stdout=%.2000s, "
            "stderr=%.2000s",
            j->name, command, a->out, a->err);
}

static void status_command(struct buf *out, struct provider *p, const char *const *ids, size_t n)
{
    int mode = batch_of(p)->mode;
    buf_fmt(out, "qstat%s%s ", (mode & NO_HISTORY) != 0 ? "" : " -x",
            (mode & NO_JSON) != 0 ? "" : " -f -F json");
    command_words(out, ids, n, " ");
}

/* {"Jobs": {"<id>": {"job_state": "R", ...}}} */
static void read_jobs(struct json_object *jobs, struct asked *asked)
{
    json_object_object_foreach(jobs, id, job)
    {
        const char *word = json_str_or(job, "job_state", "");
        struct json_object *code = json_at(job, "Exit_status");
        struct told *t = asked_state(asked, id, strlen(id), pbs_state(word, strlen(word)));
        if (t == NULL)
            continue;
        if (json_object_is_type(code, json_type_int))
            t->exit_code = json_object_get_int(code);
        told_note(t, json_str_or(job, "comment", NULL));
    }
}

static enum reading read_status(struct provider *p, const struct answer *a, struct asked *asked)
{
    struct batch *own = batch_of(p);
    if ((own->mode & NO_HISTORY) == 0 &&
        strstr(a->err, "not configured to maintain job history") != NULL) {
        own->mode |= NO_HISTORY;
        return READ_AGAIN;
    }
    if ((own->mode & NO_JSON) != 0) {
        pbs_read_table(a->out, asked);
    } else {
        autojson struct json_object *o = json_read(a->out, strlen(a->out), 8 << 20, "qstat", NULL);
        struct json_object *jobs = json_at(o, "Jobs");
        if (o == NULL && a->exit_code == 0 && *a->out != '\0') {
            own->mode |= NO_JSON;
            return READ_AGAIN;
        }
        asked->understood += json_object_is_type(o, json_type_object);
        if (json_object_is_type(jobs, json_type_object))
            read_jobs(jobs, asked);
    }
    pbs_read_gone(a->err, asked);
    if (a->exit_code == 0)
        return READ_ALL;
    /* 153: some id is unknown, 35: some job has finished; the others are answered. */
    return a->exit_code == 153 || a->exit_code == 35 ? READ_SOME : READ_NOTHING;
}

static const struct batch_kind batch = {
    .script = script,
    .submit_command = pbs_submit_command,
    .read_id = pbs_read_id,
    .refusal = refusal,
    .status_command = status_command,
    .read_status = read_status,
    .cancel_command = pbs_cancel_command,
    .cancel_old_command = pbs_cancel_old_command,
};

const struct provider_kind provider_pbspro = {
    .type = "PBSProProvider",
    .launcher = "SingleNodeLauncher",
    .poll_s = 60,
    .options = options,
    .loose = true,
    .far = true,
    .script = "",
    .out = ".stdout",
    .err = ".stderr",
    .batch = &batch,
    .work = &batch_work,
};
