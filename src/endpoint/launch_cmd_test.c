/* launch_cmd: what stays, what is replaced, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "endpoint/launch_cmd.h"

static bool value(void *arg, const char *name, struct buf *out)
{
    if (strcmp(name, "debug") == 0)
        return true;
    if (strcmp(name, "nodes_per_block") == 0 || strcmp(name, "addresses") == 0 ||
        strcmp(name, "prefetch_capacity") == 0) {
        buf_fmt(out, "<%s>", name);
        return true;
    }
    return false;
}

static const struct {
    const char *text, *out; /* out NULL: refused ... */
    const char *more;       /* ... with these words; else the options without effect */
} cases[] = {
    {"process_worker_pool.py {debug} -a {addresses} -p {prefetch_capacity}", "AGENT {block_id}",
     ""},
    {"numactl -N 0 process_worker_pool.py {debug} -a {addresses} --block_id={{block_id}}",
     "numactl -N 0 AGENT {block_id}", ""},
    {"globus-compute-endpoint python-exec parsl.executors.high_throughput.process_worker_pool "
     "{debug} -a {addresses}",
     "AGENT {block_id}", ""},
    {"python3 -m parsl.executors.high_throughput.process_worker_pool -a {addresses}",
     "AGENT {block_id}", ""},
    {"export N={nodes_per_block} B={block_id}; /opt/x/process_worker_pool.py {debug} -c 2 "
     "-a {addresses} --port=9000 --enable_mpi_mode | tee ${{HOME}}/log",
     "export N=<nodes_per_block> B={block_id}; AGENT {block_id} | tee ${HOME}/log",
     "-c 2 --port=9000 --enable_mpi_mode"},
    {"perf stat {command} 2>&1", "perf stat AGENT {block_id} 2>&1", ""},
    {"process_worker_pool.py {task_url}", NULL, "unknown placeholder {task_url}; known are debug "},
    {"process_worker_pool.py ${HOME}", NULL, "written twice: ${{HOME}}"},
    {"process_worker_pool.py {debug", NULL, "not closed"},
    {"process_worker_pool.py }", NULL, "a single }"},
    {"sleep 10", NULL, "starts neither process_worker_pool.py nor {command}"},
    {"", NULL, "starts neither"},
};

static void table(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = ERR_INIT;
        autobuf struct buf out = BUF_INIT, lost = BUF_INIT;
        int rc =
            launch_cmd_write(&out, cases[i].text, "AGENT {block_id}", value, NULL, &lost, &err);
        if (cases[i].out == NULL) {
            if (rc == 0 || strstr(err.text, cases[i].more) == NULL)
                fail_msg("%s: %d %s", cases[i].text, rc, err.text);
            continue;
        }
        if (rc != 0)
            fail_msg("%s: %s", cases[i].text, err.text);
        assert_string_equal(out.data, cases[i].out);
        assert_string_equal(lost.data != NULL ? lost.data : "", cases[i].more);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
