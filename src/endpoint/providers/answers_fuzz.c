/* Answers of batch systems: byte 0 = provider, byte 1 = exit code, then the ids asked for, standard
 * output and standard error, with zero bytes between. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint/providers/batch.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const types[] = {
    "{\"type\": \"SlurmProvider\"}",  "{\"type\": \"PBSProProvider\"}",
    "{\"type\": \"TorqueProvider\"}", "{\"type\": \"GridEngineProvider\"}",
    "{\"type\": \"LSFProvider\"}",    "{\"type\": \"CondorProvider\"}",
    "{\"type\": \"CobaltProvider\"}", "{\"type\": \"KubernetesProvider\", \"image\": \"i\"}",
};
#define TYPES (sizeof(types) / sizeof(types[0]))

static struct provider *provider_of(size_t i)
{
    static struct loop *loop;
    static struct provider *made[TYPES];
    if (loop == NULL)
        loop = loop_create();
    if (made[i] == NULL) {
        autojson struct json_object *o = json_tokener_parse(types[i]);
        made[i] = provider_create(loop, o, "/tmp/sallyport-answers-fuzz", NULL);
    }
    return made[i];
}

static void walltime(const char *text)
{
    autojson struct json_object *v = json_object_new_string(text);
    if (walltime_seconds(v, NULL) >= 0 && walltime_minutes(v) < 1)
        abort();
}

static void ask(struct provider *p, const struct answer *a, const char *const *ids, size_t n)
{
    struct asked asked;
    enum reading r = READ_AGAIN;
    autobuf struct buf command = BUF_INIT;
    for (int i = 0; i < 6 && r == READ_AGAIN; i++) {
        asked_init(&asked, ids, n);
        r = p->kind->batch->read_status(p, a, &asked);
        for (size_t k = 0; k < n; k++)
            if (asked.told[k].what == TOLD_STATE)
                (void)job_state_name(asked.told[k].state)[0];
        asked_free(&asked);
    }
    p->kind->batch->status_command(&command, p, ids, n);
    batch_of(p)->mode = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *parts[3] = {"", "", ""}, *ids[4] = {NULL};
    char *save = NULL;
    size_t n = 0;
    if (size < 2)
        return 0;
    struct provider *p = provider_of(data[0] % TYPES);
    autofree char *text = xmalloc(size + 1);
    memcpy(text, data + 2, size - 2);
    memset(text + size - 2, 0, 3);
    const char *at = text, *end = text + size - 2;
    for (int i = 0; i < 3 && at <= end; i++) {
        parts[i] = at;
        at += strlen(at) + 1;
    }
    autofree char *list = xstrdup(parts[0]);
    for (char *id = strtok_r(list, " \n", &save); id != NULL && n < 4;
         id = strtok_r(NULL, " \n", &save))
        ids[n++] = id;
    struct answer a = {
        .exit_code = data[1] % 4 == 0 ? 0 : data[1], .out = parts[1], .err = parts[2]};
    autobuf struct buf job = BUF_INIT;
    (void)p->kind->batch->read_id(p, a.out, &job);
    walltime(parts[0]);
    if (n > 0)
        ask(p, &a, ids, n);
    return 0;
}
