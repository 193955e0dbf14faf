/* The verifier on a file of any bytes. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/audit/audit.h"
#include "lib/base/fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    char path[64];
    struct audit_report r;
    struct err err = ERR_INIT;
    int fd = fs_memfd("fuzz", p, n, false, &err);
    if (fd < 0)
        return 0;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    (void)audit_verify(path, NULL, &r, &err);
    close(fd);
    return 0;
}
