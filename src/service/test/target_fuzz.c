/* Request targets, queries, the router, and lists of forwarded addresses. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "service/http/forwarded.h"
#include "service/http/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void handler(struct req *r)
{
    (void)r;
}

static bool is_proxy(void *arg, const char *address)
{
    (void)arg;
    return address[0] == '1';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char client[FORWARDED_ADDRESS], again[FORWARDED_ADDRESS];
    static const struct route routes[] = {{"GET", "/v2/tasks/{id}", handler, 0, 0},
                                          {"POST", "/{a}/{b}/{c}", handler, 0, 0},
                                          {"GET", "/", handler, 0, 0},
                                          {NULL}};
    static struct router *router;
    struct target t;
    struct router_hit hit;
    if (!router) {
        router = router_create();
        router_add(router, routes, NULL);
    }
    char *text = xstrndup((const char *)data, size);
    if (target_parse(text, &t, NULL) == 0) {
        router_find(router, "GET", &t, &hit);
        router_find(router, "POST", &t, &hit);
        for (size_t i = 0; i < hit.params; i++)
            if (strlen(hit.value[i]) > size)
                abort();
        if (t.query)
            pairs_free(pairs_parse(t.query, strlen(t.query), NULL));
    }
    target_clear(&t);
    /* An address is written so that it reads as itself. */
    if (forwarded_client(text, is_proxy, NULL, client) &&
        (!forwarded_address(client, strlen(client), again) || strcmp(client, again) != 0))
        abort();
    pairs_free(pairs_parse((const char *)data, size, NULL));
    free(text);
    return 0;
}
