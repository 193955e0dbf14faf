/* SlurmProvider: sbatch, sacct (or squeue where accounting is off), scancel. */
#include <ctype.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint/providers/batch.h"
#include "lib/base/alloc.h"

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
    {"scheduler_options", OPT_TEXT, "\"\""},
    {"regex_job_id", OPT_TEXT, "\"Submitted batch job (?P<id>\\\\S*)\""},
    {"cmd_timeout", OPT_INT, "10"},
    {"status_batch_size", OPT_INT, "50"},
    {"exclusive", OPT_BOOL, "true"},
    {"move_files", OPT_ANY, NULL},
    {NULL, OPT_ANY, NULL},
};

static void directive(struct buf *out, struct provider *p, const char *key, const char *flag)
{
    if (provider_has(p, key))
        buf_fmt(out, "#SBATCH --%s=%s\n", flag, provider_text(p, key));
}

static void directives(struct buf *out, struct provider *p, const char *job, const char *path)
{
    int64_t seconds = walltime_seconds(json_at(p->options, "walltime"), NULL);
    buf_fmt(out, "#SBATCH --job-name=%s\n#SBATCH --output=%s.stdout\n#SBATCH --error=%s.stderr\n",
            job, path, path);
    buf_fmt(out, "#SBATCH --nodes=%lld\n#SBATCH --time=%lld\n#SBATCH --ntasks-per-node=1\n",
            (long long)provider_int(p, "nodes_per_block"),
            (long long)(seconds > 60 ? (seconds + 59) / 60 : 1));
    batch_line(out, provider_text(p, "scheduler_options"));
    if (provider_bool(p, "exclusive"))
        buf_str(out, "#SBATCH --exclusive\n");
    directive(out, p, "partition", "partition");
    directive(out, p, "account", "account");
    directive(out, p, "qos", "qos");
    directive(out, p, "constraint", "constraint");
    directive(out, p, "clusters", "clusters");
    directive(out, p, "gpus_per_node", "gpus-per-node");
    directive(out, p, "gres", "gres");
    if (provider_has(p, "mem_per_node"))
        buf_fmt(out, "#SBATCH --mem=%sg\n", provider_text(p, "mem_per_node"));
    directive(out, p, "cores_per_node", "cpus-per-task");
}

static void exports(struct buf *out, struct provider *p)
{
    if (provider_has(p, "mem_per_node"))
        buf_fmt(out, "export PARSL_MEMORY_GB=%s\n", provider_text(p, "mem_per_node"));
    if (provider_has(p, "cores_per_node"))
        buf_fmt(out, "export PARSL_CORES=%s\n", provider_text(p, "cores_per_node"));
}

static void submit_command(struct buf *out, struct provider *p, const char *path)
{
    buf_fmt(out, "sbatch %s", path);
}

/* The site's expression names the id: text before the group, then the id up to a blank. */
static bool read_id(struct provider *p, const char *answer, struct buf *id)
{
    const char *pattern = provider_text(p, "regex_job_id");
    const char *group = strstr(pattern, "(?P<id>");
    size_t n = group != NULL ? (size_t)(group - pattern) : 0;
    for (; *answer != '\0'; answer += strcspn(answer, "\n"), answer += *answer == '\n') {
        if (n == 0 || strncmp(answer, pattern, n) != 0)
            continue;
        size_t len = strcspn(answer + n, " \t\r\n;");
        buf_add(id, answer + n, len);
        return len > 0;
    }
    return false;
}

static void clusters(struct buf *out, struct provider *p)
{
    if (provider_has(p, "clusters"))
        buf_fmt(out, " --clusters=%s", provider_text(p, "clusters"));
}

/* sacct knows ended jobs; where accounting is off it fails and squeue is asked instead, all in one
 * command so that nothing has to be found out beforehand. */
static void status_command(struct buf *out, struct provider *p, const char *const *ids, size_t n)
{
    autobuf struct buf list = BUF_INIT, where = BUF_INIT;
    batch_ids(&list, ids, n, ",");
    clusters(&where, p);
    const char *cluster = where.data != NULL ? where.data : "";
    buf_fmt(out,
            "sacct%s -X --noheader --format=jobid,state%%20 --job '%s' 2>/dev/null ||"
            " squeue%s --noheader --format='%%i %%t' --job '%s'",
            cluster, list.data, cluster, list.data);
}

static enum job_state state_of(const char *word, size_t n)
{
    static const struct {
        const char *word;
        enum job_state state;
    } table[] = {
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
        {"PD", JOB_PENDING},
        {"CF", JOB_PENDING},
        {"R", JOB_RUNNING},
        {"CG", JOB_RUNNING},
        {"CA", JOB_CANCELLED},
        {"CD", JOB_COMPLETED},
        {"F", JOB_FAILED},
        {"NF", JOB_FAILED},
        {"RV", JOB_FAILED},
        {"SE", JOB_FAILED},
        {"TO", JOB_TIMEOUT},
        {"OOM", JOB_FAILED},
        {"DL", JOB_TIMEOUT},
        {"PR", JOB_TIMEOUT},
        {"S", JOB_HELD},
        {"RQ", JOB_PENDING},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strlen(table[i].word) == n && strncmp(table[i].word, word, n) == 0)
            return table[i].state;
    return JOB_UNKNOWN;
}

/* Lines of "<id> <state> ...", e.g. "17 CANCELLED by 1000". */
static bool read_status(struct provider *p, const char *answer, struct batch_query *q)
{
    while (*answer != '\0') {
        const char *line = answer + strspn(answer, " \t");
        size_t id = strcspn(line, " \t\n");
        const char *word = line + id + strspn(line + id, " \t");
        size_t n = strcspn(word, " \t\n+");
        if (id > 0 && n > 0 && isdigit((unsigned char)*line))
            batch_found(q, line, id, state_of(word, n));
        answer += strcspn(answer, "\n");
        answer += *answer == '\n';
    }
    return true;
}

static void cancel_command(struct buf *out, struct provider *p, const char *const *ids, size_t n)
{
    buf_str(out, "scancel");
    clusters(out, p);
    buf_char(out, ' ');
    batch_ids(out, ids, n, " ");
}

static const struct batch_kind batch = {
    .suffix = "",
    .directives = directives,
    .exports = exports,
    .submit_command = submit_command,
    .read_id = read_id,
    .status_command = status_command,
    .read_status = read_status,
    .cancel_command = cancel_command,
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

const struct provider_kind provider_slurm = {
    .type = "SlurmProvider",
    .launcher = "SingleNodeLauncher",
    .poll_s = 60,
    .options = options,
    .submit = submit,
    .poll = poll_jobs,
    .cancel = cancel,
};
