#include "endpoint/launchers/launcher.h"

#include <string.h>

#include "lib/base/alloc.h"

typedef void write_f(struct buf *out, struct json_object *options, const struct launch *l);

static const char *text_option(struct json_object *o, const char *key, const char *otherwise)
{
    struct json_object *v = json_object_object_get(o, key);
    return v != NULL ? json_object_get_string(v) : otherwise;
}

/* Lines for the job's log, as `debug` (default true) has them. */
static bool is_chatty(struct json_object *o)
{
    struct json_object *v = json_object_object_get(o, "debug");
    return v == NULL || json_object_get_boolean(v);
}

static int copies(const struct launch *l)
{
    return l->tasks_per_node * l->nodes;
}

static void say(struct buf *out, struct json_object *o, const char *what)
{
    if (is_chatty(o))
        buf_fmt(out, "echo \"%s\"\n", what);
}

static void local_cores(struct buf *out, struct json_object *o)
{
    buf_str(out, "export CORES=$(getconf _NPROCESSORS_ONLN)\n");
    say(out, o, "Found cores : $CORES");
}

static void slurm_cores(struct buf *out, struct json_object *o)
{
    buf_str(out, "export CORES=$SLURM_CPUS_ON_NODE\nexport NODES=$SLURM_JOB_NUM_NODES\n");
    say(out, o, "Found cores : $CORES");
    say(out, o, "Found nodes : $NODES");
}

/* The command in a file that all nodes see; `job` is the shell variable that names the job.  The
 * here-document is unquoted: variables in the command are those of the job's environment. */
static void command_file(struct buf *out, const struct launch *l, const char *job)
{
    buf_fmt(out,
            "SCRIPT_DIR=\"%s\"\n[[ -d $SCRIPT_DIR ]] || SCRIPT_DIR=\"\"\n"
            "CMD_FILE=\"${SCRIPT_DIR:+$SCRIPT_DIR/}cmd_$%s.sh\"\n"
            "cat << SALLYPORT_EOF > \"$CMD_FILE\"\n%s\nSALLYPORT_EOF\nchmod a+x \"$CMD_FILE\"\n",
            l->script_dir, job, l->command);
}

/* Host file: each node once, next to the scripts and not in the user's home.  Within a Slurm job
 * mpiexec accepts the names of the allocation only, never "localhost". */
static void host_file(struct buf *out)
{
    buf_str(out,
            "HOSTFILE=\"${SCRIPT_DIR:+$SCRIPT_DIR/}$JOBNAME.nodes\"\n"
            "if [ -n \"$PBS_NODEFILE\" ]; then\n    sort -u \"$PBS_NODEFILE\" > \"$HOSTFILE\"\n"
            "elif [ -n \"$SLURM_JOB_NODELIST\" ]; then\n"
            "    scontrol show hostnames \"$SLURM_JOB_NODELIST\" > \"$HOSTFILE\"\n"
            "else\n    echo \"localhost\" > \"$HOSTFILE\"\nfi\n");
}

/* The last command's status decides, and the host file goes. */
static void end_with_host_file(struct buf *out)
{
    buf_str(out, "rm -f \"$HOSTFILE\"\n[ $STATUS -eq 0 ] || exit $STATUS\n");
}

enum cores { NO_CORES, LOCAL_CORES, SLURM_CORES };

static void begin(struct buf *out, struct json_object *o, const struct launch *l, enum cores cores)
{
    buf_str(out, "set -e\n");
    if (cores == LOCAL_CORES)
        local_cores(out, o);
    else if (cores == SLURM_CORES)
        slurm_cores(out, o);
    buf_fmt(out, "WORKERCOUNT=%d\n", copies(l));
}

static void write_simple(struct buf *out, struct json_object *o, const struct launch *l)
{
    buf_fmt(out, "%s\n", l->command);
}

static void write_wrapped(struct buf *out, struct json_object *o, const struct launch *l)
{
    buf_fmt(out, "%s %s\n", text_option(o, "prepend", ""), l->command);
}

static void write_single_node(struct buf *out, struct json_object *o, const struct launch *l)
{
    bool fail_on_any = json_object_get_boolean(json_object_object_get(o, "fail_on_any"));
    begin(out, o, l, LOCAL_CORES);
    buf_fmt(out,
            "PIDS=\"\"\nCMD() {\n%s\n}\nfor COUNT in $(seq 1 1 $WORKERCOUNT); do\n"
            "    CMD $COUNT &\n    PIDS=\"$PIDS $!\"\ndone\n"
            "ALLFAILED=1\nANYFAILED=0\nfor PID in $PIDS; do\n"
            "    if wait $PID; then ALLFAILED=0; else ANYFAILED=1; fi\ndone\n",
            l->command);
    say(out, o, "All workers done");
    buf_fmt(out, "exit $%s\n", fail_on_any ? "ANYFAILED" : "ALLFAILED");
}

static void write_srun(struct buf *out, struct json_object *o, const struct launch *l)
{
    begin(out, o, l, SLURM_CORES);
    command_file(out, l, "SLURM_JOB_NAME");
    buf_fmt(out, "srun --ntasks %d -l %s bash \"$CMD_FILE\"\n", copies(l),
            text_option(o, "overrides", ""));
    say(out, o, "Done");
}

static void write_srun_mpi(struct buf *out, struct json_object *o, const struct launch *l)
{
    const char *overrides = text_option(o, "overrides", "");
    begin(out, o, l, SLURM_CORES);
    command_file(out, l, "SLURM_JOB_NAME");
    buf_fmt(out,
            "if (( WORKERCOUNT > NODES )); then\n"
            "    for COUNT in $(seq 1 1 $WORKERCOUNT); do\n"
            "        srun --ntasks $((NODES * CORES / WORKERCOUNT)) -l %s bash \"$CMD_FILE\" &\n"
            "    done\nelse\n    for COUNT in $(seq 1 1 $WORKERCOUNT); do\n"
            "        srun --exclusive --nodes $((NODES / WORKERCOUNT)) -l %s bash \"$CMD_FILE\" &\n"
            "    done\nfi\nwait\n",
            overrides, overrides);
    say(out, o, "Done");
}

static void write_aprun(struct buf *out, struct json_object *o, const struct launch *l)
{
    begin(out, o, l, NO_CORES);
    command_file(out, l, "JOBNAME");
    buf_fmt(out, "aprun -n %d -N %d %s /bin/bash \"$CMD_FILE\" &\nwait\n", copies(l),
            l->tasks_per_node, text_option(o, "overrides", ""));
    say(out, o, "Done");
}

static void write_jsrun(struct buf *out, struct json_object *o, const struct launch *l)
{
    begin(out, o, l, NO_CORES);
    command_file(out, l, "JOBNAME");
    buf_fmt(out, "jsrun -n %d -r %d %s /bin/bash \"$CMD_FILE\" &\nwait\n", copies(l),
            l->tasks_per_node, text_option(o, "overrides", ""));
    say(out, o, "Done");
}

static void write_mpiexec(struct buf *out, struct json_object *o, const struct launch *l)
{
    begin(out, o, l, LOCAL_CORES);
    command_file(out, l, "JOBNAME");
    host_file(out);
    buf_fmt(out,
            "STATUS=0\nmpiexec %s none %s -n $WORKERCOUNT --hostfile \"$HOSTFILE\" /usr/bin/sh "
            "\"$CMD_FILE\" || STATUS=$?\n",
            text_option(o, "bind_cmd", "--bind-to"), text_option(o, "overrides", ""));
    end_with_host_file(out);
    say(out, o, "All workers done");
}

static void write_mpirun(struct buf *out, struct json_object *o, const struct launch *l)
{
    begin(out, o, l, LOCAL_CORES);
    command_file(out, l, "JOBNAME");
    buf_fmt(out, "mpirun -np $WORKERCOUNT %s %s \"$CMD_FILE\"\n", text_option(o, "overrides", ""),
            text_option(o, "bash_location", "/bin/bash"));
    say(out, o, "All workers done");
}

static void write_parallel(struct buf *out, struct json_object *o, const struct launch *l)
{
    begin(out, o, l, LOCAL_CORES);
    command_file(out, l, "JOBNAME");
    host_file(out);
    buf_fmt(
        out,
        "PFILE=\"$CMD_FILE.parallel\"\n: > \"$PFILE\"\n"
        "for COUNT in $(seq 1 1 $WORKERCOUNT); do\n    echo \"sh $CMD_FILE\" >> \"$PFILE\"\ndone\n"
        "STATUS=0\nparallel --env _ --joblog "
        "\"${SCRIPT_DIR:+$SCRIPT_DIR/}$JOBNAME.sh.parallel.log\" "
        "--sshloginfile \"$HOSTFILE\" --jobs %d < \"$PFILE\" || STATUS=$?\n",
        l->tasks_per_node);
    end_with_host_file(out);
    say(out, o, "All workers done");
}

static const struct kind {
    const char *type, *options; /* known keys, each with a blank behind */
    write_f *write;
} kinds[] = {
    {"SimpleLauncher", "debug ", write_simple},
    {"SingleNodeLauncher", "debug fail_on_any ", write_single_node},
    {"SrunLauncher", "debug overrides ", write_srun},
    {"SrunMPILauncher", "debug overrides ", write_srun_mpi},
    {"AprunLauncher", "debug overrides ", write_aprun},
    {"JsrunLauncher", "debug overrides ", write_jsrun},
    {"MpiExecLauncher", "debug bind_cmd overrides ", write_mpiexec},
    {"MpiRunLauncher", "debug bash_location overrides ", write_mpirun},
    {"GnuParallelLauncher", "debug ", write_parallel},
    {"WrappedLauncher", "debug prepend ", write_wrapped},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const struct kind *kind_of(const char *type)
{
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(kinds[i].type, type) == 0)
            return &kinds[i];
    return NULL;
}

const char *launcher_type(struct json_object *launcher, const char *otherwise)
{
    return launcher != NULL ? json_str_or(launcher, "type", "") : otherwise;
}

static int check_options(const struct kind *k, struct json_object *launcher, struct err *err)
{
    json_object_object_foreach(launcher, key, value)
    {
        autofree char *word = xasprintf("%s ", key);
        if (strcmp(key, "type") == 0 || value == NULL)
            continue;
        if (strchr(key, ' ') != NULL || strstr(k->options, word) == NULL)
            return err_set(err, "launcher %s does not know the option %s; it knows: %s", k->type,
                           key, k->options);
        bool wants_bool = strcmp(key, "debug") == 0 || strcmp(key, "fail_on_any") == 0;
        enum json_type t = json_object_get_type(value);
        if (t == json_type_array || t == json_type_object || (wants_bool && t == json_type_string))
            return err_set(err, "launcher option %s must be %s, it is %s", key,
                           wants_bool ? "true or false" : "text", json_kind(value));
    }
    if (strstr(k->options, "prepend ") != NULL &&
        json_object_object_get(launcher, "prepend") == NULL)
        return err_set(
            err, "launcher %s needs the option prepend: what to write before the command", k->type);
    return 0;
}

int launcher_check(struct json_object *launcher, const char *otherwise, struct err *err)
{
    if (launcher == NULL)
        return 0;
    if (!json_object_is_type(launcher, json_type_object))
        return err_set(err, "launcher must be a mapping with a type, it is %s",
                       json_kind(launcher));
    const struct kind *k = kind_of(launcher_type(launcher, otherwise));
    if (k != NULL)
        return check_options(k, launcher, err);
    autobuf struct buf known = BUF_INIT;
    for (size_t i = 0; i < KINDS; i++)
        buf_fmt(&known, "%s%s", i > 0 ? ", " : "", kinds[i].type);
    return err_set(err, "launcher type %s is not known; known are %s",
                   launcher_type(launcher, otherwise), known.data);
}

void launcher_write(struct buf *out, struct json_object *launcher, const char *otherwise,
                    const struct launch *l)
{
    kind_of(launcher_type(launcher, otherwise))->write(out, launcher, l);
}
