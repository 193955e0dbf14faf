/* Fuzz target: a mapping file and an identity set, split at the first newline. */
#include <stdint.h>
#include <string.h>

#include "lib/idmap/idmap.h"

static void done_cb(void *arg, const struct idmap_outcome *outcome)
{
    *(bool *)arg = outcome->candidates != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct loop *loop;
    if (loop == NULL)
        loop = loop_create();
    const uint8_t *cut = memchr(data, '\n', size);
    size_t n = cut != NULL ? (size_t)(cut - data) : size;
    struct idmap *m = idmap_load((const char *)data, n, NULL);
    if (m == NULL)
        return 0;
    autojson struct json_object *set =
        cut != NULL ? json_read((const char *)cut + 1, size - n - 1, 1 << 20, "identities", NULL)
                    : NULL;
    bool called = false;
    if (!idmap_has_external(m)) { /* the fuzzer does not get to choose programs */
        idmap_explain(m, loop, "e", set, done_cb, &called);
        while (!called)
            loop_once(loop, UINT64_MAX);
    }
    idmap_free(m);
    return 0;
}
