/* Ids that the service makes: of tasks and the like, in order of time (UUID 7), and of user
 * endpoints, which follow from what they are for (UUID 5). */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "service/api/private.h"

/* The name space of user endpoints' ids, fixed for ever: all sites and processes agree. */
#define UEP_NAMESPACE "6f6b8f5e-4f0c-5d5a-9a54-2c6d1c0b7e11"

int64_t now_us(void)
{
    return clock_unix_ns() / 1000;
}

static void format(uint64_t ms, unsigned low12, uint64_t random, char out[UUID_TEXT])
{
    snprintf(out, UUID_TEXT, "%08x-%04x-7%03x-%04x-%012llx", (unsigned)(ms >> 16),
             (unsigned)(ms & 0xffff), low12 & 0xfff, (unsigned)(0x8000 | (random >> 50)),
             (unsigned long long)(random & 0xffffffffffffull));
}

/* Only on the loop's thread. */
void id_new(char out[UUID_TEXT])
{
    static uint64_t pool[64];
    static size_t left;
    static uint64_t last_ms;
    static unsigned counter;
    uint64_t ms = (uint64_t)(clock_unix_ns() / 1000000);
    if (left == 0) {
        if (getrandom(pool, sizeof(pool), 0) != sizeof(pool))
            abort();
        left = 64;
    }
    /* Within a millisecond a counter keeps the order; when it is used up, time runs ahead. */
    if (ms <= last_ms) {
        if (++counter > 0xfff) {
            counter = 0;
            last_ms++;
        }
    } else {
        last_ms = ms;
        counter = 0;
    }
    format(last_ms, counter, pool[--left], out);
}

void id_at(int64_t unix_us, char out[UUID_TEXT])
{
    format((uint64_t)(unix_us / 1000), 0, 0, out);
}

void id_uep(const char *endpoint, const char *sub, struct json_object *config, char out[UUID_TEXT])
{
    autobuf struct buf b = BUF_INIT;
    autojson struct json_object *o = json_object_new_object();
    json_add_str(o, "site", endpoint);
    json_add_str(o, "user", sub);
    json_add(o, "user_endpoint_config",
             config ? json_object_get(config) : json_object_new_object());
    json_write_canonical(&b, o);
    uuid_v5(UEP_NAMESPACE, b.data, out);
}
