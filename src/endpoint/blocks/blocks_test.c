/* Blocks with a pretended batch system and a moved clock: when jobs are requested, watched, given
 * back, and when trying ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "endpoint/blocks/blocks.h"
#include "endpoint/blocks/jobs_file.h"
#include "endpoint/providers/provider.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"

#define JOBS_MAX 64

/* ---- the pretended batch system -------------------------------------------------------------- */

static struct {
    unsigned submitted, polls, cancels, old_cancels;
    enum job_state state[JOBS_MAX]; /* by job number */
    bool refuses, hesitates, silent, disobeys;
    submitted_f *pending_cb; /* of a submission without an answer yet */
    void *pending_arg;
    char cancelled[256], old[256];
    char text[4096]; /* of bad_state */
    unsigned ended, held;
    struct block_load load;
} world;

static void submit(struct provider *p, const char *job_name, const char *script, submitted_f *cb,
                   void *arg)
{
    char id[16];
    if (world.refuses) {
        world.submitted++;
        cb(arg, &(struct submitted){.why = "the queue is closed", .maybe = world.hesitates});
        return;
    }
    if (world.hesitates) {
        world.pending_cb = cb;
        world.pending_arg = arg;
        return;
    }
    world.state[world.submitted] = JOB_PENDING;
    snprintf(id, sizeof(id), "%u", world.submitted++);
    cb(arg, &(struct submitted){.job_id = id});
}

static void poll_jobs(struct provider *p, const char *const *ids, size_t n, polled_f *cb, void *arg)
{
    struct job jobs[JOBS_MAX];
    world.polls++;
    for (size_t i = 0; i < n; i++)
        jobs[i] = (struct job){.id = ids[i], .state = world.state[atoi(ids[i])], .exit_code = -1};
    cb(arg, world.silent ? NULL : jobs, world.silent ? 0 : n);
}

static void cancel(struct provider *p, const char *const *ids, size_t n, cancelled_f *cb, void *arg)
{
    for (size_t i = 0; i < n; i++) {
        strcat(world.cancelled, ids[i]);
        strcat(world.cancelled, " ");
    }
    world.cancels++;
    cb(arg, !world.disobeys);
}

static void cancel_old(struct provider *p, const struct old_job *jobs, size_t n, cancelled_f *cb,
                       void *arg)
{
    world.old_cancels++;
    for (size_t i = 0; i < n; i++) {
        strcat(world.old, jobs[i].name);
        strcat(world.old, "=");
        strcat(world.old, jobs[i].id);
        strcat(world.old, " ");
    }
    cb(arg, !world.disobeys);
}

static const struct option_spec no_options[] = {{NULL, OPT_ANY, NULL}};
static const struct provider_work pretend_work = {
    .submit = submit,
    .poll = poll_jobs,
    .cancel = cancel,
    .cancel_old = cancel_old,
};
static const struct provider_kind pretend = {
    .type = "PretendProvider",
    .launcher = "SimpleLauncher",
    .poll_s = 60,
    .options = no_options,
    .script = ".sh",
    .out = ".out",
    .err = ".err",
    .work = &pretend_work,
};

/* ---- the endpoint around it ------------------------------------------------------------------ */

static char dir[] = "/tmp/sallyport-blocks-XXXXXX";
static struct loop *loop;
static struct blocks *blocks;

static void on_load(void *arg, const char *block_id, struct block_load *out)
{
    *out = world.load;
}
static void on_hold(void *arg, const char *block_id)
{
    world.held++;
}
static void on_ended(void *arg, const char *block_id)
{
    world.ended++;
}
static void on_bad_state(void *arg, const char *text)
{
    snprintf(world.text, sizeof(world.text), "%s", text);
}
static const struct blocks_handlers handlers = {on_load, on_hold, on_ended, on_bad_state};

static void advance(double s)
{
    for (; s > 0; s -= 0.5) {
        loop_fake_advance(loop, 500000);
        loop_once(loop, 0);
    }
}

static void start_as(const char *provider, struct blocks_opts o)
{
    struct err err = ERR_INIT;
    autojson struct json_object *options = json_tokener_parse(provider);
    o.provider = options;
    o.label = "a b;c";
    o.dir = dir;
    o.command = "agent --block {block_id}";
    o.error_handler = true;
    o.handlers = &handlers;
    if (o.strategy == NULL)
        o.strategy = "simple";
    o.max_idletime_s = 30;
    o.strategy_period_s = 5;
    blocks = blocks_create(loop, &o, &err);
    if (blocks == NULL)
        fail_msg("%s", err.text);
    blocks_start(blocks);
    advance(0.5);
}

static void start(const char *provider)
{
    start_as(provider, (struct blocks_opts){0});
}

static int begin(void **state)
{
    memset(&world, 0, sizeof(world));
    strcpy(dir + strlen(dir) - 6, "XXXXXX");
    loop = loop_create();
    loop_fake_clock(loop, LOOP_S(1000));
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int end(void **state)
{
    blocks_destroy(blocks);
    blocks = NULL;
    loop_destroy(loop);
    return fs_remove_tree(dir, NULL);
}

static void count_is(size_t pending, size_t running)
{
    size_t p, r;
    blocks_count(blocks, &p, &r);
    assert_int_equal(p, pending);
    assert_int_equal(r, running);
}

static bool file_exists(void)
{
    autofree char *path = xasprintf("%s/batch_jobs.json", dir);
    return access(path, F_OK) == 0;
}

#define ZERO "{\"type\": \"PretendProvider\", \"init_blocks\": 0, \"max_blocks\": 3}"

/* ---- tests ----------------------------------------------------------------------------------- */

static void up_and_down(void **state)
{
    start(ZERO);
    advance(100);
    assert_int_equal(world.submitted, 0);
    assert_false(file_exists());
    blocks_demand(blocks, 1);
    advance(0.5);
    assert_int_equal(world.submitted, 1);
    assert_true(file_exists());
    count_is(1, 0);
    blocks_agent_registered(blocks, "0");
    count_is(0, 1);
    blocks_demand(blocks, 7);
    advance(0.5);
    assert_int_equal(world.submitted, 3);
    for (int i = 0; i < 3; i++)
        world.state[i] = JOB_RUNNING;
    blocks_agent_registered(blocks, "1");
    blocks_agent_registered(blocks, "2");
    advance(70);
    count_is(0, 3);
    assert_int_equal(world.cancels, 0);
    blocks_demand(blocks, 0);
    advance(29);
    assert_int_equal(world.cancels, 0);
    advance(2);
    assert_int_equal(world.cancels, 1);
    assert_int_equal(world.held, 3);
    assert_int_equal(world.ended, 3);
    count_is(0, 0);
    assert_false(file_exists());
    unsigned polls = world.polls;
    advance(500);
    assert_int_equal(world.polls, polls); /* nothing wakes up */
}

static void asks_in_the_providers_interval(void **state)
{
    start("{\"type\": \"PretendProvider\"}");
    assert_int_equal(world.submitted, 1);
    assert_int_equal(world.polls, 0);
    blocks_demand(blocks, 1);
    advance(58);
    assert_int_equal(world.polls, 0);
    advance(7);
    assert_int_equal(world.polls, 1);
    advance(120);
    assert_int_equal(world.polls, 3);
}

static void silence_is_no_end(void **state)
{
    start("{\"type\": \"PretendProvider\"}");
    world.silent = true;
    blocks_demand(blocks, 1);
    advance(3600);
    count_is(1, 0);
    assert_int_equal(world.submitted, 1);
    world.silent = false;
    world.state[0] = JOB_UNKNOWN;
    advance(120);
    count_is(1, 0);
}

static void first_failure_is_the_end(void **state)
{
    world.refuses = true;
    start(ZERO);
    blocks_demand(blocks, 5);
    advance(1);
    assert_int_equal(world.submitted, 1); /* the others wait for what becomes of it */
    assert_non_null(strstr(world.text, "Executor a_b_c failed due to: Error 1:\n\tFailed to start "
                                       "block 0: the queue is closed\n\tSCRIPT: "));
    advance(600);
    assert_int_equal(world.submitted, 1);
    assert_false(file_exists());
}

static void never_registered(void **state)
{
    start("{\"type\": \"PretendProvider\"}");
    blocks_demand(blocks, 1);
    world.state[0] = JOB_COMPLETED;
    autofree char *base = xasprintf("%s/submit_scripts", dir);
    autojson struct json_object *list = blocks_describe(blocks);
    const char *name = json_str_or(json_object_array_get_idx(list, 0), "job_name", "");
    autofree char *path = xasprintf("%s/%s.err", base, name);
    autobuf struct buf text = BUF_INIT;
    for (int i = 0; i < 1000; i++)
        buf_fmt(&text, "line %d\n", i);
    assert_int_equal(fs_write(path, text.data, text.len, 0600, false, NULL), 0);
    advance(70);
    assert_non_null(strstr(world.text, "Job is marked as MISSING since the workers failed"));
    assert_non_null(strstr(world.text, "\tSTDERR: line 0\n"));
    assert_non_null(strstr(world.text, "\n...\n"));
    assert_non_null(strstr(world.text, "line 999\n"));
    assert_non_null(strstr(world.text, "\tSCRIPT: "));
    assert_non_null(strstr(world.text, "\tJOB: 0\n"));
    assert_int_equal(world.submitted, 1);
}

/* One block worked; then five in a row don't: growing pauses, then no more. */
static void five_in_a_row(void **state)
{
    start("{\"type\": \"PretendProvider\"}");
    blocks_demand(blocks, 1);
    blocks_agent_registered(blocks, "0");
    world.state[0] = JOB_COMPLETED;
    world.refuses = true;
    advance(66);
    assert_string_equal(world.text, "");
    advance(10); /* pauses of at least 2.5, 5, 10, 20 s */
    assert_in_range(world.submitted, 2, 4);
    assert_string_equal(world.text, "");
    advance(200);
    assert_int_equal(world.submitted, 1 + 5);
    assert_non_null(strstr(world.text, "Error 5:"));
    advance(3600);
    assert_int_equal(world.submitted, 1 + 5);
}

static void a_worker_resets_the_count(void **state)
{
    start_as("{\"type\": \"PretendProvider\", \"max_failed_blocks\": 2}", (struct blocks_opts){0});
    blocks_demand(blocks, 1);
    blocks_agent_registered(blocks, "0");
    for (int i = 0; i < 6; i++) {
        world.state[world.submitted - 1] = JOB_COMPLETED; /* fails or worked, in turns */
        unsigned before = world.submitted;
        advance(120);
        assert_int_equal(world.submitted, before + 1);
        char id[12];
        snprintf(id, sizeof(id), "%u", world.submitted - 1);
        if (i % 2 == 1)
            blocks_agent_registered(blocks, id);
    }
    assert_string_equal(world.text, "");
}

static void cap_per_hour(void **state)
{
    start_as("{\"type\": \"PretendProvider\", \"max_jobs_per_hour\": 4}", (struct blocks_opts){0});
    blocks_demand(blocks, 1);
    for (int i = 0; i < 60; i++) {
        char id[12];
        snprintf(id, sizeof(id), "%u", world.submitted - 1);
        blocks_agent_registered(blocks, id);
        world.state[world.submitted - 1] = JOB_COMPLETED;
        advance(60);
    }
    assert_int_equal(world.submitted, 4 + 1); /* the first is an hour old by now */
    assert_string_equal(world.text, "");
}

static void shutdown_waits(void *arg)
{
    *(bool *)arg = true;
}

static void shutdown_cancels_everything(void **state)
{
    bool down = false;
    start("{\"type\": \"PretendProvider\", \"init_blocks\": 2}");
    world.hesitates = true;
    blocks_demand(blocks, 1);
    blocks_shutdown(blocks, shutdown_waits, &down);
    advance(1);
    assert_string_equal(world.cancelled, "0 1 ");
    assert_true(down);
    assert_false(file_exists());
}

static void shutdown_during_submission(void **state)
{
    bool down = false;
    world.hesitates = true;
    start("{\"type\": \"PretendProvider\"}");
    blocks_shutdown(blocks, shutdown_waits, &down);
    advance(1);
    assert_false(down);
    assert_true(file_exists());
    world.pending_cb(world.pending_arg, &(struct submitted){.job_id = "7"});
    advance(1);
    assert_string_equal(world.cancelled, "7 ");
    assert_true(down);
    assert_false(file_exists());
}

static void disobedient_scheduler(void **state)
{
    bool down = false;
    world.disobeys = true;
    start("{\"type\": \"PretendProvider\"}");
    blocks_shutdown(blocks, shutdown_waits, &down);
    advance(1);
    assert_true(down);
    assert_true(file_exists()); /* for the next process */
    blocks_destroy(blocks);
    world.disobeys = false;
    start(ZERO);
    assert_int_equal(world.old_cancels, 1);
    assert_non_null(strstr(world.old, "parsl.a_b_c.block-0."));
    assert_non_null(strstr(world.old, "=0 "));
    assert_false(file_exists());
}

/* kill -9 between the submission and its answer: the name is known, the id is not. */
static void killed_while_submitting(void **state)
{
    world.hesitates = true;
    start("{\"type\": \"PretendProvider\"}");
    assert_true(file_exists());
    blocks_destroy(blocks);
    world.hesitates = false;
    start(ZERO);
    assert_non_null(strstr(world.old, "parsl.a_b_c.block-0."));
    assert_non_null(strstr(world.old, "= "));
    advance(320);
    assert_int_equal(world.old_cancels, 5);
    assert_false(file_exists());
}

/* A controller out of reach may take the job minutes later: one look is not enough. */
static void no_id_is_cancelled_by_name(void **state)
{
    world.refuses = true;
    world.hesitates = true;
    start("{\"type\": \"PretendProvider\"}");
    advance(1);
    assert_int_equal(world.old_cancels, 1);
    assert_non_null(strstr(world.old, "parsl.a_b_c.block-0."));
    advance(6);
    assert_int_equal(world.old_cancels, 2);
    advance(60);
    assert_int_equal(world.old_cancels, 4);
    assert_true(file_exists());
    advance(240);
    assert_int_equal(world.old_cancels, 5);
    assert_false(file_exists());
    advance(3600);
    assert_int_equal(world.old_cancels, 5);
}

/* No answer says nothing of the configuration: the next request follows, after a pause. */
static void no_answer_is_no_verdict(void **state)
{
    world.refuses = true;
    world.hesitates = true;
    start(ZERO);
    blocks_demand(blocks, 1);
    advance(1);
    assert_int_equal(world.submitted, 1);
    assert_string_equal(world.text, "");
    world.refuses = world.hesitates = false;
    advance(12);
    assert_int_equal(world.submitted, 2);
    assert_string_equal(world.text, "");
    count_is(1, 0);
}

/* Five without an answer are enough all the same. */
static void no_answer_five_times(void **state)
{
    world.refuses = true;
    world.hesitates = true;
    start(ZERO);
    blocks_demand(blocks, 1);
    advance(300);
    assert_int_equal(world.submitted, 5);
    assert_non_null(strstr(world.text, "Error 5:"));
}

/* Shutting down does not wait for later looks, the next process has them. */
static void shutdown_between_looks(void **state)
{
    bool down = false;
    world.refuses = true;
    world.hesitates = true;
    start("{\"type\": \"PretendProvider\"}");
    advance(1);
    blocks_shutdown(blocks, shutdown_waits, &down);
    advance(1);
    assert_true(down);
    assert_int_equal(world.old_cancels, 2);
    assert_true(file_exists());
    blocks_destroy(blocks);
    world.refuses = world.hesitates = false;
    start(ZERO);
    assert_int_equal(world.old_cancels, 3);
    advance(320);
    assert_int_equal(world.old_cancels, 7);
    assert_false(file_exists());
}

static void damaged_file(void **state)
{
    autofree char *path = xasprintf("%s/batch_jobs.json", dir);
    autofree char *aside = xasprintf("%s.damaged", path);
    assert_int_equal(fs_write(path, "{\"jobs\": [", 10, 0600, false, NULL), 0);
    start(ZERO);
    assert_int_equal(world.old_cancels, 0);
    assert_int_equal(access(aside, F_OK), 0);
}

static void states_that_are_over_stay(void **state)
{
    start("{\"type\": \"PretendProvider\", \"init_blocks\": 2}");
    blocks_demand(blocks, 1);
    blocks_agent_registered(blocks, "0");
    world.state[0] = JOB_FAILED;
    advance(66);
    autojson struct json_object *list = blocks_describe(blocks);
    assert_string_equal(json_str_or(json_object_array_get_idx(list, 0), "state", ""), "FAILED");
    world.state[0] = JOB_COMPLETED;
    advance(120);
    autojson struct json_object *later = blocks_describe(blocks);
    assert_string_equal(json_str_or(json_object_array_get_idx(later, 0), "state", ""), "FAILED");
    assert_string_equal(world.text, "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(up_and_down),
        TEST(asks_in_the_providers_interval),
        TEST(silence_is_no_end),
        TEST(first_failure_is_the_end),
        TEST(never_registered),
        TEST(five_in_a_row),
        TEST(a_worker_resets_the_count),
        TEST(cap_per_hour),
        TEST(shutdown_cancels_everything),
        TEST(shutdown_during_submission),
        TEST(disobedient_scheduler),
        TEST(killed_while_submitting),
        TEST(no_id_is_cancelled_by_name),
        TEST(no_answer_is_no_verdict),
        TEST(no_answer_five_times),
        TEST(shutdown_between_looks),
        TEST(damaged_file),
        TEST(states_that_are_over_stay),
    };
    provider_pretend = &pretend;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
