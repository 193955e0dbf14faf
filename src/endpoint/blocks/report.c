/* What the user gets to read when no block can be started: for each failed block the original's
 * lines, then the script's path and the scheduler's words. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "endpoint/blocks/private.h"
#include "lib/base/alloc.h"

#define HALF 1024 /* bytes shown of the begin and of the end of an output */
#define BLOCKS_SHOWN 10

static void add_part(struct buf *out, int fd, off_t at, size_t n)
{
    char tmp[2 * HALF];
    ssize_t got = pread(fd, tmp, n < sizeof(tmp) ? n : sizeof(tmp), at);
    for (ssize_t i = 0; i < got; i++)
        buf_char(out, tmp[i] != '\0' ? tmp[i] : ' ');
}

static void add_output(struct buf *out, const char *name, const char *path)
{
    struct stat st;
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return;
    buf_fmt(out, "\t%s: ", name);
    if (st.st_size <= 2 * HALF) {
        add_part(out, fd, 0, (size_t)st.st_size);
    } else {
        add_part(out, fd, 0, HALF);
        buf_str(out, "\n...\n");
        add_part(out, fd, st.st_size - HALF, HALF);
    }
    if (out->data[out->len - 1] != '\n')
        buf_char(out, '\n');
}

static void add_block(struct buf *out, const struct block *k)
{
    const struct provider *p = k->owner->provider;
    autofree char *base = xasprintf("%s/%s", p->script_dir, k->job_name);
    if (k->message != NULL)
        buf_fmt(out, "\t%s\n", k->message);
    if (k->exit_code >= 0)
        buf_fmt(out, "\tEXIT CODE: %d\n", k->exit_code);
    if (k->job_id != NULL) {
        autofree char *stdout_path = xasprintf("%s%s", base, p->kind->out);
        autofree char *stderr_path = xasprintf("%s%s", base, p->kind->err);
        add_output(out, "STDOUT", stdout_path);
        add_output(out, "STDERR", stderr_path);
    }
    buf_fmt(out, "\tSCRIPT: %s%s\n", base, p->kind->script);
    if (k->job_id != NULL)
        buf_fmt(out, "\tJOB: %s%s%s\n", k->job_id, k->note != NULL ? ", " : "",
                k->note != NULL ? k->note : "");
}

static bool is_bad(const struct block *k)
{
    return k->state == JOB_FAILED || k->state == JOB_MISSING;
}

char *blocks_what_went_wrong(const struct blocks *b)
{
    struct buf out = BUF_INIT;
    unsigned number = 0;
    size_t from = b->count, shown = 0;
    while (from > 0 && shown < BLOCKS_SHOWN)
        shown += is_bad(b->all[--from]);
    buf_fmt(&out, "Executor %s failed due to: ", b->label);
    for (size_t i = from; i < b->count; i++)
        if (is_bad(b->all[i])) {
            buf_fmt(&out, "Error %u:\n", ++number);
            add_block(&out, b->all[i]);
        }
    return buf_take(&out);
}
