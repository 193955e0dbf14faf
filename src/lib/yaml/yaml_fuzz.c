#include <stdint.h>

#include "lib/yaml/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_object_put(yaml_read((const char *)data, size, "input", NULL));
    return 0;
}
