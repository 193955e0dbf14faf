#include "endpoint/credentials.h"

#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/amqp/amqp.h"
#include "lib/base/alloc.h"
#include "lib/fernet/fernet.h"

struct credentials {
    const struct document *d;
    char *fixed; /* amqp_creds as text: each thread reads a tree of its own */
    int port;
};

static const char *const names[] = {
    [QUEUE_TASKS] = "task_queue_info",
    [QUEUE_RESULTS] = "result_queue_info",
    [QUEUE_HEARTBEATS] = "heartbeat_queue_info",
};

struct credentials *credentials_create(const struct document *d, struct err *err)
{
    if (d->mem_fd >= 0 && d->enckey == NULL) {
        err_set(err, "Missing required encryption key");
        return NULL;
    }
    if (d->mem_fd < 0 && d->creds == NULL) {
        err_code(err, EX_DATAERR, "no credentials for the broker: neither amqp_creds nor mem_fd");
        return NULL;
    }
    struct credentials *c = xcalloc(1, sizeof(*c));
    c->d = d;
    if (d->mem_fd < 0) {
        struct buf text = BUF_INIT;
        json_write(&text, d->creds);
        c->fixed = buf_take(&text);
    }
    return c;
}

void credentials_destroy(struct credentials *c)
{
    if (c == NULL)
        return;
    wipe_free(c->fixed);
    free(c);
}

void credentials_port(struct credentials *c, int port)
{
    c->port = port;
}

/* The whole file, whatever its offset is: the description is shared with the manager. */
static int read_file(int fd, struct buf *out, struct err *err)
{
    for (;;) {
        char *room = buf_room(out, 16 << 10);
        ssize_t n = pread(fd, room, 16 << 10, (off_t)out->len);
        if (n < 0)
            return err_errno(err, "cannot read the credentials' memory file");
        buf_grew(out, (size_t)n);
        if (n == 0)
            return 0;
        if (out->len > FERNET_TOKEN_MAX)
            return err_set(err, "the credentials' memory file is larger than %u bytes",
                           FERNET_TOKEN_MAX);
    }
}

static struct json_object *open_file(const struct document *d, struct err *err)
{
    autobuf struct buf token = BUF_INIT;
    struct buf clear = BUF_INIT;
    struct json_object *tree = NULL;
    if (read_file(d->mem_fd, &token, err) == 0 &&
        fernet_decrypt(d->enckey, token.data != NULL ? token.data : "", token.len, &clear, err) ==
            0)
        tree = json_read(clear.data != NULL ? clear.data : "", clear.len, DOCUMENT_MAX,
                         "the credentials", err);
    if (clear.data != NULL)
        explicit_bzero(clear.data, clear.len);
    buf_free(&clear);
    return tree;
}

/* amqp_creds as they are now: a new reference. */
static struct json_object *current(const struct credentials *c, struct err *err)
{
    if (c->fixed != NULL)
        return json_read(c->fixed, strlen(c->fixed), DOCUMENT_MAX, "amqp_creds", err);
    autojson struct json_object *tree = open_file(c->d, err);
    if (tree == NULL) {
        sleep(1); /* the manager may have been writing it just now */
        tree = open_file(c->d, err);
    }
    struct json_object *creds = NULL;
    if (tree == NULL || json_get_obj(tree, "amqp_creds", &creds, err) != 0)
        return NULL;
    return json_object_get(creds);
}

static void apply_port(const struct credentials *c, struct wire_queue_info *info)
{
    if (c->port == 0)
        return;
    char *url = amqp_url_with_port(info->connection_url, c->port);
    wipe_free(info->connection_url);
    info->connection_url = url;
}

static int load_one(const struct credentials *c, struct json_object *creds, enum queue q,
                    struct wire_queue_info *out, struct err *err)
{
    struct json_object *o;
    if (json_get_obj(creds, names[q], &o, err) != 0 ||
        wire_queue_info_read(o, names[q], q != QUEUE_TASKS, out, err) != 0) {
        if (err != NULL)
            err->code = EX_DATAERR;
        return -1;
    }
    apply_port(c, out);
    return 0;
}

static int load(const struct credentials *c, int first, struct queues *out, struct err *err)
{
    const char *id;
    memset(out, 0, sizeof(*out));
    autojson struct json_object *creds = current(c, err);
    if (creds == NULL)
        return -1;
    if (json_get_str(creds, "endpoint_id", &id, err) != 0)
        return err_code(err, EX_DATAERR, "the credentials have no endpoint_id");
    if (!uuid_parse(id, out->endpoint_id))
        return err_code(err, EX_DATAERR, "the endpoint_id of the credentials is not a UUID");
    for (int q = first; q <= QUEUE_HEARTBEATS; q++)
        if (load_one(c, creds, (enum queue)q, &out->info[q], err) != 0) {
            queues_clear(out);
            return -1;
        }
    return 0;
}

int credentials_load(const struct credentials *c, struct queues *out, struct err *err)
{
    return load(c, QUEUE_TASKS, out, err);
}

int credentials_load_heartbeats(const struct credentials *c, struct queues *out, struct err *err)
{
    return load(c, QUEUE_HEARTBEATS, out, err);
}

void queues_clear(struct queues *q)
{
    for (int i = QUEUE_TASKS; i <= QUEUE_HEARTBEATS; i++)
        if (q->info[i].connection_url != NULL)
            wire_queue_info_clear(&q->info[i]);
    memset(q->info, 0, sizeof(q->info));
}

char *credentials_url(const struct credentials *c, enum queue which, struct err *err)
{
    struct wire_queue_info info;
    autojson struct json_object *creds = current(c, err);
    if (creds == NULL || load_one(c, creds, which, &info, err) != 0)
        return NULL;
    char *url = xstrdup(info.connection_url);
    wire_queue_info_clear(&info);
    return url;
}
