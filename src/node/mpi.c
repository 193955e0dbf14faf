#include "node/mpi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"

#define NODES_MAX 65536

struct node {
    char *name, *task; /* task: who has it, or NULL */
};

struct mpi {
    const char *launcher;
    struct node *nodes;
    int count;
};

static void add_node(struct mpi *m, const char *name)
{
    for (int i = 0; i < m->count; i++)
        if (strcmp(m->nodes[i].name, name) == 0)
            return; /* PBS lists a node once for each core */
    if (m->count == NODES_MAX)
        return;
    m->nodes = xrealloc(m->nodes, (size_t)(m->count + 1) * sizeof(*m->nodes));
    m->nodes[m->count++] = (struct node){.name = xstrdup(name)};
}

static void read_lines(struct mpi *m, FILE *f)
{
    char line[512];
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        line[strcspn(line, " \t\r\n")] = '\0';
        if (line[0] != '\0')
            add_node(m, line);
    }
}

struct mpi *mpi_create(const char *launcher, struct err *err)
{
    struct mpi *m = xcalloc(1, sizeof(*m));
    m->launcher = strcmp(launcher, "srun") == 0    ? "srun"
                  : strcmp(launcher, "aprun") == 0 ? "aprun"
                                                   : "mpiexec";
    const char *pbs = getenv("PBS_NODEFILE");
    if (getenv("SLURM_NODELIST") != NULL) {
        FILE *f = popen("scontrol show hostname \"$SLURM_NODELIST\"", "re");
        read_lines(m, f);
        if (f != NULL)
            pclose(f);
    } else if (pbs != NULL) {
        FILE *f = fopen(pbs, "re");
        read_lines(m, f);
        if (f != NULL)
            fclose(f);
    }
    if (m->count > 0)
        return m;
    err_set(err, "MPI mode found no nodes: neither SLURM_NODELIST nor PBS_NODEFILE lists any");
    mpi_destroy(m);
    return NULL;
}

void mpi_destroy(struct mpi *m)
{
    if (m == NULL)
        return;
    for (int i = 0; i < m->count; i++) {
        free(m->nodes[i].name);
        free(m->nodes[i].task);
    }
    free(m->nodes);
    free(m);
}

int mpi_nodes(const struct mpi *m)
{
    return m->count;
}

static int64_t value_or(struct json_object *spec, const char *key, int64_t otherwise)
{
    int64_t v;
    return json_get_int(spec, key, &v, NULL) == 0 ? v : otherwise;
}

int mpi_check(const struct mpi *m, struct json_object *spec, struct err *err)
{
    int64_t nodes = value_or(spec, "num_nodes", 1);
    if (nodes < 1 || nodes > m->count)
        return err_set(err, "num_nodes is %lld; this block has %d nodes", (long long)nodes,
                       m->count);
    return 0;
}

static void add_number(struct json_object *env, const char *key, int64_t v)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)v);
    json_add_str(env, key, v > 0 ? text : "None");
}

static struct json_object *variables(const struct mpi *m, struct json_object *spec, int64_t nodes,
                                     const char *list)
{
    int64_t per_node = value_or(spec, "ranks_per_node", 0), ranks = value_or(spec, "num_ranks", 0);
    const char *options = json_str_or(spec, "launcher_options", "");
    if (ranks == 0 && per_node > 0)
        ranks = nodes * per_node;
    if (per_node == 0 && ranks > 0)
        per_node = ranks / nodes;
    struct json_object *env = json_object_new_object();
    add_number(env, "PARSL_NUM_NODES", nodes);
    add_number(env, "PARSL_NUM_RANKS", ranks);
    add_number(env, "PARSL_RANKS_PER_NODE", per_node);
    json_add_str(env, "PARSL_LAUNCHER_OPTIONS", options);
    json_add_str(env, "PARSL_MPI_NODELIST", list);
    const char *r = json_str_or(env, "PARSL_NUM_RANKS", ""),
               *p = json_str_or(env, "PARSL_RANKS_PER_NODE", "");
    autofree char *mpiexec = xasprintf("mpiexec -n %s -ppn %s -hosts %s %s", r, p, list, options);
    autofree char *srun =
        xasprintf("srun --ntasks %s --ntasks-per-node %s --nodelist %s --nodes %lld %s", r, p, list,
                  (long long)nodes, options);
    autofree char *aprun = xasprintf("aprun -n %s -N %s -node-list %s %s", r, p, list, options);
    json_add_str(env, "PARSL_MPIEXEC_PREFIX", mpiexec);
    json_add_str(env, "PARSL_SRUN_PREFIX", srun);
    json_add_str(env, "PARSL_APRUN_PREFIX", aprun);
    json_add_str(env, "PARSL_MPI_PREFIX",
                 strcmp(m->launcher, "srun") == 0    ? srun
                 : strcmp(m->launcher, "aprun") == 0 ? aprun
                                                     : mpiexec);
    return env;
}

struct json_object *mpi_take(struct mpi *m, const char *task_id, struct json_object *spec)
{
    int64_t nodes = value_or(spec, "num_nodes", 1), left = nodes;
    int available = 0;
    for (int i = 0; i < m->count; i++)
        available += m->nodes[i].task == NULL;
    if (available < nodes)
        return NULL;
    autobuf struct buf list = BUF_INIT;
    for (int i = 0; i < m->count && left > 0; i++)
        if (m->nodes[i].task == NULL) {
            m->nodes[i].task = xstrdup(task_id);
            buf_fmt(&list, "%s%s", list.len > 0 ? "," : "", m->nodes[i].name);
            left--;
        }
    return variables(m, spec, nodes, list.data);
}

void mpi_give_back(struct mpi *m, const char *task_id)
{
    for (int i = 0; i < m->count; i++)
        if (m->nodes[i].task != NULL && strcmp(m->nodes[i].task, task_id) == 0) {
            free(m->nodes[i].task);
            m->nodes[i].task = NULL;
        }
}
