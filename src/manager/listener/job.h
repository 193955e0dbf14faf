/* What the files behind desk.h share: a request under way, and the desk that it lies on.
 *
 * desk.c takes commands in and finds out whose they are, start.c talks to the monitor about them,
 * job.c ends them. */
#ifndef SALLYPORT_LISTENER_JOB_H
#define SALLYPORT_LISTENER_JOB_H

#include <sys/queue.h>

#include "lib/base/map.h"
#include "lib/fernet/fernet.h"
#include "manager/listener/command.h"
#include "manager/listener/desk.h"
#include "manager/listener/fair.h"
#include "manager/listener/revive.h"

/* What a start needs; kept for a revival too. */
struct order {
    struct command *command;
    char *account;
    char *matched_identity;
    struct json_object *candidates;
};

struct job {
    TAILQ_ENTRY(job) link; /* in asked, or in another's parked */
    struct desk *desk;
    struct amqp_message *message; /* NULL: a revival */
    int64_t arrived_s;
    char *user; /* whose turn it takes, or NULL */
    struct order order;
    struct command_fault fault; /* while it is asked whether the account exists */
    char *slot;                 /* account and name, while no other may have them */
    TAILQ_HEAD(job_list, job) parked;
    char key[FERNET_KEY_TEXT];
    char request[24]; /* under way at the monitor, or "" */
    uint64_t answer_by_us;
    unsigned starts;
};

struct desk {
    struct desk_wires w;
    struct fair *fair;
    struct revive *revive;
    struct map *slots;   /* slot -> job */
    struct map *asked;   /* request -> job */
    struct map *latest;  /* slot -> time stamp of the command whose credentials it has */
    struct map *nonces;  /* of grants that were used */
    struct job_list all; /* asked of the monitor, in order */
    struct loop_timer *sweep;
    uint64_t last_request;
    size_t under_way, waiting_bytes;
    bool stopping, pumping;
};

/* ---- job.c ---- */
struct order order_copy(const struct order *o);
void order_free(void *order);
struct job *job_new(struct desk *d, struct amqp_message *m, const struct order *o);
void job_free(void *job);
/* The service's request id, for log lines. */
const char *job_correlation(const struct job *j);
/* The monitor is not asked any more (or has answered). */
void job_forget_request(struct job *j);
/* Its end: acknowledged unless it shall come again.  Frees it. */
void job_finish(struct job *j, bool ack);
/* Logs the fault (taken), tells the requester, ends the job. */
void job_refuse(struct job *j, struct command_fault *f);
void job_refuse_general(struct job *j, const char *why);

/* ---- start.c ---- */
/* The account is known and the command sound: start it, when its turn for that name has come. */
void job_claim(struct job *j);
void start_sweep_cb(void *desk);

/* ---- desk.c ---- */
/* Room has become free. */
void desk_pump(struct desk *d);

#endif
