/* For those who run the service: health, readiness, numbers. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "service/api/private.h"

void on_healthz(struct req *r)
{
    reply_text(r, 200, "text/plain", "ok\n", 3);
}

static int ping(struct db *db, void *arg, struct err *err)
{
    struct db_rows *r = db_query(db, err, "SELECT 1", "");
    int rc = r ? db_next(r, err) : -1;
    (void)arg;
    db_rows_end(r);
    return rc == 1 ? 0 : -1;
}

static void pinged(void *arg, int rc, const struct err *err)
{
    struct req *r = arg;
    struct api *api = req_arg(r);
    (void)err;
    bool broker = api->broker && broker_is_up(api->broker);
    struct json_object *o = json_object_new_object();
    json_add_bool(o, "ledger", rc == 0);
    json_add_bool(o, "broker", broker);
    reply_json(r, rc == 0 && broker ? 200 : 503, o);
    req_unref(r);
}

void on_readyz(struct req *r)
{
    struct api *api = req_arg(r);
    store_read(api->store, ping, pinged, req_ref(r));
}

static void metric(struct buf *b, const char *name, const char *kind, const char *help, double v)
{
    buf_fmt(b, "# HELP sallyport_%s %s\n# TYPE sallyport_%s %s\nsallyport_%s %.17g\n", name, help,
            name, kind, name, v);
}

static void dead_letters(struct buf *b, const struct broker *broker)
{
    const struct broker_dead *d;
    buf_str(b, "# HELP sallyport_dead_letters_total Messages that a queue of the broker gave up\n"
               "# TYPE sallyport_dead_letters_total counter\n");
    for (size_t i = 0; (d = broker_dead(broker, i)) != NULL; i++)
        for (size_t k = 0; k < DEAD_REASONS; k++)
            buf_fmt(b, "sallyport_dead_letters_total{queue=\"%s\",reason=\"%s\"} %llu\n", d->queue,
                    d->reasons[k].name, (unsigned long long)d->reasons[k].n);
}

static void requests(struct buf *b, const struct server_stats *s)
{
    static const char *const bounds[] = {"0.001", "0.005", "0.01", "0.05", "0.1",
                                         "0.5",   "1",     "10",   "+Inf"};
    uint64_t total = 0;
    buf_str(b, "# HELP sallyport_requests_total Answered requests by class of status\n"
               "# TYPE sallyport_requests_total counter\n");
    for (int i = 0; i < 6; i++) {
        if (i)
            buf_fmt(b, "sallyport_requests_total{status=\"%dxx\"} %llu\n", i,
                    (unsigned long long)s->answers[i]);
        else
            buf_fmt(b, "sallyport_requests_total{status=\"none\"} %llu\n",
                    (unsigned long long)s->answers[i]);
    }
    buf_str(b, "# HELP sallyport_request_seconds Time from request to answer\n"
               "# TYPE sallyport_request_seconds histogram\n");
    for (int i = 0; i < 9; i++) {
        total += s->seconds[i];
        buf_fmt(b, "sallyport_request_seconds_bucket{le=\"%s\"} %llu\n", bounds[i],
                (unsigned long long)total);
    }
    buf_fmt(b, "sallyport_request_seconds_sum %.6f\nsallyport_request_seconds_count %llu\n",
            (double)s->seconds_sum_us / 1e6, (unsigned long long)total);
}

void on_metrics(struct req *r)
{
    struct api *api = req_arg(r);
    const struct api_counters *n = &api->counters;
    const struct server_stats *s = server_stats(api->server);
    autobuf struct buf b = BUF_INIT;
    struct rusage ru;
    getrusage(RUSAGE_SELF, &ru);
    metric(&b, "tasks_accepted_total", "counter", "Tasks accepted", (double)n->accepted);
    metric(&b, "tasks_published_total", "counter", "Tasks confirmed by the broker",
           (double)n->published);
    metric(&b, "tasks_succeeded_total", "counter", "Results stored", (double)n->succeeded);
    metric(&b, "tasks_failed_total", "counter", "Failures stored", (double)n->failed);
    metric(&b, "results_duplicate_total", "counter", "Second results, dropped",
           (double)n->duplicates);
    metric(&b, "results_refused_total", "counter", "Results of no task of their endpoint",
           (double)n->refused_results);
    metric(&b, "tasks_redelivered_total", "counter", "Tasks sent again after a loss",
           (double)n->redelivered);
    metric(&b, "tasks_expired_total", "counter", "Tasks that waited too long", (double)n->expired);
    metric(&b, "starts_total", "counter", "Start commands sent", (double)n->starts);
    metric(&b, "start_failures_total", "counter", "Start failures reported",
           (double)n->start_failures);
    metric(&b, "start_timeouts_total", "counter", "Submits that waited too long for a start",
           (double)n->start_timeouts);
    metric(&b, "requests_limited_total", "counter", "Requests refused with 429",
           (double)n->limited);
    metric(&b, "processes", "gauge", "Service processes on this ledger",
           (double)keeper_processes(api->keeper));
    metric(&b, "endpoints_online", "gauge", "Endpoints and user endpoints online",
           (double)presence_count(api->presence));
    metric(&b, "user_endpoints_up", "gauge", "User endpoints up", (double)ueps_count(api->ueps));
    metric(&b, "broker_up", "gauge", "Whether the broker is connected",
           api->broker && broker_is_up(api->broker));
    metric(&b, "broker_unconfirmed", "gauge", "Messages not yet confirmed",
           api->broker ? (double)broker_unconfirmed(api->broker) : 0);
    metric(&b, "ledger_backlog", "gauge", "Changes that wait for the ledger",
           (double)store_backlog(api->store));
    metric(&b, "connections", "gauge", "HTTP connections", (double)s->connections);
    metric(&b, "requests_open", "gauge", "Requests under way", (double)s->requests);
    metric(&b, "event_streams", "gauge", "Pages that listen", (double)s->streams);
    metric(&b, "cpu_seconds_total", "counter", "Processor time of this process",
           (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
               (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
    metric(&b, "resident_max_bytes", "gauge", "Most memory that was resident",
           (double)ru.ru_maxrss * 1024);
    if (api->broker)
        dead_letters(&b, api->broker);
    requests(&b, s);
    reply_text(r, 200, "text/plain; version=0.0.4", b.data, b.len);
}
