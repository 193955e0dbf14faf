/* A task from its delivery until its result is in the outbox. */
#ifndef SALLYPORT_ENDPOINT_TASK_H
#define SALLYPORT_ENDPOINT_TASK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "endpoint/failure.h"
#include "lib/amqp/amqp.h"
#include "lib/base/json.h"
#include "lib/base/uuid.h"

struct seat; /* dispatch.c: an agent and what it holds */

struct task {
    TAILQ_ENTRY(task) line; /* the queue, or the list of its agent */
    TAILQ_ENTRY(task) age;  /* all tasks in the order of their arrival */
    char id[UUID_TEXT], function_id[UUID_TEXT];
    uint64_t tag;                 /* of its present delivery; 0 = none, or acknowledged already */
    struct amqp_message *message; /* owns the body, unless it came from the journal */
    char *journal_body;
    const char *body;
    size_t body_len;
    struct json_object *spec;        /* object, or NULL */
    struct json_object *serializers; /* list, or NULL */
    double priority;                 /* lower first; INFINITY = none */
    uint64_t seq;
    int64_t received_ns;
    uint64_t received_us;
    struct seat *seat; /* who has it; NULL = waits */
    char block[32];    /* where it runs or ran last */
    bool started;      /* a worker runs it */
    bool journaled;    /* on disk, its delivery acknowledged */
    bool spilled;      /* its body is on disk because memory was short */
    size_t counted;    /* bytes of it in the endpoint's sum of bodies */
    struct failure failure;
};
TAILQ_HEAD(task_list, task);

struct task *task_new(const char *id);
void task_free(struct task *t);
/* What an agent needs beside the body: {"id", "serializers", "spec"}.  A new object. */
struct json_object *task_header(const struct task *t);
/* The specification is taken; reads the priority out of it. */
void task_set_spec(struct task *t, struct json_object *spec);

#endif
