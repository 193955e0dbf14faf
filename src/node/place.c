#include "node/place.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/base/proc.h"

static double number_or(struct json_object *settings, const char *key, double otherwise)
{
    struct json_object *v = json_at(settings, key);
    return v != NULL ? json_object_get_double(v) : otherwise;
}

static int our_cores(int *list, int max)
{
    cpu_set_t set;
    int n = 0;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 0;
    for (int i = 0; i < CPU_SETSIZE && n < max; i++)
        if (CPU_ISSET(i, &set))
            list[n++] = i;
    return n;
}

static double from_environment(const char *name, double otherwise)
{
    const char *text = getenv(name);
    char *end;
    double value = text != NULL ? strtod(text, &end) : 0;
    return text != NULL && *text != '\0' && *end == '\0' && value > 0 ? value : otherwise;
}

int place_measure(struct place *p, struct json_object *settings, struct err *err)
{
    double per_worker = number_or(settings, "cores_per_worker", 1);
    double memory_each = number_or(settings, "mem_per_worker", 0);
    double most = number_or(settings, "max_workers", 0);
    struct json_object *accelerators = json_at(settings, "accelerators");
    *p = (struct place){.gpus = -1};
    p->cores = (int)from_environment("PARSL_CORES", (double)sysconf(_SC_NPROCESSORS_ONLN));
    p->memory_gb = from_environment("PARSL_MEMORY_GB", proc_memory_gib());
    p->affinity = xstrdup(json_str_or(settings, "cpu_affinity", "none"));
    p->accelerators =
        accelerators != NULL ? json_object_get(accelerators) : json_object_new_array();
    double n = per_worker > 0 ? floor(p->cores / per_worker) : p->cores;
    if (memory_each > 0)
        n = fmin(n, floor(p->memory_gb / memory_each));
    if (most > 0)
        n = fmin(n, most);
    size_t devices = json_object_array_length(p->accelerators);
    if (devices > 0)
        n = fmin(n, (double)devices);
    if (n < 1)
        return err_set(err,
                       "no worker fits this node: %d cores and %.1f GB of memory, wanted %g cores "
                       "and %g GB for each",
                       p->cores, p->memory_gb, per_worker, memory_each);
    p->workers = (int)fmin(n, 4096);
    p->capacity = p->workers + (int)number_or(settings, "prefetch", 0);
    return 0;
}

void place_clear(struct place *p)
{
    free(p->affinity);
    json_object_put(p->accelerators);
}

/* "0-3,8" → list */
static struct json_object *core_range(const char *text, size_t n, struct err *err)
{
    struct json_object *list = json_object_new_array();
    const char *end = text + n;
    while (text < end) {
        char *after;
        long from = strtol(text, &after, 10), to = from;
        bool ok = after > text && after <= end;
        if (ok && after < end && *after == '-') {
            text = after + 1;
            to = strtol(text, &after, 10);
            ok = after > text && after <= end;
        }
        if (!ok || (after < end && *after != ',') || from < 0 || to < from || to >= CPU_SETSIZE) {
            err_set(err, "cpu_affinity: %.*s is not a list of cores such as 0-3,8", (int)n, text);
            json_object_put(list);
            return NULL;
        }
        for (long i = from; i <= to; i++)
            json_object_array_add(list, json_object_new_int64(i));
        text = after + (after < end);
    }
    return list;
}

static struct json_object *listed_cores(const char *lists, int slot, struct err *err)
{
    for (int i = 0; i < slot && lists != NULL; i++) {
        lists = strchr(lists, ':');
        lists = lists != NULL ? lists + 1 : NULL;
    }
    if (lists == NULL) {
        err_set(err, "cpu_affinity lists fewer groups of cores than there are workers");
        return NULL;
    }
    return core_range(lists, strcspn(lists, ":"), err);
}

struct json_object *place_cores(const struct place *p, int slot, struct err *err)
{
    int cores[CPU_SETSIZE], n = our_cores(cores, CPU_SETSIZE);
    err->text[0] = '\0';
    if (strcmp(p->affinity, "none") == 0)
        return NULL;
    if (strncmp(p->affinity, "list:", 5) == 0)
        return listed_cores(p->affinity + 5, slot, err);
    int each = n / p->workers;
    if (each == 0) {
        err_set(err, "cpu_affinity: %d cores are too few for %d workers", n, p->workers);
        return NULL;
    }
    struct json_object *list = json_object_new_array();
    bool alternating = strcmp(p->affinity, "alternating") == 0;
    int rank = strcmp(p->affinity, "block-reverse") == 0 ? p->workers - 1 - slot : slot;
    for (int i = 0; i < each; i++)
        json_object_array_add(list, json_object_new_int(alternating ? cores[slot + i * p->workers]
                                                                    : cores[rank * each + i]));
    return list;
}

/* Lines of `nvidia-smi -L`, 0 without it. */
static int count_gpus(void)
{
    FILE *f = popen("nvidia-smi -L 2>/dev/null", "re");
    char line[512];
    int n = 0;
    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        n += strncmp(line, "GPU ", 4) == 0;
    if (f != NULL && pclose(f) != 0)
        n = 0;
    return n;
}

static void add_accelerator(struct place *p, struct json_object *env, int slot)
{
    size_t n = json_object_array_length(p->accelerators);
    if ((size_t)slot >= n)
        return;
    const char *name =
        json_object_get_string(json_object_array_get_idx(p->accelerators, (size_t)slot));
    if (p->gpus < 0)
        p->gpus = count_gpus();
    char *end;
    long number = strtol(name, &end, 10);
    bool is_number = *name != '\0' && *end == '\0';
    /* More workers than GPUs: neighbours share one. */
    autofree char *cuda = is_number && p->gpus > 0 && (int)n > p->gpus
                              ? xasprintf("%ld", number / ((long)n / p->gpus))
                              : xstrdup(name);
    json_add_str(env, "ROCR_VISIBLE_DEVICES", name);
    json_add_str(env, "ZE_AFFINITY_MASK", name);
    json_add_str(env, "ZE_ENABLE_PCI_ID_DEVICE_ORDER", "1");
    json_add_str(env, "CUDA_VISIBLE_DEVICES", cuda);
}

static void add_text(struct json_object *env, const char *key, int value)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", value);
    json_add_str(env, key, text);
}

struct json_object *place_environment(struct place *p, int slot, const char *agent_id,
                                      const char *block)
{
    struct err err = ERR_INIT;
    struct json_object *env = json_object_new_object();
    add_text(env, "PARSL_WORKER_RANK", slot);
    add_text(env, "PARSL_WORKER_COUNT", p->workers);
    json_add_str(env, "PARSL_WORKER_POOL_ID", agent_id);
    json_add_str(env, "PARSL_WORKER_BLOCK_ID", block);
    autojson struct json_object *cores = place_cores(p, slot, &err);
    if (cores != NULL) {
        autobuf struct buf list = BUF_INIT;
        size_t n = json_object_array_length(cores);
        for (size_t i = 0; i < n; i++)
            buf_fmt(&list, "%s%d", i > 0 ? "," : "",
                    json_object_get_int(json_object_array_get_idx(cores, i)));
        autofree char *kmp = xasprintf("explicit,proclist=[%s]", list.data);
        add_text(env, "OMP_NUM_THREADS", (int)n);
        json_add_str(env, "GOMP_CPU_AFFINITY", list.data);
        json_add_str(env, "KMP_AFFINITY", kmp);
    }
    add_accelerator(p, env, slot);
    return env;
}
