/* The nodes of the endpoint: blocks, the link to their agents, and what both tell the dispatch.
 *
 * Nothing of it exists while no block is needed: the port opens with the first block and closes
 * when neither tasks, blocks nor agents are left. */
#ifndef SALLYPORT_ENDPOINT_NODES_H
#define SALLYPORT_ENDPOINT_NODES_H

#include "endpoint/dispatch.h"
#include "endpoint/engine.h"
#include "lib/base/loop.h"

struct nodes;

struct nodes_opts {
    const struct engine *engine;
    const char *dir, *endpoint_id;
    bool debug;
    /* No block can be started, or no port opened: fail what waits with this text and leave. */
    void (*bad_state)(void *arg, const char *text);
    void *arg;
};

struct nodes *nodes_create(struct loop *l, const struct nodes_opts *opts);
/* Where agents get their tasks from; init_blocks are requested now. */
int nodes_start(struct nodes *n, struct dispatch *d, struct err *err);
/* Tasks that are not finished; call at every change. */
void nodes_demand(struct nodes *n, size_t outstanding);
/* For dispatch_handlers.send. */
int nodes_send(void *agent, const struct task *t);

/* Sums over the agents. */
struct nodes_count {
    size_t agents, active, workers, idle_workers, held;
};
void nodes_count(const struct nodes *n, struct nodes_count *out);
/* {"<job id>": [{...}, ...]} for the status report; new objects. */
struct json_object *nodes_info(const struct nodes *n);
struct json_object *nodes_blocks(const struct nodes *n);
/* List of {id, block, host, address, python, workers, capacity, tasks, on_hold, idle_s}. */
struct json_object *nodes_list(const struct nodes *n);
/* Where agents of an endpoint in `dir` find the key of the link; caller frees. */
char *nodes_key_file(const struct engine *e, const char *dir);
/* The job of a block, NULL when not known; caller frees. */
char *nodes_job(const struct nodes *n, const char *block);

/* Stops agents and cancels every block; done once that is over or took too long.  Tasks that agents
 * still hold are answered as lost by the shutdown. */
void nodes_shutdown(struct nodes *n, loop_f *done, void *arg);
void nodes_destroy(struct nodes *n);

#endif
