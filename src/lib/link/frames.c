/* Headers, and messages in and out of a ZeroMQ socket. */
#include <errno.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/link/private.h"

void link_header_json(struct buf *out, char type, struct json_object *json)
{
    buf_char(out, type);
    if (json != NULL)
        json_write(out, json);
}

void link_header_text(struct buf *out, char type, const char *text)
{
    buf_char(out, type);
    buf_str(out, text);
}

static bool carries_json(char type)
{
    return strchr("HWYTLGN", type) != NULL;
}

static bool carries_id(char type)
{
    return type == 'S' || type == 'R';
}

int link_header_read(const void *p, size_t n, struct link_header *out, struct err *err)
{
    const char *s = p;
    *out = (struct link_header){.type = n > 0 ? s[0] : '\0'};
    if (n == 0 || n > LINK_HEADER_MAX)
        return err_set(err, "a header of %zu bytes", n);
    if (out->type == '\0' || strchr("HWYTLGNSRBODX", out->type) == NULL)
        return err_set(err, "a message of unknown type 0x%02x", (unsigned char)out->type);
    if (carries_json(out->type)) {
        out->json = json_read(s + 1, n - 1, LINK_HEADER_MAX, "the header", err);
        return out->json != NULL ? 0 : -1;
    }
    if (!carries_id(out->type))
        return n == 1 ? 0 : err_set(err, "a message of type %c with content", out->type);
    if (n - 1 == 0 || n - 1 >= sizeof(out->text) || memchr(s + 1, '\0', n - 1) != NULL)
        return err_set(err, "a task id of %zu bytes", n - 1);
    memcpy(out->text, s + 1, n - 1);
    return 0;
}

void link_header_clear(struct link_header *h)
{
    json_object_put(h->json);
    h->json = NULL;
}

int link_receive(void *socket, struct link_frames *f)
{
    int more = 1;
    f->count = 0;
    while (more) {
        zmq_msg_t extra, *part = f->count < 3 ? &f->part[f->count] : &extra;
        zmq_msg_init(part);
        if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(part);
            if (errno == EINTR)
                continue;
            bool empty = errno == EAGAIN && f->count == 0;
            link_frames_clear(f);
            return empty ? 0 : -1;
        }
        more = zmq_msg_more(part);
        if (part == &extra)
            zmq_msg_close(&extra);
        else
            f->count++;
    }
    return 1;
}

void link_frames_clear(struct link_frames *f)
{
    for (int i = 0; i < f->count; i++)
        zmq_msg_close(&f->part[i]);
    f->count = 0;
}
