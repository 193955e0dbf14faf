/* The link between a user endpoint and its node agents: ZeroMQ ROUTER and DEALER, CURVE encrypted.
 *
 * The user endpoint makes a key file (0600, in a directory 0700, on a file system that the nodes
 * share): its public key and a token.  Who can read the file may talk: the agent proves the
 * endpoint by the key, the endpoint proves the agent by the token.  With encryption off the token
 * remains.
 *
 * One message = one frame of header and, for some types, one of body:
 *
 *   agent → endpoint                                endpoint → agent
 *   H hello    {version, token, block, ...}         W welcome  settings (JSON)
 *   Y ready    {workers, capacity, python, ...}     T task     header {id, ...}, body = packed task
 *   S started  task id                              O hold     no more tasks will come
 *   R result   task id, body = packed result        D drain    leave when the last task is done
 *   L lost     {id, kind, text}, no result          X stop     leave now
 *   B beat                                          B beat
 *   G going    why (JSON string)                    N no       why (JSON string): refused
 *
 * The header's first byte is the type.  Every message of either side counts as a heartbeat. */
#ifndef SALLYPORT_LINK_LINK_H
#define SALLYPORT_LINK_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"

#define LINK_VERSION 1
#define LINK_BODY_MAX (64u << 20)   /* bytes of one message that are accepted */
#define LINK_HEADER_MAX (64u << 10) /* bytes of one header */

/* ---- the user endpoint's side ---------------------------------------------------------------- */

struct link_server;
struct link_agent; /* one registered agent; lives until its lost handler has returned */

struct link_agent_info {
    const char *id;      /* random, unique */
    const char *block;   /* block id */
    const char *host;    /* node name */
    const char *address; /* which of the offered addresses worked */
    const char *python;  /* "3.11.2" of its workers, or "" */
    int workers, capacity;
    struct json_object *details; /* everything that the agent said of itself */
};

enum link_loss {
    LINK_WORKER_LOST, /* its worker died: may be tried again */
    LINK_TASK_FAILED, /* could not be started on the node (sandbox, resources): text says why */
};

struct link_server_handlers {
    void (*registered)(void *arg, struct link_agent *a);
    void (*started)(void *arg, struct link_agent *a, const char *task_id);
    /* body: the packed result, to be forwarded unchanged */
    void (*result)(void *arg, struct link_agent *a, const char *task_id, const void *body,
                   size_t n);
    void (*task_lost)(void *arg, struct link_agent *a, const char *task_id, enum link_loss kind,
                      const char *text);
    /* The agent is gone; whatever it held is lost with it.  why: "silent for 120 s", ... */
    void (*lost)(void *arg, struct link_agent *a, const char *why);
};

struct link_server_opts {
    const char *address;    /* to listen on; NULL = every interface */
    int port;               /* 0: a free one of the range below */
    int port_from, port_to; /* both inclusive; 0 = any free port */
    const char *key_dir;    /* made when missing; refused when it is not 0700 and ours */
    bool encrypted;
    unsigned heartbeat_period_s, heartbeat_threshold_s;
    /* Sent to every agent as its settings; taken.  Keys (absent = default):
     *   run_dir (text, required)  sandbox (bool)  result_max (int)  endpoint_id (text)
     *   allowed_serializers (list)  max_workers (int, 0 = unlimited)  cores_per_worker (number)
     *   mem_per_worker (GB)  cpu_affinity (text)  accelerators (list of text)  prefetch (int)
     *   heartbeat_period  heartbeat_threshold  drain_period (s)  log_dir (text)  debug (bool)
     *   mpi_launcher (text; present = MPI mode)  max_workers_per_block (int)
     *   max_tasks_per_child (int)  user_python (text)  python (object: "3.12" → interpreter)
     *   output (text: file for what the workers print; absent = the block's) */
    struct json_object *settings;
    const struct link_server_handlers *handlers;
    void *arg;
};

struct link_server *link_server_create(struct loop *l, const struct link_server_opts *opts,
                                       struct err *err);
/* Agents that are left are told to stop; no handler is called. */
void link_server_destroy(struct link_server *s);
int link_server_port(const struct link_server *s);
#define LINK_KEY_FILE "link.key" /* in key_dir */
const char *link_server_key_file(const struct link_server *s);
size_t link_server_agents(const struct link_server *s);

const struct link_agent_info *link_agent_info(const struct link_agent *a);
void *link_agent_data(const struct link_agent *a); /* the caller's own */
void link_agent_set_data(struct link_agent *a, void *data);

/* header: {"id": task id, "serializers": [...] or absent, "spec": {...} or absent, "env": {...} or
 * absent}; body is copied.  0, or -1 when the agent does not take it (its queue is full or it is
 * gone): nothing was sent. */
int link_send_task(struct link_agent *a, struct json_object *header, const void *body, size_t n);
void link_send_hold(struct link_agent *a);
void link_send_drain(struct link_agent *a);
void link_send_stop(struct link_agent *a);

/* ---- the agent's side ------------------------------------------------------------------------ */

struct link_client;

struct link_client_handlers {
    void (*welcome)(void *arg, struct json_object *settings, const char *address);
    void (*task)(void *arg, struct json_object *header, const void *body, size_t n);
    void (*hold)(void *arg);
    void (*drain)(void *arg);
    void (*stop)(void *arg, const char *why); /* told to, or the endpoint is silent or refused us */
};

struct link_client_opts {
    const char *const *addresses; /* NULL-terminated; all are tried, the first that answers wins */
    int port;
    const char *key_file;
    bool encrypted;
    unsigned probe_timeout_s;  /* 0 = 30 */
    struct json_object *hello; /* taken: {"block", "host", "pid", ...}; version, token, id added */
    const struct link_client_handlers *handlers;
    void *arg;
};

struct link_client *link_client_create(struct loop *l, const struct link_client_opts *opts,
                                       struct err *err);
void link_client_destroy(struct link_client *c);
const char *link_client_id(const struct link_client *c);
/* After welcome: how often to beat, and after how long a silence stop is called. */
void link_client_beat(struct link_client *c, unsigned period_s, unsigned threshold_s);
void link_client_ready(struct link_client *c, struct json_object *ready /* taken */);
/* Told within three milliseconds, or never when the result is there sooner: that says it as well.
 */
void link_client_started(struct link_client *c, const char *task_id);
void link_client_result(struct link_client *c, const char *task_id, const void *body, size_t n);
/* While on, result messages may wait three milliseconds for company: for times of many
 * short tasks with more work at hand.  Off sends what waits. */
void link_client_batch(struct link_client *c, bool on);
void link_client_task_lost(struct link_client *c, const char *task_id, enum link_loss kind,
                           const char *text);
void link_client_going(struct link_client *c, const char *why);
/* Everything sent has left the socket (or 1 s passed). */
void link_client_flush(struct link_client *c);

/* ---- frames, for both and for tests ---------------------------------------------------------- */

/* A received header as its type and JSON or text; -1 when it is malformed. */
struct link_header {
    char type;
    struct json_object *json; /* for types with JSON, else NULL */
    char text[128];           /* for types with a bare id */
};
int link_header_read(const void *p, size_t n, struct link_header *out, struct err *err);
void link_header_clear(struct link_header *h);

#endif
