/* Four connections: one publishes and makes queues, one brings results, one heartbeats, one what
 * queues gave up.  A
 * publish's cookie is the address of its `struct publish`, which lives until the confirm. */
#include "service/broker/broker.h"

#include <amqp_framing.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "service/broker/topology.h"

/* Bounds our memory as well: each may be of 10 MiB. */
#define RESULTS_PREFETCH 300
#define STATUS_PREFETCH 500

struct broker {
    struct loop *loop;
    struct creds *creds;
    struct broker_handlers h;
    void *arg;
    char *url, *client_address, *ca_pem;
    bool client_tls;
    struct topology topology;
    struct amqp_conn *out, *results, *status, *dead;
    struct broker_dead dead_letters[3]; /* by enum broker_queue */
    bool up;
    size_t unconfirmed;
};

struct publish {
    broker_outcome_f *done;
    void *arg;
};

/* ---- connections ---- */

static char *give_url(void *arg, struct err *err)
{
    struct broker *b = arg;
    (void)err;
    return xstrdup(b->url); /* set before the threads begin, never changed */
}

static void out_up(void *arg)
{
    struct broker *b = arg;
    b->up = true;
    log_info("event=broker state=up");
    if (b->h.on_up)
        b->h.on_up(b->arg);
}

static void out_down(void *arg, enum amqp_down why, const char *text, bool final)
{
    static struct log_rate rate = LOG_RATE(3, 60);
    struct broker *b = arg;
    (void)why;
    (void) final;
    if (b->up || log_rate_ok(&rate))
        log_warning("event=broker state=down reason=%s", text);
    b->up = false;
}

static void confirmed(void *arg, uint64_t cookie, enum amqp_outcome outcome)
{
    struct broker *b = arg;
    struct publish *p = (struct publish *)(uintptr_t)cookie;
    b->unconfirmed--;
    if (p->done)
        p->done(p->arg, outcome);
    free(p);
}

static void result_came(void *arg, struct amqp_message *m)
{
    struct broker *b = arg;
    b->h.on_result(b->arg, m);
}

static void status_came(void *arg, struct amqp_message *m)
{
    struct broker *b = arg;
    amqp_ack(b->status, m->tag);
    b->h.on_status(b->arg, m);
}

static void count_dead(struct broker_dead *d, const char *reason)
{
    for (size_t i = 0; i < DEAD_REASONS; i++)
        if (strcmp(d->reasons[i].name, reason) == 0)
            d->reasons[i].n++;
}

static void dead_came(void *arg, struct amqp_message *m)
{
    static struct log_rate rate = LOG_RATE(20, 60);
    struct broker *b = arg;
    const char *queue = amqp_header_str(m, "x-first-death-queue");
    const char *reason = amqp_header_str(m, "x-first-death-reason");
    if (queue && reason) {
        const char *word = strncmp(queue, "usr.", 4) == 0 ? NULL : strrchr(queue, '.');
        enum broker_queue kind = !word                            ? BROKER_STREAM
                                 : strcmp(word, ".commands") == 0 ? BROKER_COMMANDS
                                                                  : BROKER_TASKS;
        count_dead(&b->dead_letters[kind], reason);
        if (log_rate_ok(&rate))
            log_warning("event=dead-letter queue=%.120s reason=%.40s bytes=%zu", queue, reason,
                        m->body_len);
    }
    amqp_ack(b->dead, m->tag);
    amqp_message_free(m);
}

static void side_down(void *arg, enum amqp_down why, const char *text, bool final)
{
    (void)arg;
    (void)why;
    (void) final;
    log_debug("event=broker connection=down reason=%s", text);
}

static struct amqp_conn *connect_out(struct broker *b)
{
    struct amqp_opts opts = {.url = give_url,
                             .url_arg = b,
                             .confirms = true,
                             .retry_auth = true,
                             .name = "sallyport service",
                             .setup = topology_declare,
                             .setup_arg = &b->topology};
    struct amqp_handlers h = {.on_up = out_up, .on_down = out_down, .on_confirm = confirmed};
    return amqp_conn_create(b->loop, &opts, &h, b);
}

static struct amqp_conn *connect_in(struct broker *b, const char *queue, uint16_t prefetch,
                                    const char *name,
                                    int (*setup)(void *, amqp_connection_state_t, struct err *),
                                    void (*came)(void *, struct amqp_message *))
{
    struct amqp_opts opts = {.url = give_url,
                             .url_arg = b,
                             .queue = queue,
                             .prefetch = prefetch,
                             .retry_auth = true,
                             .name = name,
                             .setup = setup,
                             .setup_arg = &b->topology};
    struct amqp_handlers h = {.on_message = came, .on_down = side_down};
    return amqp_conn_create(b->loop, &opts, &h, b);
}

static void name_dead(struct broker *b)
{
    static const struct broker_dead none = {
        .reasons = {{"expired", 0}, {"rejected", 0}, {"maxlen", 0}, {"delivery_limit", 0}}};
    b->dead_letters[BROKER_TASKS] = b->dead_letters[BROKER_COMMANDS] =
        b->dead_letters[BROKER_STREAM] = none;
    b->dead_letters[BROKER_TASKS].queue = "tasks";
    b->dead_letters[BROKER_COMMANDS].queue = "commands";
    b->dead_letters[BROKER_STREAM].queue = "streams";
}

const struct broker_dead *broker_dead(const struct broker *b, size_t i)
{
    return i < 3 ? &b->dead_letters[i] : NULL;
}

struct broker *broker_create(const struct broker_opts *o, const struct broker_handlers *h,
                             void *arg, struct err *err)
{
    struct broker *b = xcalloc(1, sizeof(*b));
    b->loop = o->loop;
    b->creds = o->creds;
    b->h = *h;
    b->arg = arg;
    b->url = xstrdup(o->url);
    b->client_address = xstrdup(o->client_address);
    b->client_tls = o->client_tls;
    if (topology_init(&b->topology, o->queue_type, o->status_copy, o->stream_bytes, err) < 0 ||
        topology_ca(o->ca_file, &b->ca_pem, err) < 0) {
        broker_destroy(b, 0);
        return NULL;
    }
    name_dead(b);
    b->out = connect_out(b);
    b->results = connect_in(b, "results", RESULTS_PREFETCH, "sallyport results", topology_declare,
                            result_came);
    b->status = connect_in(b, b->topology.status_queue, STATUS_PREFETCH, "sallyport heartbeats",
                           topology_status, status_came);
    b->dead = connect_in(b, "dead", STATUS_PREFETCH, "sallyport dead letters", topology_declare,
                         dead_came);
    return b;
}

void broker_destroy(struct broker *b, uint64_t timeout_us)
{
    if (!b)
        return;
    amqp_conn_destroy(b->dead, 0);
    amqp_conn_destroy(b->status, 0);
    amqp_conn_destroy(b->results, timeout_us / 2);
    amqp_conn_destroy(b->out, timeout_us);
    free(b->ca_pem);
    free(b->client_address);
    wipe_free(b->url);
    free(b);
}

void broker_wake(struct broker *b)
{
    amqp_conn_wake(b->out);
    amqp_conn_wake(b->results);
    amqp_conn_wake(b->status);
    amqp_conn_wake(b->dead);
}

bool broker_is_up(const struct broker *b)
{
    return b->up;
}

size_t broker_unconfirmed(const struct broker *b)
{
    return b->unconfirmed;
}

/* ---- messages ---- */

void broker_publish(struct broker *b, const char *exchange, const char *key, char *body, size_t n,
                    const amqp_basic_properties_t *props, broker_outcome_f *done, void *arg)
{
    struct publish *p = xcalloc(1, sizeof(*p));
    p->done = done;
    p->arg = arg;
    b->unconfirmed++;
    amqp_publish_take(b->out,
                      &(struct amqp_publish){.exchange = exchange,
                                             .routing_key = key,
                                             .mandatory = true,
                                             .body_len = n,
                                             .props = props,
                                             .cookie = (uint64_t)(uintptr_t)p},
                      body);
}

void broker_done(struct broker *b, struct amqp_message *m)
{
    amqp_ack(b->results, m->tag);
    amqp_message_free(m);
}

/* ---- queues ---- */

struct queue_call {
    struct broker *b;
    enum broker_queue kind;
    enum { MAKE, FIND, LOOK, PURGE, DELETE } verb;
    char name[160];
    struct broker_queue_state state;
    broker_queue_f *done;
    void *arg;
};

static int queue_work(void *arg, amqp_connection_state_t state, struct err *err)
{
    struct queue_call *q = arg;
    switch (q->verb) {
    case MAKE:
        return topology_queue(&q->b->topology, state, q->kind, q->name, &q->state, err);
    case FIND:
    case LOOK:
        return topology_look(state, q->name, &q->state, err);
    case PURGE:
        amqp_queue_purge(state, 1, amqp_cstring_bytes(q->name));
        break;
    case DELETE:
        amqp_queue_delete(state, 1, amqp_cstring_bytes(q->name), 0, 0);
        break;
    }
    return topology_reply(state, q->name, err);
}

static void queue_worked(void *arg, int rc, const struct err *err)
{
    struct queue_call *q = arg;
    if (q->verb == MAKE && rc < 0 && err->code == AMQP_PRECONDITION_FAILED) {
        /* It was made with other bounds, and keeps these: is it what we need otherwise? */
        q->verb = FIND;
        amqp_call(q->b->out, queue_work, queue_worked, q);
        return;
    }
    /* A passive declare of what isn't there closes the channel: an answer, not a failure. */
    bool absent = q->verb == LOOK && rc < 0 && err->code == AMQP_NOT_FOUND;
    if (rc < 0 && !absent && !q->done)
        log_debug("queue %s: %s", q->name, err->text);
    if (q->done)
        q->done(q->arg, rc == 0 || absent ? &q->state : NULL, err);
    free(q);
}

static void call(struct broker *b, int verb, enum broker_queue kind, const char *id,
                 broker_queue_f *done, void *arg)
{
    struct queue_call *q = xcalloc(1, sizeof(*q));
    q->b = b;
    q->kind = kind;
    q->verb = verb;
    q->done = done;
    q->arg = arg;
    topology_name(kind, id, q->name, sizeof(q->name));
    amqp_call(b->out, queue_work, queue_worked, q);
}

void broker_queue_make(struct broker *b, enum broker_queue kind, const char *id,
                       broker_queue_f *done, void *arg)
{
    call(b, MAKE, kind, id, done, arg);
}

void broker_queue_look(struct broker *b, enum broker_queue kind, const char *id,
                       broker_queue_f *done, void *arg)
{
    call(b, LOOK, kind, id, done, arg);
}

void broker_queue_purge(struct broker *b, enum broker_queue kind, const char *id)
{
    call(b, PURGE, kind, id, NULL, NULL);
}

void broker_queue_delete(struct broker *b, enum broker_queue kind, const char *id)
{
    call(b, DELETE, kind, id, NULL, NULL);
}

/* ---- for clients ---- */

static void percent(struct buf *b, const char *s)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (; *s; s++) {
        if (strchr(plain, *s))
            buf_char(b, *s);
        else
            buf_fmt(b, "%%%02X", (unsigned char)*s);
    }
}

static void add_ca(struct buf *url, const char *pem)
{
    autofree char *literal = xasprintf("{'cadata': '''%s'''}", pem);
    buf_str(url, "?ssl_options=");
    percent(url, literal);
}

char *broker_url_with_ca(const char *url, const char *ca_file, struct err *err)
{
    struct buf b = BUF_INIT;
    char *pem = NULL;
    if (topology_ca(ca_file, &pem, err) < 0)
        return NULL;
    buf_str(&b, url);
    if (pem)
        add_ca(&b, pem);
    free(pem);
    return buf_take(&b);
}

char *broker_url(const struct broker *b, const char *principal, const char *password)
{
    struct buf url = BUF_INIT;
    buf_str(&url, b->client_tls ? "amqps://" : "amqp://");
    percent(&url, principal);
    buf_char(&url, ':');
    percent(&url, password);
    buf_fmt(&url, "@%s", b->client_address);
    if (b->client_tls && b->ca_pem)
        add_ca(&url, b->ca_pem);
    return buf_take(&url);
}

static struct json_object *publisher(const char *url, const char *exchange, const char *queue,
                                     const char *endpoint_id, const char *word)
{
    autofree char *key = xasprintf("%s.%s", endpoint_id, word);
    struct json_object *o = json_object_new_object();
    struct json_object *kwargs = json_object_new_object();
    struct json_object *props = json_object_new_object();
    json_add_str(o, "connection_url", url);
    json_add_str(o, "exchange", exchange);
    json_add_str(o, "queue", queue);
    json_add_int(props, "delivery_mode", 2);
    json_add_str(kwargs, "exchange", exchange);
    json_add_str(kwargs, "routing_key", key);
    json_add_bool(kwargs, "mandatory", true);
    json_add(kwargs, "properties", props);
    json_add(o, "queue_publish_kwargs", kwargs);
    return o;
}

static struct json_object *consumer(const char *url, const char *exchange, const char *endpoint_id,
                                    const char *word)
{
    autofree char *queue = xasprintf("%s.%s", endpoint_id, word);
    struct json_object *o = json_object_new_object();
    json_add_str(o, "connection_url", url);
    json_add_str(o, "exchange", exchange);
    json_add_str(o, "queue", queue);
    return o;
}

struct json_object *broker_queue_infos(const struct broker *b, const char *endpoint_id,
                                       const char *password, bool commands, bool tasks)
{
    autofree char *principal = xasprintf("ep.%s", endpoint_id);
    char *url = broker_url(b, principal, password);
    struct json_object *o = json_object_new_object();
    json_add_str(o, "endpoint_id", endpoint_id);
    if (commands)
        json_add(o, "command_queue_info", consumer(url, "commands", endpoint_id, "commands"));
    if (tasks) {
        json_add(o, "task_queue_info", consumer(url, "tasks", endpoint_id, "tasks"));
        json_add(o, "result_queue_info",
                 publisher(url, "results", "results", endpoint_id, "results"));
    }
    json_add(o, "heartbeat_queue_info",
             publisher(url, "heartbeats", "heartbeats", endpoint_id, "heartbeats"));
    wipe_free(url);
    return o;
}
