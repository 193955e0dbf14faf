/* MPI mode: one agent owns all nodes of its block and gives each task some of them
 * (spec: engines.md section 8). */
#ifndef SALLYPORT_NODE_MPI_H
#define SALLYPORT_NODE_MPI_H

#include "lib/base/err.h"
#include "lib/base/json.h"

struct mpi;

/* Node list of the job: Slurm's or PBS's.  launcher: "mpiexec", "srun", "aprun". */
struct mpi *mpi_create(const char *launcher, struct err *err);
void mpi_destroy(struct mpi *m); /* NULL is fine */
int mpi_nodes(const struct mpi *m);
/* Could this specification ever run here?  -1 with the sentence for the task's owner. */
int mpi_check(const struct mpi *m, struct json_object *spec, struct err *err);
/* Takes nodes for the task and gives its PARSL_* variables; NULL when too few are free now. */
struct json_object *mpi_take(struct mpi *m, const char *task_id, struct json_object *spec);
void mpi_give_back(struct mpi *m, const char *task_id);

#endif
