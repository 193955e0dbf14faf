/* Tokens and key sets of other providers: the input is a token, a NUL, a JWKS document. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "service/auth/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    const uint8_t *middle = memchr(data, 0, size);
    size_t n = middle == NULL ? size : (size_t)(middle - data);
    char *token = xstrndup((const char *)data, n);
    struct json_object *jwks =
        middle == NULL ? NULL
                       : json_read((const char *)middle + 1, size - n - 1, 1u << 20, "keys", &err);
    struct json_object *claims = jwt_verify(token, jwks, &err);
    if (claims != NULL)
        jwt_claims_check(claims, "https://id.example.org", "us", "nonce", 1000, &err);
    json_object_put(claims);
    claims = jwks == NULL ? NULL : json_object_get(jwks);
    if (json_object_is_type(claims, json_type_object))
        jwt_claims_check(claims, "https://id.example.org", "us", NULL, 1000, &err);
    json_object_put(claims);
    json_object_put(jwks);
    free(token);
    return 0;
}
