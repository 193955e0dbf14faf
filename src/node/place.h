/* What this node offers: how many workers, which cores and accelerators each of them gets
 * (spec: engines.md 3.1 and 3.2). */
#ifndef SALLYPORT_NODE_PLACE_H
#define SALLYPORT_NODE_PLACE_H

#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/json.h"

struct place {
    int workers, capacity;
    int cores;                        /* of this job on this node */
    double memory_gb;                 /* available */
    char *affinity;                   /* the setting */
    struct json_object *accelerators; /* list of names */
    int gpus;                         /* that nvidia-smi lists; -1 = not asked yet */
};

int place_measure(struct place *p, struct json_object *settings, struct err *err);
void place_clear(struct place *p);
/* The environment of the worker in this slot as an object, and its cores as a list (NULL = all). */
struct json_object *place_environment(struct place *p, int slot, const char *agent_id,
                                      const char *block);
struct json_object *place_cores(const struct place *p, int slot, struct err *err);

#endif
