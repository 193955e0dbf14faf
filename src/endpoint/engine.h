/* The engine of a user endpoint: its keys checked and typed (spec: engines.md sections 1 to 3, 8
 * and 9).
 *
 * All four kinds run on the same machinery, blocks of node agents with Python workers; a pool is
 * one local block. */
#ifndef SALLYPORT_ENDPOINT_ENGINE_H
#define SALLYPORT_ENDPOINT_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"

enum engine_kind { ENGINE_COMPUTE, ENGINE_MPI, ENGINE_PROCESSES, ENGINE_THREADS };

struct engine {
    enum engine_kind kind;
    const char *type;             /* "GlobusComputeEngine", ... */
    char *label;                  /* executor label: names jobs, scripts, logs */
    struct json_object *options;  /* complete: with defaults; nulls dropped */
    struct json_object *provider; /* typed mapping; a LocalProvider for pools */
    char *address;                /* comma-separated, as agents get it */
    char *listen;                 /* to listen on; NULL = every interface */
    char *strategy;               /* "simple", "htex_auto_scale", "none" */
    double max_idletime, strategy_period;
    int port_from, port_to, port; /* port 0 = a free one of the range */
    int64_t slots_per_node;       /* for the scaling formula */
    int64_t nodes_per_block, max_blocks, init_blocks, min_blocks;
    int64_t retries;
    bool encrypted;
    bool stays_here;     /* its agents run on this very host, as children of ours */
    struct buf warnings; /* of options without effect; a line each */
};

/* o: the typed mapping.  -1 with a sentence that names key, value found and values accepted. */
int engine_read(struct json_object *o, struct engine *out, struct err *err);
void engine_clear(struct engine *e);
bool engine_is_pool(const struct engine *e);

int64_t engine_int(const struct engine *e, const char *key); /* 0 when null */
bool engine_bool(const struct engine *e, const char *key);
const char *engine_text(const struct engine *e, const char *key); /* NULL when null */

/* What agents are told (lib/link/link.h lists the keys).  A new object. */
struct json_object *engine_settings(const struct engine *e, const char *dir,
                                    const char *endpoint_id, bool debug);
/* The shell command of one node; {block_id} stays in it.  Caller frees. */
char *engine_command(const struct engine *e, const char *dir, int port, const char *key_file,
                     bool debug);
/* The table of interpreters, and whether there is one for the user's Python ("3.11.2"; NULL = not
 * known): -1 with both versions in the sentence. */
int engine_check_python(const struct engine *e, const char *user, struct err *err);
/* A task's resource specification (an object or NULL): -1 with the original's words. */
int engine_check_spec(const struct engine *e, struct json_object *spec, struct err *err);

#endif
