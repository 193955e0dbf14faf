#include "service/broker/topology.h"

#include <amqp_framing.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"

#define SETUP_CHANNEL 1
/* Heartbeats that waited while nobody read them describe the past. */
#define STATUS_TTL_MS 120000
/* A stream that nobody reads for a day goes; the results stay in the ledger. */
#define STREAM_EXPIRES_MS (24ll * 3600 * 1000)
#define STREAM_BYTES_MAX (1ll << 30)
/* Where messages go that a queue gives up; we take them as they come. */
#define DEAD "dead"
#define DEAD_MAX 10000
/* A task queue without consumer and use; the tasks stay in the ledger. */
#define TASKS_EXPIRES_MS (15ll * 24 * 3600 * 1000)

int topology_init(struct topology *t, const char *queue_type, bool status_copy,
                  int64_t stream_bytes, struct err *err)
{
    if (queue_type && strcmp(queue_type, "classic") != 0 && strcmp(queue_type, "quorum") != 0)
        return err_set(err, "broker.queue_type is classic or quorum, not %s", queue_type);
    t->quorum = queue_type && strcmp(queue_type, "quorum") == 0;
    t->status_copy = status_copy;
    t->stream_bytes = stream_bytes ? stream_bytes : STREAM_BYTES_MAX;
    strcpy(t->status_queue, "heartbeats");
    if (status_copy) {
        char id[UUID_TEXT];
        uuid_random(id);
        snprintf(t->status_queue, sizeof(t->status_queue), "heartbeats.%s", id);
    }
    return 0;
}

int topology_ca(const char *path, char **pem, struct err *err)
{
    struct buf b = BUF_INIT;
    *pem = NULL;
    if (!path)
        return 0;
    if (fs_read(path, 1 << 20, &b, err) < 0) {
        buf_free(&b);
        return -1;
    }
    *pem = buf_take(&b);
    return 0;
}

int topology_reply(amqp_connection_state_t state, const char *what, struct err *err)
{
    amqp_rpc_reply_t r = amqp_get_rpc_reply(state);
    if (r.reply_type == AMQP_RESPONSE_NORMAL)
        return 0;
    if (r.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && r.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *m = r.reply.decoded;
        return err_code(err, m->reply_code, "%s: %.*s", what, (int)m->reply_text.len,
                        (const char *)m->reply_text.bytes);
    }
    return err_set(err, "%s: %s", what,
                   r.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION
                       ? amqp_error_string2(r.library_error)
                       : "the broker closed the connection");
}

static amqp_table_entry_t number(const char *key, int64_t value)
{
    return (amqp_table_entry_t){.key = amqp_cstring_bytes(key),
                                .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = value}};
}

static amqp_table_entry_t word(const char *key, const char *value)
{
    return (amqp_table_entry_t){
        .key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)}};
}

static int exchange(amqp_connection_state_t state, const char *name, const char *type,
                    struct err *err)
{
    amqp_exchange_declare(state, SETUP_CHANNEL, amqp_cstring_bytes(name), amqp_cstring_bytes(type),
                          0, 1, 0, 0, amqp_empty_table);
    return topology_reply(state, name, err);
}

static int queue(amqp_connection_state_t state, const char *name, bool own,
                 const amqp_table_entry_t *args, int n, struct broker_queue_state *out,
                 struct err *err)
{
    amqp_table_t table = {.num_entries = n, .entries = (amqp_table_entry_t *)(uintptr_t)args};
    amqp_queue_declare_ok_t *ok = amqp_queue_declare(state, SETUP_CHANNEL, amqp_cstring_bytes(name),
                                                     0, !own, own, own, table);
    if (topology_reply(state, name, err) < 0)
        return -1;
    if (out && ok)
        *out = (struct broker_queue_state){true, ok->message_count, ok->consumer_count};
    return 0;
}

static int bind_queue(amqp_connection_state_t state, const char *name, const char *to,
                      const char *key, struct err *err)
{
    amqp_queue_bind(state, SETUP_CHANNEL, amqp_cstring_bytes(name), amqp_cstring_bytes(to),
                    amqp_cstring_bytes(key), amqp_empty_table);
    return topology_reply(state, name, err);
}

int topology_declare(void *arg, amqp_connection_state_t state, struct err *err)
{
    struct topology *t = arg;
    amqp_table_entry_t results[2], status[2], dead[2];
    int n = 0;
    /* All of them: a classic queue is gone for as long as its node of the cluster is. */
    if (t->quorum)
        results[n++] = word("x-queue-type", "quorum");
    status[0] = number("x-message-ttl", STATUS_TTL_MS);
    dead[0] = number("x-max-length", DEAD_MAX);
    status[1] = dead[1] = word("x-queue-type", "quorum");
    if (exchange(state, "tasks", "direct", err) < 0 ||
        exchange(state, "commands", "direct", err) < 0 ||
        exchange(state, "results", "topic", err) < 0 ||
        exchange(state, "heartbeats", "topic", err) < 0 ||
        exchange(state, DEAD, "fanout", err) < 0 ||
        queue(state, DEAD, false, dead, 1 + n, NULL, err) < 0 ||
        queue(state, "results", false, results, n, NULL, err) < 0 ||
        queue(state, "heartbeats", false, status, 1 + n, NULL, err) < 0 ||
        bind_queue(state, DEAD, DEAD, "", err) < 0 ||
        bind_queue(state, "results", "results", "*.results", err) < 0 ||
        bind_queue(state, "heartbeats", "heartbeats", "*.heartbeats", err) < 0)
        return -1;
    return 0;
}

int topology_status(void *arg, amqp_connection_state_t state, struct err *err)
{
    struct topology *t = arg;
    if (topology_declare(arg, state, err) < 0)
        return -1;
    if (!t->status_copy)
        return 0;
    amqp_table_entry_t args[] = {number("x-message-ttl", STATUS_TTL_MS)};
    if (queue(state, t->status_queue, true, args, 1, NULL, err) < 0)
        return -1;
    return bind_queue(state, t->status_queue, "heartbeats", "*.heartbeats", err);
}

void topology_name(enum broker_queue kind, const char *id, char *out, size_t n)
{
    switch (kind) {
    case BROKER_TASKS:
        snprintf(out, n, "%s.tasks", id);
        break;
    case BROKER_COMMANDS:
        snprintf(out, n, "%s.commands", id);
        break;
    case BROKER_STREAM:
        snprintf(out, n, "usr.%s", id);
        break;
    }
}

int topology_queue(const struct topology *t, amqp_connection_state_t state, enum broker_queue kind,
                   const char *name, struct broker_queue_state *out, struct err *err)
{
    amqp_table_entry_t args[4];
    int n = 0;
    args[n++] = word("x-dead-letter-exchange", DEAD);
    if (t->quorum)
        args[n++] = word("x-queue-type", "quorum");
    if (kind == BROKER_TASKS)
        args[n++] = number("x-expires", TASKS_EXPIRES_MS);
    if (kind == BROKER_STREAM) {
        args[n++] = number("x-expires", STREAM_EXPIRES_MS);
        args[n++] = number("x-max-length-bytes", t->stream_bytes);
    }
    if (queue(state, name, false, args, n, out, err) < 0)
        return -1;
    if (kind == BROKER_STREAM)
        return 0; /* the default exchange brings it its messages */
    return bind_queue(state, name, kind == BROKER_TASKS ? "tasks" : "commands", name, err);
}

int topology_look(amqp_connection_state_t state, const char *name, struct broker_queue_state *out,
                  struct err *err)
{
    amqp_queue_declare_ok_t *ok = amqp_queue_declare(state, SETUP_CHANNEL, amqp_cstring_bytes(name),
                                                     1, 0, 0, 0, amqp_empty_table);
    if (topology_reply(state, name, err) < 0)
        return -1;
    if (ok)
        *out = (struct broker_queue_state){true, ok->message_count, ok->consumer_count};
    return 0;
}
