#include <stdint.h>

#include "lib/handover/blob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    blob_free(blob_parse((const char *)data, size, NULL));
    return 0;
}
