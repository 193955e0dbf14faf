/* See hello.h. */
#include "manager/listener/hello.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/config/config.h"
#include "lib/idmap/idmap.h"

#define WAIT_S 30
#define TEXT_MAX (1u << 20)

static const struct {
    const char *name;
    size_t max;
} kinds[HELLO_FILES] = {
    [TABLE_CONFIG] = {"config.yaml", CONFIG_SIZE_MAX},
    [TABLE_TEMPLATE] = {"the user configuration template", TEXT_MAX},
    [TABLE_SCHEMA] = {"the user configuration schema", TEXT_MAX},
    [TABLE_MAPPING] = {"the identity mapping file", IDMAP_FILE_MAX},
    [TABLE_TOKENS] = {"the tokens", TEXT_MAX},
};

/* The path of a descriptor; a memory file has none. */
static void see_path(struct hello_file *f)
{
    char link[32];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", f->fd);
    ssize_t n = readlink(link, f->path, sizeof(f->path) - 1);
    f->path[n > 0 ? n : 0] = '\0';
    if (f->path[0] != '/' || strncmp(f->path, "/memfd:", 7) == 0)
        f->path[0] = '\0';
}

int hello_take_file(struct hello_file *f, const struct table_message *m, int fd, struct err *err)
{
    if (f->fd >= 0)
        close(f->fd);
    buf_clear(&f->text);
    f->came = true;
    f->fd = fd;
    f->code = m->code;
    if (fd < 0)
        return 0;
    see_path(f);
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_errno(err, "%s can't be read", kinds[m->file].name);
    return fs_read_fd(fd, kinds[m->file].max, kinds[m->file].name, &f->text, err);
}

static bool is_complete(const struct hello *h)
{
    bool all = h->m.type == TABLE_HELLO;
    for (int i = 0; i < HELLO_FILES; i++)
        all = all && h->files[i].came;
    return all;
}

static int take(struct hello *h, const struct table_message *m, int fds[2], struct err *err)
{
    if (fds[1] >= 0)
        close(fds[1]);
    if (m->type == TABLE_FILE && m->file < HELLO_FILES)
        return hello_take_file(&h->files[m->file], m, fds[0], err);
    if (fds[0] >= 0)
        close(fds[0]);
    if (m->type == TABLE_STOP)
        return err_code(err, ECANCELED, "told to stop before the registration");
    if (m->type != TABLE_HELLO || m->hello.version != TABLE_VERSION)
        return err_set(err, "the monitor speaks another version (message %u, version %u)", m->type,
                       m->hello.version);
    h->m = *m;
    return 0;
}

int hello_receive(int socket, struct hello *h, struct err *err)
{
    uint64_t until = clock_mono_us() + WAIT_S * 1000000ull;
    memset(h, 0, sizeof(*h));
    for (int i = 0; i < HELLO_FILES; i++)
        h->files[i].fd = -1;
    while (!is_complete(h)) {
        struct table_message m;
        struct pollfd p = {.fd = socket, .events = POLLIN};
        int fds[2];
        uint64_t now = clock_mono_us();
        if (now >= until || poll(&p, 1, (int)((until - now) / 1000) + 1) == 0)
            return err_code(err, ETIMEDOUT, "the monitor did not send what a listener needs");
        int rc = table_receive(socket, false, &m, fds, err);
        if (rc == 0)
            return err_code(err, EPIPE, "the monitor has gone");
        if (rc < 0 && err->code == EAGAIN)
            continue;
        if (rc < 0 || take(h, &m, fds, err) < 0)
            return -1;
    }
    return 0;
}

void hello_clear(struct hello *h)
{
    struct buf *tokens = &h->files[TABLE_TOKENS].text;
    if (tokens->data)
        explicit_bzero(tokens->data, tokens->cap);
    for (int i = 0; i < HELLO_FILES; i++) {
        if (h->files[i].fd >= 0)
            close(h->files[i].fd);
        h->files[i].fd = -1;
        buf_free(&h->files[i].text);
    }
}
