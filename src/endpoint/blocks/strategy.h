/* The arithmetic of scaling (spec: engines.md 5.2), without any doing. */
#ifndef SALLYPORT_ENDPOINT_STRATEGY_H
#define SALLYPORT_ENDPOINT_STRATEGY_H

#include <stdbool.h>
#include <stdint.h>

struct scaling {
    /* settings */
    bool scales;      /* false: strategy "none" */
    bool gives_early; /* htex_auto_scale: gives idle blocks back while others work */
    int64_t min_blocks, max_blocks, nodes_per_block, slots_per_node;
    double parallelism;
    /* now */
    int64_t tasks, active; /* outstanding; blocks pending or running */
    bool idle_long;        /* no task for longer than max_idletime */
};

enum scaling_act { SCALE_NOT, SCALE_OUT, SCALE_IN, SCALE_IN_IDLE_ONLY };

struct scaling_step {
    enum scaling_act act;
    int64_t blocks;
};
struct scaling_step strategy_step(const struct scaling *s);

#endif
