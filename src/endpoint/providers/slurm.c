/* SlurmProvider: sbatch, sacct (or squeue where accounting is off), scancel. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <ctype.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint/providers/batch.h"
#include "lib/base/alloc.h"

/* How questions are put.  The first one finds out whether there is an accounting database; while
 * the database does not answer, squeue is asked and the next poll tries again.  The database lags
 * behind the controller, by minutes after an outage: a job that it does not know (yet) is looked
 * for with squeue. */
enum mode { FIND_OUT, SACCT, SQUEUE, SQUEUE_FOR_NOW, SQUEUE_CONFIRMS };

static const struct option_spec options[] = {
    {"partition", OPT_TEXT, NULL},
    {"account", OPT_TEXT, NULL},
    {"qos", OPT_TEXT, NULL},
    {"constraint", OPT_TEXT, NULL},
    {"clusters", OPT_TEXT, NULL},
    {"gres", OPT_TEXT, NULL},
    {"cores_per_node", OPT_INT, NULL},
    {"mem_per_node", OPT_INT, NULL},
    {"gpus_per_node", OPT_INT, NULL},
    {"walltime", OPT_WALLTIME, "\"00:10:00\""},
    {"scheduler_options", OPT_LINES, "\"\""},
    {"regex_job_id", OPT_TEXT, "\"Submitted batch job (?P<id>\\\\S*)\""},
    {"cmd_timeout", OPT_INT, "10"},
    {"status_batch_size", OPT_INT, "50"},
    {"exclusive", OPT_BOOL, "true"},
    {"move_files", OPT_ANY, NULL}, /* of older releases; no effect */
    {NULL, OPT_ANY, NULL},
};

/* ---- script ---------------------------------------------------------------------------------- */

static void script(struct buf *out, struct provider *p, const struct batch_job *j)
{
    autobuf struct buf exports = BUF_INIT;
    buf_fmt(out, "#!/bin/bash\n\n#SBATCH --job-name=%s\n#SBATCH --output=%s.stdout\n", j->name,
            j->path);
    buf_fmt(out, "#SBATCH --error=%s.stderr\n#SBATCH --nodes=%lld\n#SBATCH --time=%lld\n", j->path,
            (long long)provider_int(p, "nodes_per_block"),
            (long long)walltime_minutes(json_object_object_get(p->options, "walltime")));
    buf_str(out, "#SBATCH --ntasks-per-node=1\n");
    batch_line(out, provider_text(p, "scheduler_options"));
    if (provider_bool(p, "exclusive"))
        buf_str(out, "#SBATCH --exclusive\n");
    batch_directive(out, p, "#SBATCH --partition=", "partition");
    batch_directive(out, p, "#SBATCH --account=", "account");
    batch_directive(out, p, "#SBATCH --qos=", "qos");
    batch_directive(out, p, "#SBATCH --constraint=", "constraint");
    batch_directive(out, p, "#SBATCH --clusters=", "clusters");
    if (provider_int(p, "gpus_per_node") > 0)
        batch_directive(out, p, "#SBATCH --gpus-per-node=", "gpus_per_node");
    batch_directive(out, p, "#SBATCH --gres=", "gres");
    if (provider_has(p, "mem_per_node")) {
        buf_fmt(out, "#SBATCH --mem=%sg\n", provider_text(p, "mem_per_node"));
        buf_fmt(&exports, "export PARSL_MEMORY_GB=%s\n", provider_text(p, "mem_per_node"));
    }
    if (provider_has(p, "cores_per_node")) {
        buf_fmt(out, "#SBATCH --cpus-per-task=%s\n", provider_text(p, "cores_per_node"));
        buf_fmt(&exports, "export PARSL_CORES=%s\n", provider_text(p, "cores_per_node"));
    }
    batch_tail(out, p, j, exports.data != NULL ? exports.data : "");
}

static void submit_command(struct buf *out, struct provider *p, const struct batch_job *j)
{
    buf_str(out, "sbatch ");
    command_word(out, j->path);
}

/* ---- job id: the group "id" of the site's expression ----------------------------------------- */

static pcre2_code *compile(const char *pattern, struct err *err)
{
    int number = 0;
    size_t at = 0;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, strlen(pattern),
                      PCRE2_ANCHORED | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF, &number, &at, NULL);
    if (code == NULL) {
        char why[120] = "";
        pcre2_get_error_message(number, (PCRE2_UCHAR *)why, sizeof(why));
        err_set(err, "regex_job_id %.200s is not a regular expression: %s (at %zu)", pattern, why,
                at);
        return NULL;
    }
    if (pcre2_substring_number_from_name(code, (PCRE2_SPTR) "id") < 0) {
        err_set(err, "regex_job_id %.200s has no group (?P<id>...)", pattern);
        pcre2_code_free(code);
        return NULL;
    }
    return code;
}

static int check(struct json_object *o, struct err *err)
{
    const char *pattern = json_str_or(o, "regex_job_id", NULL);
    if (pattern == NULL)
        return 0;
    pcre2_code *code = compile(pattern, err);
    if (code == NULL)
        return err_prefix(err, "provider SlurmProvider");
    pcre2_code_free(code);
    return 0;
}

static bool read_id(struct provider *p, const char *answer, struct buf *id)
{
    pcre2_code *code = compile(provider_text(p, "regex_job_id"), NULL);
    if (code == NULL)
        return false;
    pcre2_match_data *found = pcre2_match_data_create_from_pattern(code, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(limits, 100000);
    bool ok = false;
    while (*answer != '\0' && !ok) {
        size_t n = strcspn(answer, "\n");
        PCRE2_UCHAR *text = NULL;
        PCRE2_SIZE len = 0;
        if (pcre2_match(code, (PCRE2_SPTR)answer, n, 0, 0, found, limits) > 0 &&
            pcre2_substring_get_byname(found, (PCRE2_SPTR) "id", &text, &len) == 0 && len > 0) {
            buf_add(id, text, len);
            ok = true;
        }
        pcre2_substring_free(text);
        answer += n + (answer[n] == '\n');
    }
    pcre2_match_context_free(limits);
    pcre2_match_data_free(found);
    pcre2_code_free(code);
    return ok;
}

static void refusal(struct buf *out, struct provider *p, const struct batch_job *j,
                    const char *command, const struct answer *a)
{
    buf_fmt(out,
            "Cannot launch job %s: Could not read job ID from submit command standard output; "
            "recode=%d, stdout=%.2000s, stderr=%.2000s",
            j->name, a->exit_code, a->out, a->err);
}

/* ---- states ---------------------------------------------------------------------------------- */

static void clusters(struct buf *out, struct provider *p)
{
    if (*provider_text(p, "clusters") != '\0') {
        buf_str(out, " --clusters=");
        command_word(out, provider_text(p, "clusters"));
    }
}

static void status_command(struct buf *out, struct provider *p, const char *const *ids, size_t n)
{
    enum mode mode = (enum mode)batch_of(p)->mode;
    if (mode == FIND_OUT) {
        buf_str(out, "sacct -X");
        return;
    }
    buf_str(out, mode == SACCT ? "sacct" : "squeue");
    clusters(out, p);
    buf_str(out, mode == SACCT ? " -X --noheader --format=jobid,state%20 --job '"
                               : " --noheader --format='%i %t' --job '");
    for (size_t i = 0; i < n; i++)
        buf_fmt(out, "%s%s", i > 0 ? "," : "", ids[i]);
    buf_char(out, '\'');
}

static const struct state_word states[] = {
    {"PENDING", JOB_PENDING},
    {"RUNNING", JOB_RUNNING},
    {"CANCELLED", JOB_CANCELLED},
    {"COMPLETED", JOB_COMPLETED},
    {"COMPLETING", JOB_RUNNING},
    {"CONFIGURING", JOB_PENDING},
    {"FAILED", JOB_FAILED},
    {"NODE_FAIL", JOB_FAILED},
    {"BOOT_FAIL", JOB_FAILED},
    {"REVOKED", JOB_FAILED},
    {"OUT_OF_MEMORY", JOB_FAILED},
    {"DEADLINE", JOB_TIMEOUT},
    {"TIMEOUT", JOB_TIMEOUT},
    {"PREEMPTED", JOB_TIMEOUT},
    {"SUSPENDED", JOB_HELD},
    {"REQUEUED", JOB_PENDING},
    {"RESIZING", JOB_RUNNING},
    {"STAGE_OUT", JOB_RUNNING},
    {"PD", JOB_PENDING},
    {"CF", JOB_PENDING},
    {"R", JOB_RUNNING},
    {"CG", JOB_RUNNING},
    {"CA", JOB_CANCELLED},
    {"CD", JOB_COMPLETED},
    {"F", JOB_FAILED},
    {"NF", JOB_FAILED},
    {"BF", JOB_FAILED},
    {"RV", JOB_FAILED},
    {"SE", JOB_FAILED},
    {"OOM", JOB_FAILED},
    {"TO", JOB_TIMEOUT},
    {"DL", JOB_TIMEOUT},
    {"PR", JOB_TIMEOUT},
    {"S", JOB_HELD},
    {"ST", JOB_HELD},
    {"RD", JOB_HELD},
    {"RH", JOB_HELD},
    {"RF", JOB_PENDING},
    {"RQ", JOB_PENDING},
    {"RS", JOB_RUNNING},
    {"SI", JOB_RUNNING},
    {"SO", JOB_RUNNING},
    {NULL, JOB_UNKNOWN},
};

/* Lines of "<id> <state> ...", e.g. "17 CANCELLED by 1000"; "17.batch" is a step, not the job. */
static void read_lines(const char *text, struct asked *asked)
{
    struct word w[2];
    for (int n; (n = words_of_line(&text, w, 2)) >= 0;)
        if (n == 2 && isdigit((unsigned char)*w[0].p) && memchr(w[0].p, '.', w[0].n) == NULL) {
            w[1].n -= w[1].p[w[1].n - 1] == '+'; /* cut by sacct: CANCELLED+ */
            asked_state(asked, w[0].p, w[0].n, state_of_word(states, w[1]));
        }
}

static enum reading read_status(struct provider *p, const struct answer *a, struct asked *asked)
{
    struct batch *own = batch_of(p);
    enum mode mode = (enum mode)own->mode;
    if (mode == FIND_OUT) {
        bool off = strstr(a->err, "accounting storage is disabled") != NULL;
        own->mode = a->exit_code == 0 ? SACCT : off ? SQUEUE : SQUEUE_FOR_NOW;
        return READ_AGAIN;
    }
    if (mode == SACCT && a->exit_code != 0) { /* the database is away */
        own->mode = SQUEUE_FOR_NOW;
        return READ_AGAIN;
    }
    if (mode == SQUEUE_FOR_NOW)
        own->mode = FIND_OUT;
    if (mode == SQUEUE_CONFIRMS)
        own->mode = SACCT;
    read_lines(a->out, asked);
    if (mode == SACCT && asked->n == 1 && asked->told[0].what == TOLD_NOTHING) {
        own->mode = SQUEUE_CONFIRMS;
        return READ_AGAIN;
    }
    if (a->exit_code == 0)
        return READ_ALL;
    if (asked->n == 1 && strstr(a->err, "Invalid job id specified") != NULL) { /* aged out */
        asked_gone(asked, asked->ids[0], strlen(asked->ids[0]));
        return READ_SOME;
    }
    return READ_NOTHING;
}

static void cancel_command(struct buf *out, struct provider *p, const char *const *ids, size_t n)
{
    buf_str(out, "scancel");
    clusters(out, p);
    buf_char(out, ' ');
    command_words(out, ids, n, " ");
}

static void cancel_old_command(struct buf *out, struct provider *p, const struct old_job *j)
{
    buf_str(out, "scancel");
    clusters(out, p);
    buf_str(out, " --name=");
    command_word(out, j->name);
    if (*j->id != '\0') {
        buf_char(out, ' ');
        command_word(out, j->id);
    }
}

static const struct batch_kind batch = {
    .script = script,
    .submit_command = submit_command,
    .read_id = read_id,
    .refusal = refusal,
    .status_command = status_command,
    .read_status = read_status,
    .chunk_option = "status_batch_size",
    .cancel_command = cancel_command,
    .cancel_old_command = cancel_old_command,
};

const struct provider_kind provider_slurm = {
    .type = "SlurmProvider",
    .launcher = "SingleNodeLauncher",
    .poll_s = 60,
    .options = options,
    .far = true,
    .script = "",
    .out = ".stdout",
    .err = ".stderr",
    .batch = &batch,
    .check = check,
    .work = &batch_work,
};
