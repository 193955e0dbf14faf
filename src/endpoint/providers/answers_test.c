/* The parsers of the batch systems on recorded answers (tests/data/scheduler-samples; OpenPBS
 * 23.06 and Slurm 22.05 with and without accounting, and Slurm's wrappers of Torque's commands),
 * and on answers in the form of the manuals for systems that could not be recorded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "endpoint/providers/batch.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"

#define IDS_MAX 8

static struct loop *loop;
static char dir[] = "/tmp/sallyport-answers-XXXXXX";
static struct provider *provider;
static struct asked asked;
static const char *ids[IDS_MAX];

static void use(const char *options)
{
    struct err err = ERR_INIT;
    autojson struct json_object *o = json_tokener_parse(options);
    asked_free(&asked);
    asked = (struct asked){.n = 0};
    provider_destroy(provider);
    provider = provider_create(loop, o, dir, &err);
    if (provider == NULL)
        fail_msg("%s", err.text);
}

/* ---- recorded answers: "$ command", "--- stdout", ..., "--- exit status N" ------------------- */

struct sample {
    struct buf out, err;
    int exit_code;
};

static char *line_of(char **at)
{
    char *line = *at, *end = strchr(line, '\n');
    if (*line == '\0')
        return NULL;
    *at = end != NULL ? end + 1 : line + strlen(line);
    if (end != NULL)
        *end = '\0';
    return line;
}

/* The nth (from 1) command of the file that begins with `command`. */
static struct sample sample(const char *file, const char *command, int nth)
{
    autofree char *path = xasprintf("%s/scheduler-samples/%s.txt", TEST_DATA, file);
    autobuf struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    struct sample s = {.exit_code = -2};
    struct buf *into = NULL;
    bool mine = false;
    if (fs_read(path, 1 << 20, &text, &err) != 0)
        fail_msg("%s", err.text);
    char *at = text.data, *line;
    while ((line = line_of(&at)) != NULL) {
        if (strncmp(line, "$ ", 2) == 0) {
            mine = strncmp(line + 2, command, strlen(command)) == 0 && --nth == 0;
            into = NULL;
        } else if (strcmp(line, "--- stdout") == 0) {
            into = &s.out;
        } else if (strcmp(line, "--- stderr") == 0) {
            into = &s.err;
        } else if (strncmp(line, "--- exit status ", 16) == 0) {
            if (mine) {
                s.exit_code = atoi(line + 16);
                return s;
            }
            into = NULL;
        } else if (mine && into != NULL) {
            buf_fmt(into, "%s\n", line);
        }
    }
    fail_msg("%s has no such command: %s", file, command);
    return s;
}

static enum reading read_answer(const char *out, const char *err_text, int code,
                                const char *asked_ids)
{
    static char text[256];
    char *save = NULL;
    size_t n = 0;
    snprintf(text, sizeof(text), "%s", asked_ids);
    asked_free(&asked);
    for (char *id = strtok_r(text, " ", &save); id != NULL; id = strtok_r(NULL, " ", &save))
        ids[n++] = id;
    asked_init(&asked, ids, n);
    struct answer a = {.exit_code = code, .out = out, .err = err_text};
    return provider->kind->batch->read_status(provider, &a, &asked);
}

static enum reading read_sample(const char *file, const char *command, int nth, const char *which)
{
    struct sample s = sample(file, command, nth);
    enum reading r = read_answer(s.out.data != NULL ? s.out.data : "",
                                 s.err.data != NULL ? s.err.data : "", s.exit_code, which);
    buf_free(&s.out);
    buf_free(&s.err);
    return r;
}

static void is_state(size_t i, enum job_state state)
{
    assert_int_equal(asked.told[i].what, TOLD_STATE);
    assert_string_equal(job_state_name(asked.told[i].state), job_state_name(state));
}

static void is_nothing(size_t i)
{
    assert_int_equal(asked.told[i].what, TOLD_NOTHING);
}

static void is_gone(size_t i)
{
    assert_int_equal(asked.told[i].what, TOLD_GONE);
}

static void id_is(const char *answer, const char *id)
{
    autobuf struct buf out = BUF_INIT;
    bool found = provider->kind->batch->read_id(provider, answer, &out);
    if (id == NULL) {
        assert_false(found && out.len > 0);
        return;
    }
    assert_true(found);
    assert_string_equal(out.data, id);
}

static void command_is(const char *text)
{
    autobuf struct buf out = BUF_INIT;
    provider->kind->batch->status_command(&out, provider, asked.ids, asked.n);
    assert_string_equal(out.data, text);
}

/* ---- PBS Pro --------------------------------------------------------------------------------- */

#define PBS "{\"type\": \"PBSProProvider\"}"

static void pbs_states(void **state)
{
    use(PBS);
    const char *c = "qstat -x -f -F json";
    assert_int_equal(read_sample("openpbs-qstat-json-queued", c, 1, "5.vm"), READ_ALL);
    is_state(0, JOB_PENDING);
    read_sample("openpbs-qstat-json-running", c, 1, "0.vm.example.org");
    is_state(0, JOB_RUNNING);
    assert_int_equal(asked.told[0].exit_code, -1);
    read_sample("openpbs-qstat-json-held", c, 1, "4.vm");
    is_state(0, JOB_HELD);
    read_sample("openpbs-qstat-json-finished", c, 1, "0.vm");
    is_state(0, JOB_COMPLETED);
    assert_int_equal(asked.told[0].exit_code, 271);
    read_sample("openpbs-qstat-json-failed", c, 1, "1.vm");
    is_state(0, JOB_COMPLETED);
    assert_int_equal(asked.told[0].exit_code, 3);
    read_sample("openpbs-qstat-json-timeout", c, 1, "3.vm");
    is_state(0, JOB_COMPLETED);
    assert_non_null(strstr(asked.told[0].note, "exceeded resource walltime"));
    command_is("qstat -x -f -F json 3.vm");
}

static void pbs_unknown_ids(void **state)
{
    use(PBS);
    const char *c = "qstat -x -f -F json";
    assert_int_equal(read_sample("openpbs-qstat-json-unknown", c, 1, "99999.vm"), READ_SOME);
    is_gone(0);
    read_sample("openpbs-qstat-json-unknown", c, 2, "99998.vm 99999.vm 7.vm");
    is_gone(0);
    is_gone(1);
    is_nothing(2);
    assert_int_equal(read_sample("openpbs-qstat-json-unknown", c, 3, "7.vm"), READ_NOTHING);
    is_nothing(0);
    assert_int_equal(
        read_answer("{\"Jobs\": {\"21.vm\": {\"job_state\": \"F\", \"Exit_status\": 3}, "
                    "\"22.vm\": {\"job_state\": \"Q\"}}}",
                    "qstat: Unknown Job Id 99999.vm\n", 153, "21.vm 99999.vm 22.vm 8.vm"),
        READ_SOME);
    is_state(0, JOB_COMPLETED);
    is_gone(1);
    is_state(2, JOB_PENDING);
    is_nothing(3);
    /* asked without history: what has finished is named, the others are answered */
    assert_int_equal(
        read_answer("{\"Jobs\": {\"22.vm\": {\"job_state\": \"Q\"}}}",
                    "qstat: 21.vm Job has finished, use -x or -H to obtain historical job "
                    "information\n",
                    35, "21.vm 22.vm"),
        READ_SOME);
    is_gone(0);
    is_state(1, JOB_PENDING);
}

/* A version that answers for one of several ids: nothing follows for the others but a question. */
static void pbs_one_of_many(void **state)
{
    use(PBS);
    assert_int_equal(
        read_answer("{\"Jobs\": {\"26.vm\": {\"job_state\": \"R\"}}}", "", 0, "26.vm 27.vm 28.vm"),
        READ_ALL);
    is_state(0, JOB_RUNNING);
    is_nothing(1);
    is_nothing(2);
}

static void pbs_without_history(void **state)
{
    use(PBS);
    const char *c = "qstat -x -f -F json";
    assert_int_equal(read_sample("openpbs-no-history", c, 2, "23.vm"), READ_AGAIN);
    is_nothing(0);
    command_is("qstat -f -F json 23.vm");
    assert_int_equal(read_sample("openpbs-no-history", "qstat -f -F json 21.vm", 1, "21.vm"),
                     READ_SOME);
    is_gone(0);
}

static void pbs_broken_json(void **state)
{
    use(PBS);
    assert_int_equal(
        read_answer("{\"Jobs\": {\"1.vm\": {\"Variable_List\": \"a\"b\"}}}", "", 0, "1.vm"),
        READ_AGAIN);
    is_nothing(0);
    command_is("qstat -x 1.vm");
    assert_int_equal(read_sample("openpbs-qstat-table", "qstat -x", 1, "1.vm 4.vm 5.vm 77.vm"),
                     READ_ALL);
    is_state(0, JOB_COMPLETED);
    is_state(1, JOB_HELD);
    is_state(2, JOB_PENDING);
    is_nothing(3);
}

static void pbs_server_down(void **state)
{
    use(PBS);
    assert_int_equal(read_sample("openpbs-server-down", "# no server", 1, "1.vm"), READ_NOTHING);
    is_nothing(0);
}

static void pbs_ids(void **state)
{
    use(PBS);
    struct sample s = sample("openpbs-qsub-ok", "qsub -q debug-scaling", 1);
    id_is(s.out.data, "0.vm");
    buf_free(&s.out);
    id_is("a greeting of the site\n\n  123.pbs-01.example.org  \n\n", "123.pbs-01.example.org");
    id_is("\n \n", NULL);
}

static void short_ids(void **state)
{
    use(PBS);
    read_answer(
        "{\"Jobs\": {\"1.vm\": {\"job_state\": \"R\"}, \"123.pbs\": {\"job_state\": \"Q\"}}}", "",
        0, "12.vm 1.vm 123.pbs-01.example.org 11.vm");
    is_nothing(0);
    is_state(1, JOB_RUNNING);
    is_state(2, JOB_PENDING);
    is_nothing(3);
}

/* ---- Torque ---------------------------------------------------------------------------------- */

static void torque(void **state)
{
    use("{\"type\": \"TorqueProvider\"}");
    const char *f = "slurm-torque-wrappers-qstat";
    assert_int_equal(read_sample(f, "qstat 30 31", 1, "30 31"), READ_ALL);
    is_state(0, JOB_RUNNING);
    is_state(1, JOB_RUNNING);
    command_is("qstat 30 31");
    read_sample(f, "qstat", 2, "21 28 99");
    is_state(0, JOB_PENDING);
    is_state(1, JOB_COMPLETED);
    is_nothing(2);
    read_sample(f, "qstat 99999", 1, "99999");
    is_gone(0);
    assert_int_equal(read_sample(f, "qstat 30 99999", 1, "30 99999"), READ_ALL);
    is_state(0, JOB_RUNNING);
    is_nothing(1);
    read_sample("openpbs-qstat-table", "qstat 0.vm 2.vm", 1, "0.vm 2.vm");
    is_state(0, JOB_RUNNING);
    read_sample("openpbs-qstat-unknown", "qstat 99999.vm 0.vm", 1, "99999.vm 0.vm");
    is_gone(0);
    is_state(1, JOB_RUNNING);
    assert_int_equal(read_sample("openpbs-qstat-unknown", "qstat 1.otherhost", 1, "1.otherhost"),
                     READ_NOTHING);
    id_is("1017.torque.example.org\n", "1017.torque.example.org");
}

/* ---- Slurm ----------------------------------------------------------------------------------- */

#define SLURM "{\"type\": \"SlurmProvider\"}"

static void slurm_finds_out(void **state)
{
    use(SLURM);
    asked_free(&asked);
    ids[0] = "2";
    asked_init(&asked, ids, 1);
    command_is("sacct -X");
    assert_int_equal(read_sample("slurm-accounting-status-probe", "sacct", 1, "2 3"), READ_AGAIN);
    command_is("sacct -X --noheader --format=jobid,state%20 --job '2,3'");
    use(SLURM);
    assert_int_equal(read_sample("slurm-plain-status-probe", "sacct", 1, "2"), READ_AGAIN);
    command_is("squeue --noheader --format='%i %t' --job '2'");
}

static void accounting(void)
{
    use(SLURM);
    read_sample("slurm-accounting-status-probe", "sacct", 1, "2");
}

static void slurm_sacct(void **state)
{
    accounting();
    const char *c = "sacct -X --noheader";
    read_sample("slurm-accounting-status-pending", c, 1, "5");
    is_state(0, JOB_PENDING);
    read_sample("slurm-accounting-status-completed", c, 1, "2");
    is_state(0, JOB_COMPLETED);
    read_sample("slurm-accounting-status-failed", c, 1, "3");
    is_state(0, JOB_FAILED);
    read_sample("slurm-accounting-timeout", c, 1, "1");
    is_state(0, JOB_TIMEOUT);
    read_sample("slurm-accounting-scancel", c, 1, "4");
    is_state(0, JOB_CANCELLED);
    read_sample("slurm-accounting-node-fail", c, 1, "20");
    is_state(0, JOB_FAILED);
    read_sample("slurm-accounting-node-fail", c, 2, "21"); /* requeued by Slurm */
    is_state(0, JOB_PENDING);
    assert_int_equal(read_sample("slurm-accounting-status-mixed", c, 1, "2 3 4 1 20 6 99999"),
                     READ_ALL);
    is_state(0, JOB_COMPLETED);
    is_state(1, JOB_FAILED);
    is_state(2, JOB_CANCELLED);
    is_state(3, JOB_TIMEOUT);
    is_state(4, JOB_FAILED);
    is_state(5, JOB_COMPLETED);
    is_nothing(6);
    /* foreign ids and steps are not ours */
    read_answer("2.batch COMPLETED\n77 FAILED\n2 RUNNING\n2 COMPLETED\n", "", 0, "2");
    is_state(0, JOB_RUNNING);
}

/* The database does not know a job: squeue has the last word. */
static void slurm_database_lags(void **state)
{
    accounting();
    assert_int_equal(read_sample("slurm-accounting-status-unknown", "sacct -X", 2, "7 8"),
                     READ_ALL);
    is_nothing(0);
    assert_int_equal(read_sample("slurm-accounting-status-unknown", "sacct -X", 1, "7"),
                     READ_AGAIN);
    command_is("squeue --noheader --format='%i %t' --job '7'");
    assert_int_equal(read_answer("7 R\n", "", 0, "7"), READ_ALL);
    is_state(0, JOB_RUNNING);
    read_sample("slurm-accounting-status-unknown", "sacct -X", 1, "7");
    read_sample("slurm-accounting-status-unknown", "squeue", 1, "7");
    is_gone(0);
    command_is("sacct -X --noheader --format=jobid,state%20 --job '7'");
}

static void slurm_database_gone(void **state)
{
    accounting();
    assert_int_equal(read_sample("slurm-database-gone", "S=$SECONDS; timeout 60 sacct", 1, "1"),
                     READ_AGAIN);
    command_is("squeue --noheader --format='%i %t' --job '1'");
    read_sample("slurm-accounting-status-running", "squeue --noheader", 1, "2");
    is_state(0, JOB_RUNNING);
    command_is("sacct -X"); /* the next poll tries the database again */
}

static void plain(void)
{
    use(SLURM);
    read_sample("slurm-plain-status-probe", "sacct", 1, "2");
}

static void slurm_squeue(void **state)
{
    plain();
    const char *c = "squeue --noheader --format='%i %t'";
    read_sample("slurm-plain-status-pending", c, 1, "10");
    is_state(0, JOB_PENDING);
    read_sample("slurm-plain-status-running", c, 1, "7");
    is_state(0, JOB_RUNNING);
    assert_int_equal(read_sample("slurm-plain-status-completed", c, 1, "7"), READ_ALL);
    is_nothing(0);
    assert_int_equal(read_sample("slurm-plain-status-unknown", c, 1, "99999"), READ_SOME);
    is_gone(0);
    assert_int_equal(read_sample("slurm-plain-status-unknown", c, 2, "99998 99999"), READ_ALL);
    is_nothing(0);
    read_sample("slurm-plain-status-unknown", c, 3, "7 99999");
    is_state(0, JOB_RUNNING);
    is_nothing(1);
    assert_int_equal(read_sample("slurm-plain-controller-down", "date", 1, "1"), READ_NOTHING);
    is_nothing(0);
    assert_int_equal(read_sample("slurm-controller-gone", "S=$SECONDS; squeue", 1, "1"),
                     READ_NOTHING);
    assert_int_equal(read_sample("slurm-munge-gone", "S=$SECONDS; timeout 60 squeue", 1, "1"),
                     READ_NOTHING);
    read_sample("slurm-plain-scancel", c, 1, "9");
    is_state(0, JOB_RUNNING); /* completing */
}

static void slurm_ids(void **state)
{
    use(SLURM);
    id_is("Submitted batch job 2\n", "2");
    id_is("Submitted batch job 11 on cluster testcluster\n", "11");
    id_is("sbatch: welcome\nSubmitted batch job 12\n", "12");
    id_is("6\n", NULL);
    id_is("xSubmitted batch job 2\n", NULL);
    id_is("", NULL);
    use("{\"type\": \"SlurmProvider\", \"regex_job_id\": \"(?P<id>[0-9]+)$\"}");
    id_is("6\n", "6");
    struct err err = ERR_INIT;
    autojson struct json_object *o =
        json_tokener_parse("{\"type\": \"SlurmProvider\", \"regex_job_id\": \"job ([0-9]+)\"}");
    assert_int_equal(provider_check(o, &err), -1);
    assert_non_null(strstr(err.text, "(?P<id>"));
}

/* ---- the others, in the form of their manuals ------------------------------------------------ */

static void lsf(void **state)
{
    use("{\"type\": \"LSFProvider\"}");
    id_is("Job <2130> is submitted to default queue <normal>.\n", "2130");
    id_is("warning\nJob <7> is submitted to queue <q>.\n", "7");
    id_is("Request aborted by esub. Job not submitted.\n", NULL);
    assert_int_equal(
        read_answer("1 PEND\n2 RUN\n3 DONE\n4 EXIT\n5 PSUSP\n6 ZOMBI\n", "", 0, "1 2 3 4 5 6 7"),
        READ_ALL);
    is_state(0, JOB_PENDING);
    is_state(1, JOB_RUNNING);
    is_state(2, JOB_COMPLETED);
    is_state(3, JOB_FAILED);
    is_state(4, JOB_CANCELLED);
    is_state(5, JOB_UNKNOWN);
    is_nothing(6);
    command_is("bjobs -noheader -o 'jobid stat' 1 2 3 4 5 6 7");
    assert_int_equal(read_answer("1 RUN\n", "Job <2> is not found\n", 255, "1 2 3"), READ_SOME);
    is_state(0, JOB_RUNNING);
    is_gone(1);
    is_nothing(2);
    assert_int_equal(read_answer("", "LSF is down. Please wait ...\n", 255, "1"), READ_NOTHING);
}

static void grid_engine(void **state)
{
    use("{\"type\": \"GridEngineProvider\"}");
    id_is("\n42\n", "42");
    const char *table =
        "job-ID  prior   name       user         state submit/start at     queue  slots "
        "ja-task-ID\n"
        "------------------------------------------------------------------------------------\n"
        "     42 0.55500 parsl.x.bl tstu         r     11/24/2026 10:00:00 all.q@n1   1\n"
        "     43 0.55500 parsl.x.bl tstu         qw    11/24/2026 10:00:00            1\n"
        "     44 0.55500 parsl.x.bl tstu         Eqw   11/24/2026 10:00:00            1\n"
        "     45 0.55500 parsl.x.bl tstu         dr    11/24/2026 10:00:00 all.q@n1   1\n";
    assert_int_equal(read_answer(table, "", 0, "42 43 44 45 46"), READ_ALL);
    is_state(0, JOB_RUNNING);
    is_state(1, JOB_PENDING);
    is_state(2, JOB_FAILED);
    is_state(3, JOB_COMPLETED);
    is_nothing(4);
    command_is("qstat");
    assert_int_equal(read_answer("", "", 0, "42"), READ_ALL); /* no jobs at all */
    assert_int_equal(read_answer("", "error: commlib error: can't connect\n", 1, "42"),
                     READ_NOTHING);
}

static void condor(void **state)
{
    use("{\"type\": \"CondorProvider\"}");
    id_is("Submitting job(s).\n1 job(s) submitted to cluster 118907.\n", "118907.0");
    id_is("ERROR: no queue\n", NULL);
    assert_int_equal(
        read_answer("10.0 1\n11.0 2\n12.0 4\n13.0 5\n", "", 0, "10.0 11.0 12.0 13.0 14.0"),
        READ_ALL);
    is_state(0, JOB_PENDING);
    is_state(1, JOB_RUNNING);
    is_state(2, JOB_COMPLETED);
    is_state(3, JOB_FAILED);
    is_nothing(4);
    command_is("condor_q 10.0 11.0 12.0 13.0 14.0 -af:jr JobStatus");
    assert_int_equal(read_answer("", "Failed to connect to schedd\n", 1, "10.0"), READ_NOTHING);
}

static void cobalt(void **state)
{
    use("{\"type\": \"CobaltProvider\"}");
    id_is("\n5471\n", "5471");
    const char *table = "JobID   User  WallTime  Nodes  State    Location\n"
                        "===============================================\n"
                        "5471    tstu  00:10:00  1      running  N1\n"
                        "5472    tstu  00:10:00  1      queued   None\n"
                        "5473    tstu  00:10:00  1      user_hold None\n";
    assert_int_equal(read_answer(table, "", 0, "5471 5472 5473 5474"), READ_ALL);
    is_state(0, JOB_RUNNING);
    is_state(1, JOB_PENDING);
    is_state(2, JOB_HELD);
    is_nothing(3);
}

static void kubernetes(void **state)
{
    use("{\"type\": \"KubernetesProvider\", \"image\": \"python:3\"}");
    id_is("pod/parsl.x.block-0.1700000000.123456.0123abcd created\n", "0123abcd");
    id_is("error: You must be logged in to the server (Unauthorized)\n", NULL);
    const char *list =
        "{\"items\": [{\"metadata\": {\"labels\": {\"parsl-job-id\": \"0123abcd\"}}, \"status\": "
        "{\"phase\": \"Pending\", \"containerStatuses\": [{\"state\": {\"waiting\": {\"reason\": "
        "\"ImagePullBackOff\"}}}]}}, {\"metadata\": {\"labels\": {\"parsl-job-id\": "
        "\"00000001\"}}, "
        "\"status\": {\"phase\": \"Failed\", \"containerStatuses\": [{\"state\": {\"terminated\": "
        "{\"exitCode\": 137, \"reason\": \"OOMKilled\"}}}]}}]}";
    assert_int_equal(read_answer(list, "", 0, "0123abcd 00000001 00000002"), READ_ALL);
    is_state(0, JOB_PENDING);
    assert_string_equal(asked.told[0].note, "ImagePullBackOff");
    is_state(1, JOB_FAILED);
    assert_int_equal(asked.told[1].exit_code, 137);
    is_nothing(2);
    command_is("kubectl get pods --namespace default -l 'parsl-job-id in "
               "(0123abcd,00000001,00000002)' -o json");
    assert_int_equal(read_answer("", "Unable to connect to the server\n", 1, "0123abcd"),
                     READ_NOTHING);
    assert_int_equal(read_answer("{\"items\": 7}", "", 0, "0123abcd"), READ_NOTHING);
}

static int set_up(void **state)
{
    loop = loop_create();
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    asked_free(&asked);
    provider_destroy(provider);
    loop_destroy(loop);
    return fs_remove_tree(dir, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pbs_states),
        cmocka_unit_test(pbs_unknown_ids),
        cmocka_unit_test(pbs_one_of_many),
        cmocka_unit_test(pbs_without_history),
        cmocka_unit_test(pbs_broken_json),
        cmocka_unit_test(pbs_server_down),
        cmocka_unit_test(pbs_ids),
        cmocka_unit_test(short_ids),
        cmocka_unit_test(torque),
        cmocka_unit_test(slurm_finds_out),
        cmocka_unit_test(slurm_sacct),
        cmocka_unit_test(slurm_database_gone),
        cmocka_unit_test(slurm_database_lags),
        cmocka_unit_test(slurm_squeue),
        cmocka_unit_test(slurm_ids),
        cmocka_unit_test(lsf),
        cmocka_unit_test(grid_engine),
        cmocka_unit_test(condor),
        cmocka_unit_test(cobalt),
        cmocka_unit_test(kubernetes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
