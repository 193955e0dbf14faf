/* A node agent: one per node of a block.  Finds its user endpoint, starts Python workers, feeds
 * them with the tasks that come over the link, and leaves when told to, when drained, or when the
 * user endpoint is silent for too long, which gives the job's nodes back.
 *
 *   connecting ──welcome──▶ serving ──drain──▶ draining ──▶ leaving
 *
 * Tasks wait here only when the agent may hold more than its workers (prefetch), while Python is
 * starting, or in MPI mode for nodes. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/proctitle.h"
#include "lib/link/link.h"
#include "node/mpi.h"
#include "node/options.h"
#include "node/place.h"
#include "lib/python/python.h"
#include "node/workers.h"

struct waiting {
    TAILQ_ENTRY(waiting) link;
    char *id;
    struct json_object *header;
    struct buf body;
};

struct node {
    struct loop *loop;
    struct options o;
    struct utsname host;
    struct link_client *client;
    struct place place;
    struct mpi *mpi;
    struct workers *workers;
    char *python, *python_version, *address;
    TAILQ_HEAD(, waiting) queue;
    struct loop_timer *drain;
    int owner_fd; /* of the endpoint's process, when it is here */
    struct loop_io *owner;
    bool draining, leaving;
    int status;
};

static void leave(struct node *n, const char *why, int status);

/* ---- tasks ----------------------------------------------------------------------------------- */

static void waiting_free(struct waiting *t)
{
    free(t->id);
    json_object_put(t->header);
    buf_free(&t->body);
    free(t);
}

static void maybe_drained(struct node *n)
{
    if (n->draining && TAILQ_EMPTY(&n->queue) &&
        (n->workers == NULL || workers_busy(n->workers) == 0))
        leave(n, "drained", 0);
}

/* Variables that the resource specification asks for: PARSL_<KEY>, in MPI mode the nodes too. */
static struct json_object *task_environment(struct node *n, const struct waiting *t)
{
    struct json_object *spec = json_at(t->header, "spec");
    struct json_object *env = json_object_new_object();
    if (json_object_is_type(spec, json_type_object)) {
        json_object_object_foreach(spec, key, value)
        {
            autofree char *name = xasprintf("PARSL_%s", key);
            for (char *p = name; *p != '\0'; p++)
                if (*p >= 'a' && *p <= 'z')
                    *p = (char)(*p - 'a' + 'A');
            json_add_str(env, name, json_object_get_string(value));
        }
    }
    if (n->mpi == NULL)
        return env;
    struct json_object *nodes = mpi_take(n->mpi, t->id, spec);
    if (nodes == NULL) {
        json_object_put(env);
        return NULL;
    }
    json_object_object_foreach(nodes, key, value)
    {
        json_object_object_add(env, key, json_object_get(value));
    }
    json_object_put(nodes);
    return env;
}

/* true when it went to a worker. */
static bool start_task(struct node *n, struct waiting *t)
{
    struct json_object *env = task_environment(n, t);
    if (env == NULL)
        return false; /* too few nodes are free: a smaller task behind may fit */
    json_add(t->header, "env", env);
    if (!workers_run(n->workers, t->id, t->header, t->body.data, t->body.len)) {
        if (n->mpi != NULL)
            mpi_give_back(n->mpi, t->id);
        return false;
    }
    link_client_started(n->client, t->id);
    return true;
}

/* With tasks at hand nobody waits for our messages: they may gather. */
static void feed(struct node *n)
{
    struct waiting *t, *next;
    for (t = TAILQ_FIRST(&n->queue); t != NULL && n->workers != NULL; t = next) {
        next = TAILQ_NEXT(t, link);
        if (!workers_has_room(n->workers))
            break;
        if (!start_task(n, t))
            continue;
        TAILQ_REMOVE(&n->queue, t, link);
        waiting_free(t);
    }
    link_client_batch(n->client, !TAILQ_EMPTY(&n->queue));
}

static void task_cb(void *arg, struct json_object *header, const void *body, size_t size)
{
    struct node *n = arg;
    struct err err = ERR_INIT;
    const char *id = json_str_or(header, "id", NULL);
    if (id == NULL)
        return;
    if (n->mpi != NULL && mpi_check(n->mpi, json_at(header, "spec"), &err) != 0) {
        autofree char *text = xasprintf(
            "parsl.executors.errors.InvalidResourceSpecification: Invalid Resource Specification "
            "Supplied: %s",
            err.text);
        link_client_task_lost(n->client, id, LINK_TASK_FAILED, text);
        return;
    }
    struct waiting *t = xcalloc(1, sizeof(*t));
    t->id = xstrdup(id);
    t->header = json_object_get(header);
    buf_add(&t->body, body, size);
    TAILQ_INSERT_TAIL(&n->queue, t, link);
    feed(n);
}

static void task_over(struct node *n, const char *id)
{
    if (n->mpi != NULL)
        mpi_give_back(n->mpi, id);
    maybe_drained(n);
}

static void result_cb(void *arg, const char *id, const void *body, size_t size)
{
    struct node *n = arg;
    link_client_result(n->client, id, body, size);
    task_over(n, id);
}

static void failed_cb(void *arg, const char *id, const char *text)
{
    struct node *n = arg;
    link_client_task_lost(n->client, id, LINK_TASK_FAILED, text);
    task_over(n, id);
}

static void died_cb(void *arg, const char *id, int slot, const char *how)
{
    struct node *n = arg;
    autofree char *text =
        xasprintf("The worker's process ended while it ran the task: %s\n"
                  "parsl.executors.high_throughput.errors.WorkerLost: Task failure due to loss of "
                  "worker %d on host %s",
                  how, slot, n->host.nodename);
    link_client_task_lost(n->client, id, LINK_WORKER_LOST, text);
    task_over(n, id);
}

static void free_slot_cb(void *arg)
{
    feed(arg);
}

/* ---- becoming ready -------------------------------------------------------------------------- */

static void announce(struct node *n)
{
    struct json_object *o = json_object_new_object();
    json_add_int(o, "workers", n->place.workers);
    json_add_int(o, "capacity", n->place.capacity);
    json_add_str(o, "python", n->python_version != NULL ? n->python_version : "");
    json_add_str(o, "interpreter", n->python);
    json_add_str(o, "address", n->address);
    json_add_int(o, "cores", n->place.cores);
    json_add_double(o, "memory_gb", n->place.memory_gb);
    if (n->mpi != NULL)
        json_add_int(o, "nodes", mpi_nodes(n->mpi));
    link_client_ready(n->client, o);
}

static void python_ready_cb(void *arg, struct json_object *details)
{
    struct node *n = arg;
    free(n->python_version);
    n->python_version = xstrdup(json_str_or(details, "python_version", ""));
    log_info("workers run %s, Python %s", n->python, n->python_version);
    announce(n);
}

static void broken_cb(void *arg, const char *why)
{
    struct node *n = arg;
    fprintf(stderr, "node-agent: %s\n", why);
    leave(n, why, 1);
}

static const struct workers_handlers worker_handlers = {
    python_ready_cb, free_slot_cb, result_cb, failed_cb, died_cb, broken_cb,
};

static int64_t setting(struct json_object *settings, const char *key, int64_t otherwise)
{
    int64_t v;
    return json_get_int(settings, key, &v, NULL) == 0 ? v : otherwise;
}

static void drain_cb(void *arg)
{
    struct node *n = arg;
    if (n->draining)
        return;
    n->draining = true;
    log_info("draining: no new tasks from now on");
    maybe_drained(n);
}

static void open_log(struct node *n, struct json_object *settings)
{
    const char *dir = json_str_or(settings, "log_dir", NULL);
    if (dir == NULL)
        return;
    autofree char *block = xasprintf("%s/block-%s", dir, n->o.block);
    autofree char *path = xasprintf("%s/%s.log", block, link_client_id(n->client));
    struct err err = ERR_INIT;
    int fd = fs_mkdirs(block, 0700, &err) == 0
                 ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)
                 : -1;
    if (fd >= 0) {
        log_file(fd, path);
        log_console(false, false);
    }
}

static int take_settings(struct node *n, struct json_object *settings, struct err *err)
{
    const char *launcher = json_str_or(settings, "mpi_launcher", NULL);
    n->python =
        python_choose(json_at(settings, "python"), json_str_or(settings, "user_python", NULL), err);
    if (n->python == NULL || place_measure(&n->place, settings, err) != 0)
        return -1;
    if (launcher != NULL) {
        n->mpi = mpi_create(launcher, err);
        if (n->mpi == NULL)
            return -1;
        n->place.workers = (int)setting(settings, "max_workers_per_block", 1);
        n->place.capacity = n->place.workers + (int)setting(settings, "prefetch", 0);
    }
    n->workers =
        workers_create(n->loop,
                       &(struct workers_opts){
                           .place = &n->place,
                           .settings = settings,
                           .agent_id = link_client_id(n->client),
                           .block = n->o.block,
                           .python = n->python,
                           .tasks_per_child = (int)setting(settings, "max_tasks_per_child", 0),
                           .handlers = &worker_handlers,
                           .arg = n,
                       },
                       err);
    return n->workers != NULL ? 0 : -1;
}

static void welcome_cb(void *arg, struct json_object *settings, const char *address)
{
    struct node *n = arg;
    struct err err = ERR_INIT;
    int64_t drain_s = setting(settings, "drain_period", 0);
    n->address = xstrdup(address);
    if (n->o.debug || json_object_get_boolean(json_at(settings, "debug")))
        log_level_set(LOG_L_DEBUG);
    open_log(n, settings);
    log_info("block=%s agent=%s host=%s: connected to the user endpoint at %s", n->o.block,
             link_client_id(n->client), n->host.nodename, address);
    link_client_beat(n->client, (unsigned)setting(settings, "heartbeat_period", 30),
                     (unsigned)setting(settings, "heartbeat_threshold", 120));
    if (take_settings(n, settings, &err) != 0) {
        fprintf(stderr, "node-agent: %s\n", err.text);
        leave(n, err.text, 1);
        return;
    }
    if (drain_s > 0)
        loop_timer_set(n->drain, LOOP_S((uint64_t)drain_s), LOOP_S(1));
    /* Tasks may come while Python is still starting: that time is not lost. */
    announce(n);
}

static void hold_cb(void *arg)
{
    log_info("on hold: no new tasks will come");
}

/* ---- leaving --------------------------------------------------------------------------------- */

static void gone_cb(void *arg)
{
    struct node *n = arg;
    link_client_flush(n->client);
    loop_stop(n->loop, n->status);
}

static void leave(struct node *n, const char *why, int status)
{
    if (n->leaving)
        return;
    n->leaving = true;
    n->status = status;
    log_info("leaving: %s", why);
    if (n->client != NULL)
        link_client_going(n->client, why);
    if (n->workers != NULL)
        workers_stop(n->workers, gone_cb, n);
    else
        loop_defer(n->loop, gone_cb, n);
}

static void stop_cb(void *arg, const char *why)
{
    struct node *n = arg;
    bool served = n->workers != NULL;
    if (!served)
        fprintf(stderr, "node-agent: %s\n", why);
    leave(n, why, served ? 0 : 1);
}

static void signal_cb(void *arg)
{
    leave(arg, "a signal asked for it", 0);
}

static void owner_ended_cb(void *arg, int fd, uint32_t revents)
{
    struct node *n = arg;
    loop_io_events(n->owner, 0);
    leave(n, "the user endpoint has ended", 0);
}

/* On the endpoint's own host its end is seen at once; elsewhere the silence tells. */
static void watch_owner(struct node *n)
{
    if (n->o.while_pid == 0)
        return;
    n->owner_fd = (int)syscall(SYS_pidfd_open, n->o.while_pid, 0);
    if (n->owner_fd >= 0)
        n->owner = loop_io_create(n->loop, n->owner_fd, EPOLLIN, owner_ended_cb, n);
    else if (errno == ESRCH)
        leave(n, "the user endpoint has ended", 0);
}

static const struct link_client_handlers client_handlers = {
    welcome_cb, task_cb, hold_cb, drain_cb, stop_cb,
};

static int connect_up(struct node *n, struct err *err)
{
    struct json_object *hello = json_object_new_object();
    json_add_str(hello, "block", n->o.block);
    json_add_str(hello, "host", n->host.nodename);
    json_add_int(hello, "pid", getpid());
    n->client = link_client_create(
        n->loop,
        &(struct link_client_opts){.addresses = (const char *const *)n->o.addresses,
                                   .port = n->o.port,
                                   .key_file = n->o.key_file,
                                   .encrypted = !n->o.plain,
                                   .probe_timeout_s = (unsigned)n->o.probe_timeout_s,
                                   .hello = hello,
                                   .handlers = &client_handlers,
                                   .arg = n},
        err);
    return n->client != NULL ? 0 : -1;
}

static void node_clear(struct node *n)
{
    struct waiting *t;
    workers_destroy(n->workers);
    link_client_destroy(n->client);
    while ((t = TAILQ_FIRST(&n->queue)) != NULL) {
        TAILQ_REMOVE(&n->queue, t, link);
        waiting_free(t);
    }
    mpi_destroy(n->mpi);
    place_clear(&n->place);
    loop_timer_destroy(n->drain);
    loop_io_destroy(n->owner);
    if (n->owner_fd >= 0)
        close(n->owner_fd);
    loop_destroy(n->loop);
    options_clear(&n->o);
    free(n->python);
    free(n->python_version);
    free(n->address);
}

int main(int argc, char **argv)
{
    struct node n = {.owner_fd = -1};
    struct err err = ERR_INIT;
    TAILQ_INIT(&n.queue);
    /* Large results come and go: one arena, and what is large goes back at once. */
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    mallopt(M_TRIM_THRESHOLD, 128 << 10);
    proctitle_init(argc, argv);
    if (options_read(&n.o, argc, argv, &err) != 0) {
        fprintf(stderr, "node-agent: %s\n", err.text);
        return 64;
    }
    if (n.o.help) {
        fputs(options_usage, stdout);
        return 0;
    }
    signal(SIGPIPE, SIG_IGN);
    uname(&n.host);
    log_init("NodeAgent", n.o.debug ? LOG_L_DEBUG : LOG_L_INFO);
    log_console(true, false);
    proctitle_set("Globus Compute Endpoint: node agent (block %s)", n.o.block);
    n.loop = loop_create();
    n.drain = loop_timer_create(n.loop, drain_cb, &n);
    loop_signal(n.loop, SIGTERM, signal_cb, &n);
    loop_signal(n.loop, SIGINT, signal_cb, &n);
    int status = 1;
    if (connect_up(&n, &err) == 0) {
        watch_owner(&n);
        status = loop_run(n.loop);
    } else
        fprintf(stderr, "node-agent: %s\n", err.text);
    node_clear(&n);
    return status;
}
