/* One packet with any bytes, as either side would receive it, and as settings. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manager/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    int pair[2], fds[2];
    struct table_message m;
    struct err err = ERR_INIT;
    if (n < 1 || n > 16384 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
        return 0;
    if (send(pair[0], p + 1, n - 1, MSG_DONTWAIT) >= 0 &&
        table_receive(pair[1], p[0] & 1, &m, fds, &err) == 1)
        (void)table_send(pair[0], &m, -1, -1);
    close(pair[0]);
    close(pair[1]);
    if (n == sizeof(struct table_settings)) {
        struct table_settings s;
        memcpy(&s, p, n);
        (void)table_settings_are_good(&s);
    }
    return 0;
}
