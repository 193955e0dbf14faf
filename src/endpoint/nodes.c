#include "endpoint/nodes.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "endpoint/blocks/blocks.h"
#include "lib/base/alloc.h"
#include "lib/base/descriptors.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/config/config.h"
#include "lib/link/link.h"

#define DRAIN_MARGIN_US LOOP_S(1) /* an agent that is about to drain gets nothing more */

struct node {
    TAILQ_ENTRY(node) link;
    struct nodes *owner;
    struct link_agent *agent;
    struct seat *seat;
    struct loop_timer *drain; /* NULL = it stays */
    bool on_hold;
};

struct nodes {
    struct loop *loop;
    struct nodes_opts o;
    struct dispatch *dispatch;
    struct link_server *server;
    struct blocks *blocks;
    int port; /* of the last server: kept when it opens again */
    TAILQ_HEAD(, node) all;
    size_t outstanding;
    bool rest_planned, stopping;
};

static void plan_rest(struct nodes *n);

/* ---- what agents tell ------------------------------------------------------------------------ */

static void hold(struct node *k)
{
    if (k->on_hold)
        return;
    k->on_hold = true;
    dispatch_hold(k->owner->dispatch, k->seat);
    link_send_hold(k->agent);
}

static void drain_cb(void *arg)
{
    hold(arg);
}

static void registered_cb(void *arg, struct link_agent *a)
{
    struct nodes *n = arg;
    const struct link_agent_info *i = link_agent_info(a);
    struct node *k = xcalloc(1, sizeof(*k));
    uint64_t drain_us = LOOP_S((uint64_t)engine_int(n->o.engine, "drain_period"));
    *k = (struct node){.owner = n, .agent = a};
    link_agent_set_data(a, k);
    TAILQ_INSERT_TAIL(&n->all, k, link);
    log_info("block=%s agent=%s host=%s event=registered workers=%d capacity=%d address=%s",
             i->block, i->id, i->host, i->workers, i->capacity, i->address);
    k->seat = dispatch_seat(n->dispatch, k, i->block, (size_t)i->capacity);
    blocks_agent_registered(n->blocks, i->block);
    if (drain_us > 2 * DRAIN_MARGIN_US) {
        k->drain = loop_timer_create(n->loop, drain_cb, k);
        loop_timer_set(k->drain, drain_us - DRAIN_MARGIN_US, 0);
    }
}

static void started_cb(void *arg, struct link_agent *a, const char *id)
{
    struct nodes *n = arg;
    dispatch_started(n->dispatch, id);
}

static void result_cb(void *arg, struct link_agent *a, const char *id, const void *body,
                      size_t size)
{
    struct nodes *n = arg;
    dispatch_result(n->dispatch, id, body, size);
}

static void task_lost_cb(void *arg, struct link_agent *a, const char *id, enum link_loss kind,
                         const char *text)
{
    struct nodes *n = arg;
    struct node *k = link_agent_data(a);
    if (k != NULL)
        dispatch_lost(n->dispatch, k->seat, id, kind == LINK_WORKER_LOST, text);
}

static void node_free(struct node *k)
{
    TAILQ_REMOVE(&k->owner->all, k, link);
    loop_timer_destroy(k->drain);
    free(k);
}

static void unseat(struct node *k, const char *why)
{
    const struct link_agent_info *i = link_agent_info(k->agent);
    autofree char *text = xasprintf(
        "%s\nparsl.executors.high_throughput.errors.ManagerLost: Task failure due to loss "
        "of manager %s on host %s",
        why, i->id, i->host);
    dispatch_unseat(k->owner->dispatch, k->seat, text);
}

static void lost_cb(void *arg, struct link_agent *a, const char *why)
{
    struct nodes *n = arg;
    struct node *k = link_agent_data(a);
    if (k == NULL)
        return;
    autofree char *said = n->stopping ? xstrdup("The endpoint was shut down while the task ran")
                                      : xasprintf("The node's agent is gone: %s", why);
    unseat(k, said);
    node_free(k);
    plan_rest(n);
}

static const struct link_server_handlers link_handlers = {
    registered_cb, started_cb, result_cb, task_lost_cb, lost_cb,
};

int nodes_send(void *agent, const struct task *t)
{
    struct node *k = agent;
    autojson struct json_object *header = task_header(t);
    return link_send_task(k->agent, header, t->body, t->body_len);
}

/* ---- what blocks ask and tell ---------------------------------------------------------------- */

static void load_cb(void *arg, const char *block, struct block_load *out)
{
    struct nodes *n = arg;
    struct node *k;
    bool busy = false;
    *out = (struct block_load){.agents = 0};
    TAILQ_FOREACH(k, &n->all, link)
    {
        if (strcmp(seat_block(k->seat), block) != 0)
            continue;
        uint64_t idle = seat_idle_since_us(k->seat);
        out->agents++;
        out->tasks += seat_tasks(k->seat);
        busy = busy || idle == 0;
        if (idle > out->idle_since_us)
            out->idle_since_us = idle;
    }
    if (busy)
        out->idle_since_us = 0;
}

static void hold_cb(void *arg, const char *block)
{
    struct nodes *n = arg;
    struct node *k;
    TAILQ_FOREACH(k, &n->all, link)
    if (strcmp(seat_block(k->seat), block) == 0)
        hold(k);
}

static void ended_cb(void *arg, const char *block)
{
    plan_rest(arg);
}

static void bad_state_cb(void *arg, const char *text)
{
    struct nodes *n = arg;
    n->o.bad_state(n->o.arg, text);
}

static const struct blocks_handlers block_handlers = {load_cb, hold_cb, ended_cb, bad_state_cb};

/* ---- coming and going ------------------------------------------------------------------------ */

static char *key_dir(const struct engine *e, const char *dir)
{
    return xasprintf("%s/%s/certificates", dir, e->label);
}

char *nodes_key_file(const struct engine *e, const char *dir)
{
    autofree char *keys = key_dir(e, dir);
    return xasprintf("%s/%s", keys, LINK_KEY_FILE);
}

static int open_server(struct nodes *n, struct err *err)
{
    const struct engine *e = n->o.engine;
    autofree char *logs = xasprintf("%s/%s", n->o.dir, e->label);
    autofree char *keys = key_dir(e, n->o.dir);
    int64_t period = engine_int(e, "heartbeat_period");
    int64_t threshold = engine_int(e, "heartbeat_threshold");
    if (fs_mkdirs(logs, 0700, err) != 0)
        return -1;
    if (descriptors_raise() != 0) /* one for each node */
        log_warning("the limit of open files stays as it is: %s", strerror(errno));
    struct link_server_opts o = {
        .address = e->listen,
        .port = e->port > 0 ? e->port : n->port,
        .port_from = e->port_from,
        .port_to = e->port_to,
        .key_dir = keys,
        .encrypted = e->encrypted,
        .heartbeat_period_s = (unsigned)(period > 0 ? period : 30),
        .heartbeat_threshold_s = (unsigned)(threshold > 0 ? threshold : 120),
        .handlers = &link_handlers,
        .arg = n,
    };
    /* The given port first; then any of the range; then on every interface (the address may be
     * that of a gateway). */
    for (int i = 0; i < 3 && n->server == NULL; i++) {
        o.settings = engine_settings(e, n->o.dir, n->o.endpoint_id, n->o.debug);
        n->server = link_server_create(n->loop, &o, err);
        if (e->port == 0)
            o.port = 0;
        if (i == 1)
            o.address = NULL;
    }
    if (n->server == NULL)
        return -1;
    return 0;
}

static int open_blocks(struct nodes *n, struct err *err)
{
    const struct engine *e = n->o.engine;
    autofree char *command =
        engine_command(e, n->o.dir, n->port, link_server_key_file(n->server), n->o.debug);
    n->blocks = blocks_create(
        n->loop,
        &(struct blocks_opts){
            .provider = e->provider,
            .label = e->label,
            .dir = n->o.dir,
            .strategy = e->strategy,
            .max_idletime_s = e->max_idletime,
            .strategy_period_s = e->strategy_period,
            .error_handler = engine_is_pool(e) || engine_bool(e, "block_error_handler"),
            .slots_per_node = e->slots_per_node,
            .command = command,
            .handlers = &block_handlers,
            .arg = n,
        },
        err);
    if (n->blocks == NULL)
        return -1;
    blocks_start(n->blocks);
    return 0;
}

static int wake(struct nodes *n, struct err *err)
{
    if (n->server != NULL)
        return 0;
    int before = n->port;
    if (open_server(n, err) != 0)
        return -1;
    n->port = link_server_port(n->server);
    log_info("waiting for node agents on %s port %d", n->o.engine->address, n->port);
    if (n->blocks == NULL)
        return open_blocks(n, err);
    if (n->port != before) {
        autofree char *command = engine_command(n->o.engine, n->o.dir, n->port,
                                                link_server_key_file(n->server), n->o.debug);
        blocks_command(n->blocks, command);
    }
    return 0;
}

static void rest_cb(void *arg)
{
    struct nodes *n = arg;
    size_t pending = 0, running = 0;
    n->rest_planned = false;
    if (n->blocks != NULL)
        blocks_count(n->blocks, &pending, &running);
    if (n->server == NULL || n->stopping || n->outstanding > 0 || pending + running > 0 ||
        link_server_agents(n->server) > 0 || !TAILQ_EMPTY(&n->all))
        return;
    log_info("no block is left; the port for node agents is closed");
    link_server_destroy(n->server);
    n->server = NULL;
    malloc_trim(0); /* from now on there is little to do, perhaps for days */
}

static void plan_rest(struct nodes *n)
{
    if (n->rest_planned || n->stopping || n->outstanding > 0)
        return;
    n->rest_planned = true;
    loop_defer(n->loop, rest_cb, n);
}

void nodes_demand(struct nodes *n, size_t outstanding)
{
    struct err err = ERR_INIT;
    n->outstanding = outstanding;
    if (n->stopping)
        return;
    if (outstanding > 0 && wake(n, &err) != 0) {
        n->o.bad_state(n->o.arg, err.text);
        return;
    }
    if (n->blocks != NULL)
        blocks_demand(n->blocks, outstanding);
    plan_rest(n);
}

struct nodes *nodes_create(struct loop *l, const struct nodes_opts *o)
{
    struct nodes *n = xcalloc(1, sizeof(*n));
    *n = (struct nodes){.loop = l, .o = *o};
    TAILQ_INIT(&n->all);
    return n;
}

/* A life that was killed left batch jobs: they are cancelled now, not when a task comes. */
static bool has_old_jobs(const struct nodes *n)
{
    autofree char *path = xasprintf("%s/batch_jobs.json", n->o.dir);
    return access(path, F_OK) == 0;
}

int nodes_start(struct nodes *n, struct dispatch *d, struct err *err)
{
    n->dispatch = d;
    if (n->o.engine->init_blocks == 0 && !has_old_jobs(n))
        return 0;
    int rc = wake(n, err);
    plan_rest(n);
    return rc;
}

/* ---- asking ---------------------------------------------------------------------------------- */

void nodes_count(const struct nodes *n, struct nodes_count *out)
{
    struct node *k;
    *out = (struct nodes_count){.agents = 0};
    TAILQ_FOREACH(k, &n->all, link)
    {
        size_t workers = (size_t)link_agent_info(k->agent)->workers, held = seat_tasks(k->seat);
        out->agents++;
        out->active += !k->on_hold;
        out->workers += workers;
        out->idle_workers += workers > held ? workers - held : 0;
        out->held += held;
    }
}

struct json_object *nodes_blocks(const struct nodes *n)
{
    return n->blocks != NULL ? blocks_describe(n->blocks) : json_object_new_array();
}

static const char *job_in(struct json_object *blocks, const char *block)
{
    for (size_t i = 0; i < json_object_array_length(blocks); i++) {
        struct json_object *b = json_object_array_get_idx(blocks, i);
        if (strcmp(json_str_or(b, "id", ""), block) == 0)
            return json_str_or(b, "job_id", NULL);
    }
    return NULL;
}

char *nodes_job(const struct nodes *n, const char *block)
{
    autojson struct json_object *blocks = nodes_blocks(n);
    return xstrdup(job_in(blocks, block));
}

static double idle_s(const struct node *k)
{
    uint64_t since = seat_idle_since_us(k->seat);
    return since > 0 ? (double)(loop_now_us(k->owner->loop) - since) / 1e6 : 0.0;
}

static struct json_object *node_info(const struct node *k)
{
    const struct link_agent_info *i = link_agent_info(k->agent);
    struct json_object *o = json_object_new_object();
    json_add_int(o, "worker_count", i->workers);
    json_add_double(o, "idle_duration", idle_s(k));
    json_add_str(o, "parsl_version", "sallyport");
    json_add_str(o, "endpoint_version", COMPUTE_VERSION);
    json_add_str(o, "sdk_version", json_str_or(i->details, "sdk_version", NULL));
    json_add_str(o, "python_version", i->python);
    return o;
}

struct json_object *nodes_info(const struct nodes *n)
{
    autojson struct json_object *blocks = nodes_blocks(n);
    struct json_object *o = json_object_new_object();
    struct node *k;
    TAILQ_FOREACH(k, &n->all, link)
    {
        const char *job = job_in(blocks, seat_block(k->seat));
        struct json_object *list;
        if (job == NULL)
            job = seat_block(k->seat);
        if (!json_object_object_get_ex(o, job, &list)) {
            list = json_object_new_array();
            json_object_object_add(o, job, list);
        }
        json_object_array_add(list, node_info(k));
    }
    return o;
}

struct json_object *nodes_list(const struct nodes *n)
{
    struct json_object *list = json_object_new_array();
    struct node *k;
    TAILQ_FOREACH(k, &n->all, link)
    {
        const struct link_agent_info *i = link_agent_info(k->agent);
        struct json_object *o = json_object_new_object();
        json_add_str(o, "id", i->id);
        json_add_str(o, "block", i->block);
        json_add_str(o, "host", i->host);
        json_add_str(o, "address", i->address);
        json_add_str(o, "python", i->python);
        json_add_int(o, "workers", i->workers);
        json_add_int(o, "capacity", i->capacity);
        json_add_int(o, "tasks", (int64_t)seat_tasks(k->seat));
        json_add_bool(o, "on_hold", k->on_hold);
        json_add_double(o, "idle_s", idle_s(k));
        json_object_array_add(list, o);
    }
    return list;
}

/* ---- the end --------------------------------------------------------------------------------- */

void nodes_shutdown(struct nodes *n, loop_f *done, void *arg)
{
    struct node *k;
    n->stopping = true;
    while ((k = TAILQ_FIRST(&n->all)) != NULL) {
        link_agent_set_data(k->agent, NULL);
        link_send_stop(k->agent);
        unseat(k, "The endpoint was shut down while the task ran");
        node_free(k);
    }
    if (n->blocks != NULL)
        blocks_shutdown(n->blocks, done, arg);
    else
        loop_defer(n->loop, done, arg);
}

void nodes_destroy(struct nodes *n)
{
    if (n == NULL)
        return;
    blocks_destroy(n->blocks);
    link_server_destroy(n->server);
    struct node *k;
    while ((k = TAILQ_FIRST(&n->all)) != NULL) {
        dispatch_unseat(n->dispatch, k->seat, "The endpoint was shut down");
        node_free(k);
    }
    loop_defer_cancel(n->loop, rest_cb, n);
    free(n);
}
