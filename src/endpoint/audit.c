#include "endpoint/audit.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "lib/base/buf.h"

/* One line in one packet, whatever the words are. */
static void add_clean(struct buf *b, const char *text)
{
    for (; text != NULL && *text != '\0'; text++)
        if (*text == '\n')
            buf_char(b, ' ');
        else if (*text != '\r')
            buf_char(b, *text);
}

int audit_write(int fd, const char *function_id, const char *task_id, const char *block,
                const char *job, const char *state, const char *message)
{
    autobuf struct buf b = BUF_INIT;
    buf_str(&b, "fid=");
    add_clean(&b, function_id);
    buf_str(&b, " tid=");
    add_clean(&b, task_id);
    buf_str(&b, " bid=");
    add_clean(&b, block);
    buf_char(&b, ' ');
    if (job != NULL) {
        buf_str(&b, "jid=");
        add_clean(&b, job);
        buf_char(&b, ' ');
    }
    buf_str(&b, state);
    if (message != NULL) {
        buf_str(&b, " - ");
        add_clean(&b, message);
    }
    size_t n = b.len < PIPE_BUF ? b.len : PIPE_BUF; /* a longer one would become two */
    for (;;) {
        ssize_t done = write(fd, b.data, n);
        if (done == (ssize_t)n)
            return 0;
        if (done >= 0 || errno != EINTR)
            return -1;
    }
}
