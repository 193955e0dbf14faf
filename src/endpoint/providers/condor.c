/* CondorProvider: condor_submit, condor_q, condor_rm.  A block is one job of one cluster; the bash
 * script is transferred, the submit description names it. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "endpoint/providers/batch.h"

static const struct option_spec options[] = {
    {"cores_per_slot", OPT_INT, NULL},
    {"mem_per_slot", OPT_NUMBER, NULL},
    {"environment", OPT_MAP, NULL},
    {"project", OPT_TEXT, "\"\""},
    {"scheduler_options", OPT_LINES, "\"\""},
    {"transfer_input_files", OPT_LIST, "[]"},
    {"walltime", OPT_DURATION, "\"00:10:00\""}, /* without effect, as in the original */
    {"requirements", OPT_TEXT, "\"\""},
    {"cmd_timeout", OPT_INT, "60"},
    {"cmd_chunk_size", OPT_INT, "100"},
    /* What the scaling formula calls them: a slot is a node. */
    {"cores_per_node", OPT_INT, NULL},
    {"mem_per_node", OPT_NUMBER, NULL},
    {NULL, OPT_ANY, NULL},
};

static int check(struct json_object *o, struct err *err)
{
    static const char *const derived[] = {"cores_per_node", "mem_per_node"};
    for (size_t i = 0; i < 2; i++)
        if (json_object_object_get(o, derived[i]) != NULL)
            return err_set(err, "provider CondorProvider does not know the option %s", derived[i]);
    return 0;
}

static void derive(struct json_object *o)
{
    struct json_object *cores = json_object_object_get(o, "cores_per_slot");
    struct json_object *memory = json_object_object_get(o, "mem_per_slot");
    if (cores != NULL)
        json_add(o, "cores_per_node", json_object_get(cores));
    if (memory != NULL)
        json_add(o, "mem_per_node", json_object_get(memory));
}

static void second(struct buf *out, struct provider *p, const struct batch_job *j)
{
    batch_line(out, provider_text(p, "worker_init"));
    if (provider_has(p, "mem_per_slot")) {
        buf_str(out, "export PARSL_MEMORY_GB=");
        batch_number(out, json_object_object_get(p->options, "mem_per_slot"), 1);
        buf_char(out, '\n');
    }
    if (provider_has(p, "cores_per_slot"))
        buf_fmt(out, "export PARSL_CORES=%s\n", provider_text(p, "cores_per_slot"));
    buf_char(out, '\n');
    batch_line(out, j->script);
}

/* In a quoted environment both quotes become a doubled double quote, as the original has it. */
static void environment(struct buf *out, struct provider *p, const struct batch_job *j)
{
    struct json_object *map = json_object_object_get(p->options, "environment");
    buf_str(out, "environment             = \"");
    if (map != NULL) {
        json_object_object_foreach(map, key, value)
        {
            buf_fmt(out, "%s='", key);
            for (const char *c = json_object_get_string(value); *c != '\0'; c++)
                if (*c == '\'' || *c == '"')
                    buf_str(out, "\"\"");
                else
                    buf_char(out, *c);
            buf_str(out, "' ");
        }
    }
    buf_fmt(out, "JOBNAME='%s'\"\n", j->name);
}

static void input_files(struct buf *out, struct provider *p, const struct batch_job *j)
{
    struct json_object *list = json_object_object_get(p->options, "transfer_input_files");
    buf_fmt(out, "transfer_input_files    = %s/%s.script", p->script_dir, j->name);
    for (size_t i = 0; i < json_object_array_length(list); i++)
        buf_fmt(out, ",%s", json_object_get_string(json_object_array_get_idx(list, i)));
    buf_char(out, '\n');
}

static void script(struct buf *out, struct provider *p, const struct batch_job *j)
{
    buf_str(out, "\nuniverse                = vanilla\n"
                 "should_transfer_files   = YES\n"
                 "when_to_transfer_output = ON_EXIT_OR_EVICT\n"
                 "Transfer_Executable     = false\n");
    input_files(out, p, j);
    buf_fmt(out, "machine_count           = %s\n", provider_text(p, "nodes_per_block"));
    buf_fmt(out, "output                  = %s/%s.stdout\n", p->script_dir, j->name);
    buf_fmt(out, "error                   = %s/%s.stderr\n", p->script_dir, j->name);
    buf_fmt(out, "log                     = %s/%s.log\n", p->script_dir, j->name);
    buf_fmt(out,
            "executable              = /bin/bash\n"
            "arguments               = %s.script\n",
            j->name);
    buf_fmt(out, "requirements            = %s\n", provider_text(p, "requirements"));
    buf_fmt(out, "+projectname            = %s\n", provider_text(p, "project"));
    buf_str(out, "leave_in_queue          = TRUE\n");
    environment(out, p, j);
    batch_line(out, provider_text(p, "scheduler_options"));
    if (provider_has(p, "mem_per_slot")) {
        buf_str(out, "RequestMemory = ");
        batch_number(out, json_object_object_get(p->options, "mem_per_slot"), 1024);
        buf_char(out, '\n');
    }
    if (provider_has(p, "cores_per_slot"))
        buf_fmt(out, "RequestCpus = %s\n", provider_text(p, "cores_per_slot"));
    buf_str(out, "\nqueue\n");
}

static void submit_command(struct buf *out, struct provider *p, const struct batch_job *j)
{
    buf_str(out, "condor_submit ");
    command_word(out, j->path);
}

/* "1 job(s) submitted to cluster 118907." gives 118907.0 */
static bool read_id(struct provider *p, const char *answer, struct buf *id)
{
    struct word w[6];
    for (int n; (n = words_of_line(&answer, w, 6)) >= 0;) {
        if (n < 6 || !isdigit((unsigned char)*w[0].p) || !word_is(w[4], "cluster") ||
            !isdigit((unsigned char)*w[5].p))
            continue;
        size_t len = w[5].n - (w[5].p[w[5].n - 1] == '.');
        buf_add(id, w[5].p, len);
        buf_str(id, ".0");
        return true;
    }
    return false;
}

static void refusal(struct buf *out, struct provider *p, const struct batch_job *j,
                    const char *command, const struct answer *a)
{
    buf_fmt(out,
            "Unable to scale out condor provider: Command '%s' failed with return code %d and "
            "standard output '%.2000s' and standard error '%.2000s'",
            command, a->exit_code, a->out, a->err);
}

static void status_command(struct buf *out, struct provider *p, const char *const *ids, size_t n)
{
    buf_str(out, "condor_q ");
    command_words(out, ids, n, " ");
    buf_str(out, " -af:jr JobStatus");
}

static const struct state_word states[] = {
    {"1", JOB_PENDING},  {"2", JOB_RUNNING}, {"3", JOB_CANCELLED}, {"4", JOB_COMPLETED},
    {"5", JOB_FAILED},   {"6", JOB_FAILED},  {"7", JOB_RUNNING}, /* suspended on its machine; it
                                                                    goes on by itself */
    {NULL, JOB_UNKNOWN},
};

static enum reading read_status(struct provider *p, const struct answer *a, struct asked *asked)
{
    if (a->exit_code != 0)
        return READ_NOTHING;
    asked_read_table(asked, a->out, 1, states);
    return READ_ALL;
}

static void cancel_command(struct buf *out, struct provider *p, const char *const *ids, size_t n)
{
    buf_str(out, "condor_rm ");
    command_words(out, ids, n, " ");
    buf_str(out, "; condor_rm -forcex ");
    command_words(out, ids, n, " ");
}

/* The script's name is the job's only argument. */
static void cancel_old_command(struct buf *out, struct provider *p, const struct old_job *j)
{
    autobuf struct buf which = BUF_INIT, word = BUF_INIT;
    buf_fmt(&which, "Args == \"%s.script\" || Arguments == \"%s.script\"", j->name, j->name);
    command_word(&word, which.data);
    buf_fmt(out,
            "{ ids=$(condor_q -constraint %s -af:jr JobStatus) && { [ -z \"$ids\" ] || { condor_rm "
            "-constraint %s; condor_rm -forcex -constraint %s; }; }; }",
            word.data, word.data, word.data);
}

static const struct batch_kind batch = {
    .script = script,
    .second_suffix = ".script",
    .second = second,
    .submit_command = submit_command,
    .read_id = read_id,
    .refusal = refusal,
    .status_command = status_command,
    .read_status = read_status,
    .chunk_option = "cmd_chunk_size",
    .cancel_command = cancel_command,
    .cancel_old_command = cancel_old_command,
};

const struct provider_kind provider_condor = {
    .type = "CondorProvider",
    .launcher = "SingleNodeLauncher",
    .poll_s = 60,
    .options = options,
    .far = true,
    .name_prefix = "parsl.",
    .script = ".submit",
    .out = ".stdout",
    .err = ".stderr",
    .batch = &batch,
    .check = check,
    .derive = derive,
    .work = &batch_work,
};
