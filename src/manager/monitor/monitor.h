/* What the parts of the monitor share.  One process, one thread, one loop. */
#ifndef SALLYPORT_MANAGER_MONITOR_MONITOR_H
#define SALLYPORT_MANAGER_MONITOR_MONITOR_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/loop.h"
#include "lib/base/pidfile.h"
#include "manager/table.h"

struct listener;
struct children;
struct trail;
struct watch;
struct stop;
struct notify;

struct options {
    const char *dir, *endpoint_uuid; /* NULL = not given */
    int tokens_fd;                   /* -1 = none */
    bool detach, debug, console, no_color;
};

struct monitor {
    struct options opt;
    struct table_settings set;
    char dir[TABLE_PATH]; /* EPDIR, absolute */
    const char *name;     /* its last part */
    uid_t uid;
    gid_t gid;
    char user[TABLE_USER];
    bool privileged, can_change_user;
    bool mapping; /* other accounts than ours: can_change_user and a mapping file */
    uid_t listener_uid;
    gid_t listener_gid;

    struct loop *loop;
    struct pidfile *pidfile;
    struct listener *listener;
    struct children *children;
    struct trail *trail; /* the audit log; NULL = none */
    struct watch *watch;
    struct notify *notify;       /* NULL: no systemd listens */
    struct stop *stop;           /* not NULL: we are stopping */
    char endpoint_id[UUID_TEXT]; /* "" until registered */
    char asked_id[UUID_TEXT];    /* stored or asked for; "" = a new one */
    bool keep_children;          /* stop without them */
    int detach_fd;               /* whom to tell that we are up; -1 = nobody */
};

/* The listener has registered us: identity, PID file, banner, adoption.  Calls monitor_stop() when
 * that fails.  Again after each start of a listener: only compared. */
void monitor_registered(struct monitor *m, const char *endpoint_id);
/* Orderly stop; the code is the first one's. */
void monitor_stop(struct monitor *m, int code);

#endif
