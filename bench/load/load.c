/* load HOST PORT TOKEN CONNECTIONS BATCH SECONDS [RATE]: submits for so long over so many
 * connections, tasks in batches; a site of ours answers them.  RATE limits requests a second over
 * all.  Prints one line of JSON: what was accepted, how fast, how long a submit took, when the last
 * result was stored, and the service's processor time per task. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "bench/load/load.h"

static struct target target;
static char *submit_path, *submit_body;
static size_t submit_len;
static uint64_t stop_us, begin_us;
static double rate;
static unsigned connections, batch;

struct worker {
    pthread_t thread;
    unsigned index;
    uint64_t *took;
    size_t n, cap, refused;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    autobuf struct buf out = BUF_INIT;
    int fd = http_dial(&target);
    for (size_t i = 0; clock_mono_us() < stop_us; i++) {
        if (rate > 0) {
            double due = (double)begin_us + 1e6 * ((double)(i * connections + w->index)) / rate;
            double left = due - (double)clock_mono_us();
            if (left > 0)
                usleep((useconds_t)left);
        }
        uint64_t t = clock_mono_us();
        int status = http_call(fd, &target, "POST", submit_path, submit_body, submit_len, &out);
        if (status != 200) {
            if (!w->refused++)
                fprintf(stderr, "load: %d %s\n", status, out.data);
            usleep(100000);
            continue;
        }
        if (w->n == w->cap) {
            w->cap = w->cap ? 2 * w->cap : 1024;
            w->took = xrealloc(w->took, w->cap * sizeof(*w->took));
        }
        w->took[w->n++] = clock_mono_us() - t;
    }
    close(fd);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double metric(int fd, const char *name)
{
    autobuf struct buf out = BUF_INIT;
    http_call(fd, &target, "GET", "/metrics", "", 0, &out);
    autofree char *key = xasprintf("\nsallyport_%s ", name);
    const char *p = strstr(out.data, key);
    return p ? strtod(p + strlen(key), NULL) : NAN;
}

static void prepare(int fd)
{
    static const char function[] =
        "{\"function_name\":\"f\",\"function_code\":\"19\\nst\\nf:def f(): pass\\n\","
        "\"serialized\":true,\"meta\":{}}";
    static const char endpoint[] =
        "{\"endpoint_name\":\"load\",\"multi_user\":true,\"public\":false,"
        "\"high_assurance\":false,\"metadata\":{\"user_config_template\":\"x\"}}";
    struct buf b = BUF_INIT;
    struct json_object *f =
        http_json(fd, &target, "POST", "/v3/functions", function, sizeof(function) - 1);
    struct json_object *e =
        http_json(fd, &target, "POST", "/v3/endpoints", endpoint, sizeof(endpoint) - 1);
    submit_path = xasprintf("/v3/endpoints/%s/submit", json_str_or(e, "endpoint_id", ""));
    buf_fmt(&b, "{\"create_queue\":%s,\"tasks\":{\"%s\":[",
            getenv("LOAD_STREAM") ? "true" : "false", json_str_or(f, "function_uuid", ""));
    for (unsigned i = 0; i < batch; i++)
        buf_fmt(&b, "%s\"28\\n00\\ngASVBQAAAAAAAABLBIWULg==\\n12\\n00\\ngAR9lC4=\\n\"",
                i ? "," : "");
    buf_str(&b, "]}}");
    site_start(e);
    sleep(2); /* its first heartbeat */
    submit_len = b.len;
    submit_body = buf_take(&b);
    /* One group for all, as an Executor does; the first submit starts the user endpoint. */
    struct json_object *o = http_json(fd, &target, "POST", submit_path, submit_body, submit_len);
    buf_fmt(&b, "{\"task_group_id\":\"%s\",%s", json_str_or(o, "task_group_id", ""),
            submit_body + 1);
    submit_len = b.len;
    submit_body = buf_take(&b);
}

int main(int argc, char **argv)
{
    if (argc < 7) {
        fprintf(stderr, "usage: load HOST PORT TOKEN CONNECTIONS BATCH SECONDS [RATE]\n");
        return 2;
    }
    target = (struct target){argv[1], argv[2], argv[3]};
    connections = (unsigned)atoi(argv[4]);
    batch = (unsigned)atoi(argv[5]);
    double seconds = atof(argv[6]);
    rate = argc > 7 ? atof(argv[7]) : 0;
    int fd = http_dial(&target);
    prepare(fd);
    double done_before = metric(fd, "tasks_succeeded_total");
    while (done_before < batch) {
        usleep(50000);
        done_before = metric(fd, "tasks_succeeded_total");
    }
    double cpu = metric(fd, "cpu_seconds_total");
    struct worker *w = xcalloc(connections, sizeof(*w));
    begin_us = clock_mono_us();
    stop_us = begin_us + (uint64_t)(seconds * 1e6);
    for (unsigned i = 0; i < connections; i++) {
        w[i].index = i;
        pthread_create(&w[i].thread, NULL, work, &w[i]);
    }
    size_t n = 0, refused = 0;
    for (unsigned i = 0; i < connections; i++) {
        pthread_join(w[i].thread, NULL);
        n += w[i].n;
        refused += w[i].refused;
    }
    double accept_s = (double)(clock_mono_us() - begin_us) / 1e6;
    uint64_t *all = xcalloc(n + 1, sizeof(*all));
    size_t k = 0;
    for (unsigned i = 0; i < connections; i++)
        for (size_t j = 0; j < w[i].n; j++)
            all[k++] = w[i].took[j];
    qsort(all, n, sizeof(*all), compare);
    double tasks = (double)n * batch;
    while (metric(fd, "tasks_succeeded_total") - done_before < tasks &&
           clock_mono_us() - begin_us < 120000000)
        usleep(20000);
    double all_s = (double)(clock_mono_us() - begin_us) / 1e6;
    double finished = metric(fd, "tasks_succeeded_total") - done_before;
    cpu = metric(fd, "cpu_seconds_total") - cpu;
    printf("{\"requests\":%zu,\"refused\":%zu,\"tasks\":%.0f,\"requests_per_s\":%.0f,"
           "\"tasks_per_s\":%.0f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"finished\":%.0f,"
           "\"finished_per_s\":%.0f,\"cpu_us_per_task\":%.1f}\n",
           n, refused, tasks, (double)n / accept_s, tasks / accept_s,
           n ? (double)all[n / 2] / 1e3 : 0, n ? (double)all[n * 99 / 100] / 1e3 : 0, finished,
           finished / all_s, 1e6 * cpu / (tasks > 0 ? tasks : 1));
    return finished == tasks ? 0 : 1;
}
