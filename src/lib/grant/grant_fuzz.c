/* Fuzz target: a grant header of anybody. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/grant/grant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char key[] = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    const struct grant wanted = {
        .endpoint_id = "e", .identity = "i", .user_endpoint_id = "u", .body = "x", .body_len = 1};
    char nonce[GRANT_NONCE_TEXT];
    struct err err = ERR_INIT;
    autofree char *header = xstrndup((const char *)data, size);
    grant_key_check(header, &err);
    if (grant_verify(key, header, &wanted, 0, nonce, &err) == 0)
        abort(); /* nobody has the secret */
    return 0;
}
