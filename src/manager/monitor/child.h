/* One user endpoint, from the fork that is to become it to its end.
 *
 *   LOOKUP   forked; it looks its account up and waits at the gate
 *   BOOT     the gate is open, the state file names it; session and prepare are at work
 *   RUNNING  the user endpoint's exec has succeeded (or a former monitor's child was adopted)
 *
 * `over` = whoever asked has been told that it failed; it only remains to be reaped. */
#ifndef SALLYPORT_MANAGER_MONITOR_CHILD_H
#define SALLYPORT_MANAGER_MONITOR_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "lib/handover/handover.h"
#include "manager/monitor/monitor.h"
#include "manager/monitor/relay.h"
#include "manager/monitor/trail.h"

enum child_state { CHILD_LOOKUP, CHILD_BOOT, CHILD_RUNNING };

#define CHILD_WAITERS 16

/* A request that wants to hear of it; generation = which listener asked. */
struct waiter {
    uint64_t request;
    unsigned generation;
};

struct child {
    LIST_ENTRY(child) link;
    struct monitor *m;
    enum child_state state;
    bool over, adopted, refresh_warned;
    bool announced; /* somebody has heard STARTED */
    pid_t pid;
    int pidfd;
    struct loop_io *pid_io;
    uint64_t start_time; /* clock ticks since the boot, from /proc/PID/stat */
    uid_t uid;
    gid_t gid;
    char user[TABLE_USER]; /* as the listener spells it: what repeated requests are found by */
    char name[TABLE_NAME];
    char key[TABLE_KEY];
    char id[UUID_TEXT];
    char command[TABLE_COMMAND];
    char correlation[TABLE_CORRELATION]; /* of the request that started it; "-" = unknown */
    int memfd; /* the credentials, writable; -1 = out of reach (adopted) */
    uint64_t mem_dev, mem_ino;
    int status_fd, gate_fd; /* -1 = not any more */
    struct loop_io *status_io;
    struct loop_timer *deadline;
    struct relay *relay;
    struct trail_pipe *audit;       /* NULL = no audit log */
    struct handover_record *record; /* why it failed */
    struct waiter waiters[CHILD_WAITERS];
    unsigned n_waiters;
};

LIST_HEAD(child_list, child);

struct admission;
struct state;

struct children {
    struct child_list list;
    unsigned count;     /* all of the list */
    unsigned in_flight; /* LOOKUP and BOOT */
    struct admission *admission;
    struct state *state;
};

struct children *children_create(struct monitor *m);
void children_destroy(struct children *all); /* closes what is open; kills nobody */

struct child *child_new(struct monitor *m);
/* Out of the table, everything closed, key wiped. */
void child_free(struct child *c);
void child_state_set(struct child *c, enum child_state state);
/* Live ones only (not `over`); NULL = none.  by_uid: any other than `not_this`. */
struct child *child_find(struct children *all, const char *user, const char *name);
struct child *child_find_uid(struct children *all, uid_t uid, const char *name,
                             const struct child *not_this);
unsigned child_count_uid(const struct children *all, uid_t uid);

/* Begins to watch pidfd: the end of the child is handled in child_end.c. */
void child_watch(struct child *c);
/* Answers everybody who waits. */
void child_answer_failed(struct child *c, int code, const char *user_text, const char *admin_text);
void child_answer_running(struct child *c);
/* As its user: SIGKILL to its process group, others to the process alone, as all of them before it
 * has a group.  -1 with errno. */
int child_signal(struct child *c, int signo);

/* child_start.c: the requests of the listener.  Descriptors stay the caller's. */
void child_start(struct monitor *m, const struct table_message *req, int token_fd, int blob_fd);
void child_refresh(struct monitor *m, const struct table_message *req, int token_fd);
/* child_boot.c: what comes on the status pipe; drain = it has ended, take what is left. */
void child_boot_begin(struct child *c);
void child_boot_drain(struct child *c);
void child_booted(struct child *c);

#endif
