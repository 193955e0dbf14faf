/* load submit HOST PORT TOKENS CONNECTIONS BATCH SECONDS [RATE]: submits for so long over so many
 * connections, tasks in batches; a site of ours answers them.  RATE limits requests a second over
 * all.  TOKENS is one token, or several with commas: the connections share them out (the first one
 * owns the endpoint).  LOAD_STREAM=1 asks for result streams; LOAD_HOLD=1 keeps the tasks back
 * until all are accepted, so that accepting and forwarding are measured one after the other.
 *
 * Prints one line of JSON: what was accepted, how fast, how long a submit took, how fast results
 * were stored (and forwarded), and the service's processor time per task. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "bench/load/load.h"

#define TOKENS_MAX 256

/* What one person sends: the own function, the own group. */
struct person {
    struct target target;
    char *body;
    size_t len;
};

static struct target target;
static struct person people[TOKENS_MAX];
static unsigned n_people;
static char *submit_path;
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
    const struct person *p = &people[w->index % n_people];
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
        int status = http_call(fd, &p->target, "POST", submit_path, p->body, p->len, &out);
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

static void prepare_person(int fd, struct person *p)
{
    static const char function[] =
        "{\"function_name\":\"f\",\"function_code\":\"19\\nst\\nf:def f(): pass\\n\","
        "\"serialized\":true,\"meta\":{}}";
    struct buf b = BUF_INIT;
    autojson struct json_object *f =
        http_json(fd, &p->target, "POST", "/v3/functions", function, sizeof(function) - 1);
    buf_fmt(&b, "{\"create_queue\":%s,\"tasks\":{\"%s\":[",
            getenv("LOAD_STREAM") ? "true" : "false", json_str_or(f, "function_uuid", ""));
    for (unsigned i = 0; i < batch; i++)
        buf_fmt(&b, "%s\"28\\n00\\ngASVBQAAAAAAAABLBIWULg==\\n12\\n00\\ngAR9lC4=\\n\"",
                i ? "," : "");
    buf_str(&b, "]}}");
    /* One group for all, as an Executor does; the first submit starts the user endpoint. */
    autojson struct json_object *o = http_json(fd, &p->target, "POST", submit_path, b.data, b.len);
    autofree char *rest = xstrdup(b.data + 1);
    buf_clear(&b);
    buf_fmt(&b, "{\"task_group_id\":\"%s\",%s", json_str_or(o, "task_group_id", ""), rest);
    p->len = b.len;
    p->body = buf_take(&b);
}

static void prepare(int fd)
{
    static const char endpoint[] =
        "{\"endpoint_name\":\"load\",\"multi_user\":true,\"public\":false,"
        "\"high_assurance\":false,\"metadata\":{\"user_config_template\":\"x\"}}";
    struct json_object *e =
        http_json(fd, &target, "POST", "/v3/endpoints", endpoint, sizeof(endpoint) - 1);
    submit_path = xasprintf("/v3/endpoints/%s/submit", json_str_or(e, "endpoint_id", ""));
    site_start(e);
    sleep(2); /* its first heartbeat */
    for (unsigned i = 0; i < n_people; i++)
        prepare_person(fd, &people[i]);
}

static void wait_finished(int fd, double count)
{
    uint64_t until = clock_mono_us() + 120000000;
    while (metric(fd, "tasks_succeeded_total") < count && clock_mono_us() < until)
        usleep(20000);
}

static void read_tokens(char *text)
{
    char *save = NULL;
    for (char *t = strtok_r(text, ",", &save); t && n_people < TOKENS_MAX;
         t = strtok_r(NULL, ",", &save)) {
        people[n_people] = (struct person){.target = target};
        people[n_people++].target.token = t;
    }
    target.token = people[0].target.token;
}

int load_submit(int argc, char **argv)
{
    if (argc < 7)
        return load_usage();
    target = (struct target){argv[1], argv[2], argv[3]};
    read_tokens(argv[3]);
    connections = (unsigned)atoi(argv[4]);
    batch = (unsigned)atoi(argv[5]);
    double seconds = atof(argv[6]);
    bool hold = getenv("LOAD_HOLD") != NULL;
    rate = argc > 7 ? atof(argv[7]) : 0;
    int fd = http_dial(&target);
    double before = metric(fd, "tasks_succeeded_total");
    prepare(fd);
    before += (double)batch * n_people;
    wait_finished(fd, before);
    site_hold(hold);
    double cpu0 = metric(fd, "cpu_seconds_total");
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
    if (hold) {
        site_wait(tasks);
        begin_us = clock_mono_us();
        site_hold(false);
    }
    double cpu1 = metric(fd, "cpu_seconds_total");
    wait_finished(fd, before + tasks);
    double all_s = (double)(clock_mono_us() - begin_us) / 1e6;
    double finished = metric(fd, "tasks_succeeded_total") - before;
    double cpu2 = metric(fd, "cpu_seconds_total"), per = 1e6 / (tasks > 0 ? tasks : 1);
    printf("{\"requests\":%zu,\"refused\":%zu,\"tasks\":%.0f,\"requests_per_s\":%.0f,"
           "\"tasks_per_s\":%.0f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"finished\":%.0f,"
           "\"finished_per_s\":%.0f,\"cpu_us_accept\":%.1f,\"cpu_us_per_task\":%.1f}\n",
           n, refused, tasks, (double)n / accept_s, tasks / accept_s,
           n ? (double)all[n / 2] / 1e3 : 0, n ? (double)all[n * 99 / 100] / 1e3 : 0, finished,
           finished / all_s, (cpu1 - cpu0) * per, (cpu2 - cpu0) * per);
    return finished == tasks ? 0 : 1;
}

/* load status HOST PORT TOKEN: asks for each task whose id comes on standard input. */
int load_status(int argc, char **argv)
{
    if (argc < 4)
        return load_usage();
    target = (struct target){argv[1], argv[2], argv[3]};
    autobuf struct buf out = BUF_INIT;
    uint64_t took[100000];
    char id[128], path[160];
    size_t n = 0, found = 0;
    int fd = http_dial(&target);
    double cpu = metric(fd, "cpu_seconds_total");
    while (n < 100000 && fgets(id, sizeof(id), stdin)) {
        id[strcspn(id, "\n")] = '\0';
        snprintf(path, sizeof(path), "/v2/tasks/%s", id);
        uint64_t t = clock_mono_us();
        int status = http_call(fd, &target, "GET", path, "", 0, &out);
        took[n++] = clock_mono_us() - t;
        found += status == 200;
        if (status == 429)
            usleep(200000);
    }
    cpu = metric(fd, "cpu_seconds_total") - cpu;
    qsort(took, n, sizeof(*took), compare);
    printf("{\"asked\":%zu,\"found\":%zu,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"cpu_us_each\":%.1f}\n",
           n, found, n ? (double)took[n / 2] / 1e3 : 0, n ? (double)took[n * 99 / 100] / 1e3 : 0,
           n ? 1e6 * cpu / (double)n : 0);
    return found == n ? 0 : 1;
}
