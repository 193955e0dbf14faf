/* What reaches root as text: log lines of other processes, and the state file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "manager/monitor/clean.h"
#include "manager/monitor/relay.h"
#include "manager/monitor/state_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void lines(const uint8_t *p, size_t n)
{
    int fds[2];
    static struct loop *loop;
    if (!loop)
        loop = loop_create();
    if (relay_pipe(fds) < 0)
        return;
    struct relay *r = relay_create(loop, fds[0], "", 1000000);
    (void)!write(fds[1], p, n < 60000 ? n : 60000); /* what the pipe holds */
    close(fds[1]);
    relay_finish(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct state_line l;
    char *text = xstrndup((const char *)p, n);
    size_t size = strlen(text) + 1;
    clean_text(text, size, n & 1);
    for (const char *c = text; *c; c++)
        if (*c == '\x1b' || *c == '\r' || (*c == '\n' && !(n & 1)))
            abort();
    free(text);
    text = xstrndup((const char *)p, n);
    if (state_line_read(text, &l)) {
        autobuf struct buf b = BUF_INIT;
        state_line_write(&b, &l);
        b.data[b.len - 1] = '\0';
        if (!state_line_read(b.data, &l))
            abort();
    }
    free(text);
    lines(p, n);
    return 0;
}
