/* LSFProvider: bsub, bjobs, bkill. */
#include <string.h>
#include <strings.h>

#include "endpoint/providers/batch.h"

static const struct option_spec options[] = {
    {"cores_per_block", OPT_INT, NULL},
    {"cores_per_node", OPT_INT, NULL},
    {"project", OPT_TEXT, NULL},
    {"queue", OPT_TEXT, NULL},
    {"bsub_redirection", OPT_BOOL, "false"},
    {"request_by_nodes", OPT_BOOL, "true"},
    {"scheduler_options", OPT_LINES, "\"\""},
    {"walltime", OPT_WALLTIME, "\"00:10:00\""},
    {"cmd_timeout", OPT_INT, "120"},
    {NULL, OPT_ANY, NULL},
};

static bool by_cores(struct json_object *o)
{
    struct json_object *v = json_object_object_get(o, "request_by_nodes");
    return v != NULL && !json_object_get_boolean(v);
}

static int64_t number(struct json_object *o, const char *key)
{
    return json_object_get_int64(json_object_object_get(o, key));
}

static int check(struct json_object *o, struct err *err)
{
    if (by_cores(o) && (number(o, "cores_per_block") < 1 || number(o, "cores_per_node") < 1))
        return err_set(err, "provider LSFProvider: Requesting resources by the number of cores. "
                            "Need to specify cores_per_block and cores_per_node in the LSF "
                            "provider.");
    return 0;
}

static void derive(struct json_object *o)
{
    int64_t per_node = number(o, "cores_per_node");
    if (by_cores(o) && per_node > 0)
        json_add_int(o, "nodes_per_block",
                     (number(o, "cores_per_block") + per_node - 1) / per_node);
}

static void script(struct buf *out, struct provider *p, const struct batch_job *j)
{
    buf_fmt(out, "#!/bin/bash\n\n#BSUB -W %lld\n#BSUB -J %s\n",
            (long long)walltime_minutes(json_object_object_get(p->options, "walltime")), j->name);
    buf_fmt(out, "#BSUB -o %s.stdout\n#BSUB -e %s.stderr\n", j->path, j->path);
    batch_line(out, provider_text(p, "scheduler_options"));
    batch_directive(out, p, "#BSUB -P ", "project");
    batch_directive(out, p, "#BSUB -q ", "queue");
    if (by_cores(p->options))
        buf_fmt(out, "#BSUB -n %s\n#BSUB -R \"span[ptile=%s]\"\n",
                provider_text(p, "cores_per_block"), provider_text(p, "cores_per_node"));
    else
        buf_fmt(out, "#BSUB -nnodes %s\n", provider_text(p, "nodes_per_block"));
    batch_tail(out, p, j, "");
}

static void submit_command(struct buf *out, struct provider *p, const struct batch_job *j)
{
    buf_str(out, provider_bool(p, "bsub_redirection") ? "bsub < " : "bsub ");
    command_word(out, j->path);
}

/* "Job <2130> is submitted to queue <normal>." */
static bool read_id(struct provider *p, const char *answer, struct buf *id)
{
    bool found = false;
    while (*answer != '\0') {
        size_t n = strcspn(answer, "\n");
        char line[256] = "";
        memcpy(line, answer, n < sizeof(line) ? n : sizeof(line) - 1);
        answer += n + (answer[n] == '\n');
        if (strncasecmp(line, "job", 3) != 0 || strcasestr(line, "is submitted to") == NULL)
            continue;
        const char *from = line + strcspn(line, " \t");
        from += strspn(from, " \t<>");
        buf_clear(id);
        buf_add(id, from, strcspn(from, " \t<>"));
        found = id->len > 0;
    }
    return found;
}

static void status_command(struct buf *out, struct provider *p, const char *const *ids, size_t n)
{
    buf_str(out, "bjobs -noheader -o 'jobid stat' ");
    command_words(out, ids, n, " ");
}

static const struct state_word states[] = {
    {"PEND", JOB_PENDING},    {"PROV", JOB_PENDING},    {"WAIT", JOB_PENDING},
    {"RUN", JOB_RUNNING},     {"DONE", JOB_COMPLETED},  {"EXIT", JOB_FAILED},
    {"PSUSP", JOB_CANCELLED}, {"USUSP", JOB_CANCELLED}, {"SSUSP", JOB_CANCELLED},
    {NULL, JOB_UNKNOWN},
};

/* "Job <2130> is not found" */
static bool read_gone(const char *text, struct asked *asked)
{
    struct word w[5];
    bool any = false;
    for (int n; (n = words_of_line(&text, w, 5)) >= 0;) {
        if (n < 5 || !word_is(w[0], "Job") || w[1].n < 3 || w[1].p[0] != '<' ||
            !word_is(w[3], "not") || !word_is(w[4], "found"))
            continue;
        asked_gone(asked, w[1].p + 1, w[1].n - 2);
        any = true;
    }
    return any;
}

static enum reading read_status(struct provider *p, const struct answer *a, struct asked *asked)
{
    asked_read_table(asked, a->out, 1, states);
    if (read_gone(a->err, asked)) /* bjobs ends with 255 then */
        return READ_SOME;
    return a->exit_code == 0 ? READ_ALL : READ_NOTHING;
}

static void cancel_command(struct buf *out, struct provider *p, const char *const *ids, size_t n)
{
    buf_str(out, "bkill ");
    command_words(out, ids, n, " ");
}

static void cancel_old_command(struct buf *out, struct provider *p, const struct old_job *j)
{
    buf_str(out, "{ [ -z \"$(bjobs -noheader -o jobid -J ");
    command_word(out, j->name);
    buf_str(out, " 2>/dev/null)\" ] || bkill -J ");
    command_word(out, j->name);
    buf_str(out, " 0; }");
}

static const struct batch_kind batch = {
    .script = script,
    .submit_command = submit_command,
    .read_id = read_id,
    .status_command = status_command,
    .read_status = read_status,
    .cancel_command = cancel_command,
    .cancel_old_command = cancel_old_command,
};

const struct provider_kind provider_lsf = {
    .type = "LSFProvider",
    .launcher = "SingleNodeLauncher",
    .poll_s = 60,
    .options = options,
    .loose = true,
    .far = true,
    .script = ".submit",
    .out = ".submit.stdout",
    .err = ".submit.stderr",
    .batch = &batch,
    .check = check,
    .derive = derive,
    .work = &batch_work,
};
