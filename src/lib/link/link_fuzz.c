/* Fuzz target: headers as either side reads them. */
#include <stdint.h>

#include "lib/link/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct link_header h;
    (void)link_header_read(data, size, &h, NULL);
    link_header_clear(&h);
    return 0;
}
