/* URLs come from the service's JSON: foreign bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/amqp/amqp.h"
#include "lib/base/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = xstrndup((const char *)data, size);
    struct amqp_url u;
    struct err err = ERR_INIT;
    if (amqp_url_parse(text, &u, &err) == 0)
        amqp_url_clear(&u);
    free(amqp_url_with_port(text, 443));
    free(text);
    return 0;
}
